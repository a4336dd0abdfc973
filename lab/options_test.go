package lab

import (
	"net/netip"
	"testing"

	"gotest.tools/v3/assert"
)

func TestALabKeepsItsNameAndDoor(t *testing.T) {
	dir := t.TempDir()
	made := Options{Dir: dir, Name: "other", Door: netip.MustParseAddr("127.0.90.1"), Latency: 0.5}
	first, err := made.again()
	assert.NilError(t, err)
	assert.Equal(t, first.Name, "other")
	assert.NilError(t, first.save())

	// A later `lab up` that names the folder alone.
	o, err := Options{Dir: dir, BrokerImages: []string{"emqx/emqx:5.8.8"}}.again()
	assert.NilError(t, err)
	assert.Equal(t, o.Name, "other")
	assert.Equal(t, o.Door, made.Door)
	assert.Equal(t, o.Latency, 0.0, "latency is chosen anew")
	assert.DeepEqual(t, o.BrokerImages, []string{"emqx/emqx:5.8.8"})
}
