//go:build lab

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// previews changes the stack file as a reviewer would see it in a pull request,
// and reads what the preview says of it. Nothing is touched by any of it.
func previews(t *testing.T, b *bed) {
	before := status(t, b)
	for _, c := range []struct {
		name     string
		from, to string
		more     [2]string // another passage, from and to
		exit     int
		says     []string
	}{
		{
			name: "two more nodes", from: "    count: 3\n    ocpus", to: "    count: 5\n    ocpus",
			says: []string{
				"0 nodes restarted", "emqx-lab-3", "emqx-lab-4", "Volume cluster-volumes-3", "Volume cluster-volumes-4", "PrivateIp cluster-addresses-4",
				"InstancePool cluster-pools-3", "InstancePool cluster-pools-4",
			},
		},
		{
			name: "another image", from: "  emqx-oci:broker:\n", to: "  emqx-oci:broker:\n    image: emqx/emqx:5.8.8\n",
			says: []string{"3 nodes restarted", "one at a time", "emqx-lab-0, then emqx-lab-1, then emqx-lab-2"},
		},
		{
			name: "a larger volume of one node", from: "    sizeGb: 50", to: "    sizeGbByNode: {\"1\": 60}\n    sizeGb: 50",
			says: []string{"0 nodes restarted", "emqx-lab-1", "grow", "50", "60"},
		},
		{
			name: "volumes in other availability domains", from: "    compartment: ocid1.compartment.oc1..lab\n",
			to:   "    compartment: ocid1.compartment.oc1..lab\n    availabilityDomains: [\"LAB:AD-1\", \"LAB:AD-3\", \"LAB:AD-2\"]\n",
			exit: 3,
			says: []string{"DATA LOSS", "volume-delete", "emqx-lab-1", "emqx-lab-2", "guards.allowVolumeDelete"},
		},
		{
			name: "a node less", from: "    count: 3\n", to: "    count: 2\n", exit: 3,
			says: []string{"DATA LOSS", "volume-delete", "emqx-lab-2", "volumes.count", "guards.allowVolumeDelete"},
		},
		{
			name: "a node less, its volume kept", from: "    count: 3\n    ocpus: 1\n", to: "    count: 2\n    ocpus: 1\n",
			more: [2]string{"    sizeGb: 50", "    count: 3\n    sizeGb: 50"}, exit: 3,
			says: []string{"scale-in", "emqx-lab-2", "guards.allowScaleIn"},
		},
		{
			name: "a misspelt setting", from: "    count: 3\n", to: "    coutn: 3\n", exit: 2,
			says: []string{`did you mean "count"?`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.edit(t, c.from, c.to)
			defer b.edit(t, c.to, c.from)
			if c.more[0] != "" {
				b.edit(t, c.more[0], c.more[1])
				defer b.edit(t, c.more[1], c.more[0])
			}
			page := filepath.Join(t.TempDir(), "preview.md")
			r := b.run(t, "preview", "lab", "--markdown", page)
			assert.Equal(t, r.code, c.exit, "%s", r)
			text, err := os.ReadFile(page)
			assert.NilError(t, err)
			for _, want := range c.says {
				assert.Check(t, strings.Contains(r.stdout+r.stderr, want), "%q is missing in:\n%s", want, r)
				assert.Check(t, strings.Contains(string(text), want), "%q is missing in the page:\n%s", want, text)
			}
			if c.exit == 3 { // an update stops at the same guard, before it touches anything
				r := b.run(t, "up", "lab", "--yes")
				assert.Equal(t, r.code, 3, "%s", r)
			}
		})
	}
	assert.DeepEqual(t, status(t, b).Cloud, before.Cloud)

	r := b.must(t, "check", "lab", "--json")
	assert.Assert(t, json.Valid([]byte(strings.SplitN(r.stdout, "\n", 2)[0])), "%s", r)
}
