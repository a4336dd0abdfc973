package draw_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/stacks"
	"github.com/emqx-oci/emqx-oci/stacks/draw"
	"github.com/emqx-oci/emqx-oci/stacks/example"
)

func labRecording(t *testing.T) *recorder.Recording {
	t.Helper()
	opts, err := example.Options("../..", "lab", true)
	assert.NilError(t, err)
	opts.Preview = true
	stop, err := example.Answering(opts.Config)
	assert.NilError(t, err)
	defer stop()
	recording, err := recorder.Run(stacks.Run, opts)
	assert.NilError(t, err)
	return recording
}

func TestPictureInTheDocumentsIsTheStack(t *testing.T) {
	want, err := os.ReadFile("../../docs/graph.svg")
	assert.NilError(t, err)
	var got bytes.Buffer
	assert.NilError(t, draw.Picture(&got, draw.Boxes(labRecording(t))))
	assert.Assert(t, bytes.Equal(got.Bytes(), want), "docs/graph.svg is stale: run make graph")
}

func TestBoxesSayWhatWaitsForWhat(t *testing.T) {
	after, gates := map[string][]string{}, map[string][]string{}
	for _, b := range draw.Boxes(labRecording(t)) {
		after[b.Name], gates[b.Name] = b.After, b.Gates
	}
	assert.DeepEqual(t, after, map[string][]string{
		"addresses": nil, "groups": nil, "volumes": nil, "entries": nil, "members": nil, "secrets": {"addresses"},
		"pools": {"addresses", "groups", "volumes"}, "balancer": {"addresses", "groups"},
		"emqx": {"entries", "members", "pools", "secrets"}, "haproxy": {"emqx"},
		"listeners": {"balancer", "haproxy"}, "dns": {"listeners"},
	})
	assert.DeepEqual(t, gates["emqx"], []string{"G1 nodes ready"})
	assert.DeepEqual(t, gates["haproxy"], []string{"G1 nodes ready", "G2 cluster formed"})
	assert.DeepEqual(t, gates["listeners"], []string{"G3 proxies ready"})
}

var gateName = regexp.MustCompile(`^G[0-9] `)

// Every gate that stands before a resource is drawn before the box of its component, once.
func TestPictureHasEveryGateOfTheGraph(t *testing.T) {
	recording := labRecording(t)
	hooks := map[string]map[string]bool{} // gate -> the components behind it
	for _, x := range recording.Resources {
		for _, hook := range x.Gates {
			gate := strings.TrimPrefix(hook, "cluster: ")
			if !gateName.MatchString(gate) {
				continue // the layout's guard is a hook, and no gate
			}
			if hooks[gate] == nil {
				hooks[gate] = map[string]bool{}
			}
			hooks[gate][x.Parent] = true
		}
	}
	hooks["G5 round trip"] = map[string]bool{"the end": true}
	assert.Equal(t, len(hooks), 5)

	var picture bytes.Buffer
	assert.NilError(t, draw.Picture(&picture, draw.Boxes(recording)))
	for gate, behind := range hooks {
		assert.Equal(t, strings.Count(picture.String(), ">"+gate+"</text>"), len(behind), gate)
	}
}
