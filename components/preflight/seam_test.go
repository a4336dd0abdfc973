package preflight_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/stacks"
)

const rack = "toy:index:Rack"

// racks are the checks of hosts of another kind: one of its own, values that its API accepts, and its part of a check
// that others have a part in.
func racks() []preflight.Check {
	return []preflight.Check{
		{
			Name: "rack-space", After: "single-node", Severity: preflight.Error,
			Reason: "A full rack takes no node.", Example: "Rack a.units: must have room", Remedy: "Buy a rack.",
			Graph: func(in *preflight.Input, r *preflight.Report) {
				for _, x := range in.Kind(rack) {
					if preflight.NumberAt(x, "units") < in.Settings.Nodes.Count {
						r.Errorf(preflight.Path(x, "units"), "must be at least %d, got %d", in.Settings.Nodes.Count, preflight.NumberAt(x, "units"))
					}
				}
			},
			Quotas: []preflight.Quota{{Of: "nodes of a rack", Most: "42", Source: "its door", Check: "rack-space"}},
		},
		{
			Name: "rack-values", After: "agent-values", Severity: preflight.Error,
			Reason: "A rack is steel.", Example: "Rack a.color: must be grey", Remedy: "Paint it.",
			Rules: map[string]preflight.Rules{rack: {
				Required: []string{"hall"},
				Each:     []preflight.Rule{{Path: "color", Test: preflight.OneOf("grey")}},
			}},
		},
		{
			Name: "gates", Severity: preflight.Warning, Reason: "Somebody walks to the rack.", Example: "walk", Remedy: "Run.",
			Settings: func(s settings.Settings, _ time.Time, r *preflight.Report) {
				r.Warnf(preflight.Setting("gates.nodesReady"), "should be at least the way to the rack, got %s", s.Gates.NodesReady)
			},
		},
	}
}

// A second kind of hosts is a list of checks: beside the first, or in its place.
func TestASecondKindOfHostsIsAListOfChecks(t *testing.T) {
	s := load(t, "prod", true)
	s.Gates.NodesReady = time.Minute
	record := func() ([]recorder.Resource, error) {
		return []recorder.Resource{{Type: rack, Name: "b", Custom: true, Inputs: resource.PropertyMap{
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
		`Rack b.color: must be grey, got "red" (check rack-values)`,
		"Rack b.hall: must be set (check rack-values)",
		"Rack b.units: must be at least 3, got 2 (check rack-space)",
	}
	walk := "emqx-oci:gates.nodesReady: should be at least the way to the rack, got 1m0s (check gates)"

	beside := preflight.Join(stacks.Checks(), racks())
	assert.DeepEqual(t, found(beside), append(own,
		"emqx-oci:gates.nodesReady: should be at least 5m0s, what OCI and the boot script may take for an instance, got 1m0s (check gates)", walk))
	assert.Assert(t, preflight.Known(beside, rack) && !preflight.Known(stacks.Checks(), rack))
	assert.Equal(t, len(beside), len(stacks.Checks())+2, "gates is one check")

	instead := preflight.Join(preflight.Checks, racks())
	assert.DeepEqual(t, found(instead), append(own, walk))
	page := preflight.Page(instead)
	for _, want := range []string{
		"| [single-node](#single-node) | warning | One node has nobody to take its clients while it restarts. |\n| [rack-space](#rack-space) | error | A full rack takes no node. |\n",
		"| nodes of a rack | 42 | its door | `rack-space` |\n",
		"| [gates](#gates) | warning | Somebody walks to the rack. |\n",
		"\n## rack-values\n\nA rack is steel.\n\n    error: Rack a.color: must be grey (check rack-values)\n\nPaint it.\n",
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
