//go:build lab

package orchestrate_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/enginetest"
)

func TestTheLastUpdateIsRead(t *testing.T) {
	w := newWorld(t)
	var none *orchestrate.NotCreatedError
	_, err := w.runner().LastUpdate(t.Context())
	assert.Assert(t, errors.As(err, &none), "%v", err)

	w.set(enginetest.Spec{})
	begin := time.Now().Add(-2 * time.Second) // the backend counts in whole seconds
	_, err = w.runner().Up(t.Context())
	assert.NilError(t, err)
	u, err := w.runner().LastUpdate(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, u.Kind+" "+u.Result, "update succeeded")
	assert.Assert(t, u.Started.After(begin) && !u.Ended.Before(u.Started), "%+v", u)

	_, err = w.runner().Destroy(t.Context())
	assert.NilError(t, err)
	u, err = w.runner().LastUpdate(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, u.Kind, "destroy")
}

func TestAProgramThatAsksLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.set(enginetest.Spec{})
	_, err := w.runner().Up(t.Context())
	assert.NilError(t, err)
	asked := false
	assert.NilError(t, w.runner().Ask(t.Context(), func(p *pulumi.Context) error {
		asked = p.DryRun()
		return nil
	}))
	assert.Assert(t, asked)
	err = w.runner().Ask(t.Context(), func(*pulumi.Context) error { return errors.New("429 Too many requests") })
	assert.Error(t, err, "429 Too many requests")
	u, err := w.runner().LastUpdate(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, u.Kind, "update")
}
