package fault

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

func TestListReportsEveryFaultByPath(t *testing.T) {
	var l List
	assert.NilError(t, l.Err())
	l.Range("nodes.count", 0, 1, 32)
	l.Range("nodes.fine", 3, 1, 32)
	l.Require("image", " ")
	l.Merge("secrets", (&Error{Faults: []Fault{{Path: "cookie", Text: "must be set"}}}))
	l.Merge("other", errors.New("broken"))
	l.Merge("none", nil)
	err := fmt.Errorf("wrapped: %w", l.Err())
	assert.Error(t, err, "wrapped: image: must be set\nnodes.count: must be 1 to 32, got 0\nother: broken\nsecrets.cookie: must be set")
	assert.Assert(t, l.Has("image") && !l.Has("nodes.fine"))
}

func TestDurationsReadAsAPersonWritesThem(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0s"},
		{90 * time.Second, "1m30s"},
		{5 * time.Minute, "5m"},
		{time.Hour, "1h"},
		{time.Hour + 30*time.Minute, "1h30m"},
		{time.Hour + time.Second, "1h0m1s"},
		{10 * time.Minute, "10m"},
	} {
		assert.Equal(t, Duration(c.d), c.want)
	}
}
