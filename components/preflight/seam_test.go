package preflight_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/internal/toyhosts"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

// A second kind of hosts is a list of checks: beside the first, or in its place.
func TestASecondKindOfHostsIsAListOfChecks(t *testing.T) {
	s := load(t, "prod", true)
	s.Gates.NodesReady = time.Minute
	record := func() ([]recorder.Resource, error) {
		return []recorder.Resource{{Type: toyhosts.HostType, Name: "b", Custom: true, Inputs: resource.PropertyMap{
			"units": resource.NewProperty(2.0), "color": resource.NewProperty("red"),
		}}}, nil
	}
	found := func(checks []preflight.Check) []string {
		got := []string{}
		for _, f := range preflight.Run(checks, s, record, time.Now()) {
			if f.Check == "gates" || strings.HasPrefix(f.Check, "rack-") {
				got = append(got, f.String())
			}
		}
		return got
	}
	own := []string{
		`Host b.color: must be grey, got "red" (check rack-values)`,
		"Host b.hall: must be set (check rack-values)",
		"Host b.units: must be at least 3, got 2 (check rack-space)",
	}
	walk := "emqx-oci:gates.nodesReady: should be at least the way to the rack, got 1m0s (check gates)"

	beside := preflight.Join(kinds.Checks(), toyhosts.Hosts{}.Checks())
	assert.DeepEqual(t, found(beside), append(own,
		"emqx-oci:gates.nodesReady: should be at least 5m0s, what OCI and the boot script may take for an instance, got 1m0s (check gates)", walk))
	assert.Assert(t, preflight.Known(beside, toyhosts.HostType) && !preflight.Known(kinds.Checks(), toyhosts.HostType))
	assert.Equal(t, len(beside), len(kinds.Checks())+2, "gates is one check")

	instead := preflight.Join(preflight.Checks, toyhosts.Hosts{}.Checks())
	assert.DeepEqual(t, found(instead), append(own, walk))
	page := preflight.Page(instead)
	for _, want := range []string{
		"| [single-node](#single-node) | warning | One node has nobody to take its clients while it restarts. |\n| [rack-space](#rack-space) | error | A full rack takes no node. |\n",
		"| nodes of a rack | 42 | its door | `rack-space` |\n",
		"| [gates](#gates) | warning | Somebody walks to the rack. |\n",
		"\n## rack-values\n\nA rack is steel.\n\n    error: Host a.color: must be grey (check rack-values)\n\nPaint it.\n",
	} {
		assert.Assert(t, strings.Contains(page, want), page)
	}
	assert.Assert(t, !strings.Contains(page, "OCI"))
}

// The text of a check is that of the first who has one, whoever comes first; who stands behind a check that is not
// there comes last.
func TestJoin(t *testing.T) {
	names := func(checks []preflight.Check) (all []string) {
		for _, c := range checks {
			all = append(all, c.Name+":"+c.Reason)
		}
		return all
	}
	got := preflight.Join(
		[]preflight.Check{{Name: "a", Reason: "first"}, {Name: "b"}},
		[]preflight.Check{{Name: "c", After: "a", Reason: "c"}, {Name: "d", After: "c"}, {Name: "b", Reason: "second"}, {Name: "e", After: "nowhere"}},
		[]preflight.Check{{Name: "f", After: "a"}, {Name: "b", Reason: "third"}, {Name: "d", Reason: "d"}},
	)
	assert.DeepEqual(t, names(got), []string{"a:first", "f:", "c:c", "d:d", "b:second", "e:"})
}
