package draw_test

import (
	"bytes"
	"os"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/stacks"
	"github.com/emqx-oci/emqx-oci/stacks/draw"
	"github.com/emqx-oci/emqx-oci/stacks/example"
)

func labBoxes(t *testing.T) []draw.Box {
	t.Helper()
	opts, err := example.Options("../..", "lab", true)
	assert.NilError(t, err)
	opts.Preview = true
	stop, err := example.Answering(opts.Config)
	assert.NilError(t, err)
	defer stop()
	recording, err := recorder.Run(stacks.Run, opts)
	assert.NilError(t, err)
	return draw.Boxes(recording)
}

func TestPictureInTheDocumentsIsTheStack(t *testing.T) {
	want, err := os.ReadFile("../../docs/graph.svg")
	assert.NilError(t, err)
	var got bytes.Buffer
	assert.NilError(t, draw.Picture(&got, labBoxes(t)))
	assert.Assert(t, bytes.Equal(got.Bytes(), want), "docs/graph.svg is stale: run make graph")
}

func TestBoxesSayWhatWaitsForWhat(t *testing.T) {
	after, gate := map[string][]string{}, map[string]string{}
	for _, b := range labBoxes(t) {
		after[b.Name], gate[b.Name] = b.After, b.Gate
	}
	assert.DeepEqual(t, after, map[string][]string{
		"addresses": nil, "groups": nil, "volumes": nil, "entries": nil, "members": nil, "secrets": nil,
		"pools": {"addresses", "groups", "volumes"}, "balancer": {"addresses", "groups"},
		"emqx": {"entries", "members", "pools", "secrets"}, "haproxy": {"emqx"},
		"listeners": {"balancer", "haproxy"}, "dns": {"listeners"},
	})
	assert.Equal(t, gate["emqx"], "G1 nodes ready")
	assert.Equal(t, gate["listeners"], "G3 proxies ready")
}
