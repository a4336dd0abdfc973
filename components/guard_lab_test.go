//go:build lab

package components

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/hosts/ocihosts"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/enginetest"
)

const oldCookie, newCookie = settings.Secret("oldCookieOldCookieOldCookie"), settings.Secret("newCookieNewCookieNewCookie")

// guarded is a stack of volumes in a test cloud behind the guards, on the real engine.
type guarded struct {
	t         *testing.T
	dir       string
	cloud     *enginetest.Cloud
	s         settings.Settings
	domains   []string
	collector guards.Collector
	// ends makes the program fail between the layout and the volumes.
	ends bool
	// kept is how many things exist that the stack has let go.
	kept int
}

func newGuarded(t *testing.T, count int) *guarded {
	t.Helper()
	cloud, stop, err := enginetest.Start()
	assert.NilError(t, err)
	t.Cleanup(stop)
	g := &guarded{t: t, dir: t.TempDir(), cloud: cloud, domains: []string{"AD-1", "AD-2", "AD-3"}}
	g.s.Environment, g.s.OCI.Compartment, g.s.Volumes.SizeGB = "lab", "ocid1.compartment.oc1..a", 150
	g.s.Secrets.ErlangCookie = oldCookie
	g.count(count)
	for name, text := range map[string]string{"project/Pulumi.yaml": "name: emqx-oci\nruntime: go\n", "project/Pulumi.lab.yaml": "config: {}\n"} {
		assert.NilError(t, os.MkdirAll(filepath.Dir(filepath.Join(g.dir, name)), 0o700))
		assert.NilError(t, os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o600))
	}
	for _, d := range []string{"state", "home"} {
		assert.NilError(t, os.Mkdir(filepath.Join(g.dir, d), 0o700))
	}
	return g
}

func (g *guarded) count(n int) { g.s.Nodes.Count, g.s.Volumes.Count = n, n }

func (g *guarded) program(ctx *pulumi.Context) error {
	places, err := ocihosts.Place(g.s.Environment, g.s.Volumes.Count, g.domains)
	if err != nil {
		return err
	}
	settle, err := guard(ctx, "emqx", g.s, func(found []guards.Violation) []guards.Violation { return found }, ocihosts.Hosts{}.Guarded(g.s), places)
	if err != nil {
		return err
	}
	if g.ends {
		return errors.New("the program ends before the volumes")
	}
	var volumes []pulumi.Resource
	for _, p := range places {
		v, err := enginetest.NewThing(ctx, p.Name, pulumi.Map{
			"name": pulumi.String(p.Name), "zone": pulumi.String(p.Zone),
		}, pulumi.RetainOnDelete(g.s.Volumes.Retain))
		if err != nil {
			return err
		}
		volumes = append(volumes, v)
	}
	return settle(volumes)
}

func (g *guarded) env() map[string]string {
	return map[string]string{
		"PULUMI_BACKEND_URL": "file://" + g.dir + "/state", "PULUMI_HOME": g.dir + "/home",
		"PULUMI_CONFIG_PASSPHRASE": "a test", "PULUMI_DEBUG_PROVIDERS": g.cloud.Env(), "PULUMI_SKIP_UPDATE_CHECK": "true",
	}
}

func (g *guarded) runner(collect bool) *orchestrate.Runner {
	g.t.Helper()
	o := orchestrate.Options{
		ProjectDir: g.dir + "/project", Stack: "lab", Program: g.program, Env: g.env(), StageDir: g.dir + "/stage",
		PulumiCommand: os.Getenv("ORCHESTRATE_TEST_PULUMI"),
	}
	if collect {
		o.Bind = func(ctx *pulumi.Context, _ context.Context) *pulumi.Context {
			return guards.WithCollector(ctx, &g.collector)
		}
	}
	r, err := orchestrate.New(o)
	assert.NilError(g.t, err)
	return r
}

// mustUp deploys, and wants this many things to exist after it.
func (g *guarded) mustUp(things int) {
	g.t.Helper()
	_, err := g.runner(true).Up(g.t.Context())
	assert.NilError(g.t, err)
	assert.Equal(g.t, len(g.cloud.Names()), things)
	assert.Equal(g.t, len(g.collector.Judge(nil)), 0)
}

// refused wants preview and update to fail for one guard, with and without a collector, and nothing to be touched.
func (g *guarded) refused(guard, says string) {
	g.t.Helper()
	calls := len(g.cloud.Calls())
	collecting, plain := g.runner(true), g.runner(false)
	res, err := collecting.Preview(g.t.Context())
	assert.NilError(g.t, err, "the plan is shown whole")
	assert.Equal(g.t, res.Changes["same"]+res.Changes["delete"]+res.Changes["replace"], len(g.cloud.Names())-g.kept)
	g.collected(guard, says)
	g.collector.Reset()
	_, update := collecting.Up(g.t.Context())
	g.collected(guard, says)
	_, preview := plain.Preview(g.t.Context())
	for _, err := range []error{update, preview} {
		g.t.Log(err)
		assert.ErrorContains(g.t, err, ": refused by a guard: "+guard+": ")
		assert.ErrorContains(g.t, err, says)
		assert.Equal(g.t, strings.Count(err.Error(), says), 1, "%v", err)
		for _, noise := range []string{"Preview failed", "hook", "rpc", "code:", string(oldCookie), string(newCookie)} {
			assert.Assert(g.t, !strings.Contains(err.Error(), noise), "%q in: %v", noise, err)
		}
	}
	assert.Equal(g.t, len(g.cloud.Calls()), calls, "%v", g.cloud.Calls())
}

func (g *guarded) collected(guard, says string) {
	g.t.Helper()
	found := g.collector.Judge(nil)
	assert.Equal(g.t, len(found), 1, "%v", found)
	assert.Equal(g.t, found[0].Guard, guard)
	assert.Assert(g.t, strings.Contains(found[0].Message, says), found[0].Message)
}

func TestVolumesOnTheRealEngine(t *testing.T) {
	g := newGuarded(t, 5)
	g.mustUp(5)
	g.mustUp(5)

	g.count(3)
	g.refused(guards.VolumeDelete, "volumes of nodes 3 and 4 (emqx-lab-3, emqx-lab-4) would be deleted with their data")

	// The layout of a refused update is not recorded: the next one is refused as well, and what stays passes.
	g.count(5)
	g.mustUp(5)

	g.s.Nodes.Count = 3 // the volumes stay
	g.refused(guards.ScaleIn, "nodes 3 and 4 (emqx-lab-3, emqx-lab-4) would go while their volumes stay")
	g.s.Guards.AllowScaleIn = true
	g.mustUp(5)
	g.s.Guards.AllowScaleIn = false
	g.mustUp(5) // the exception is for one update

	g.count(3)
	g.refused(guards.VolumeDelete, "volumes of nodes 3 and 4")
	g.s.Guards.AllowVolumeDelete = true
	g.mustUp(3)
	g.s.Guards.AllowVolumeDelete = false
	g.mustUp(3)

	g.s.Volumes.SizeGBByNode = map[string]int{"1": 100}
	g.refused(guards.VolumeShrink, "the volume of node 1 (emqx-lab-1) would shrink from 150 to 100 GB")
	g.s.Volumes.SizeGBByNode = map[string]int{"1": 300}
	g.mustUp(3)

	g.domains = []string{"AD-1", "AD-3", "AD-3"}
	g.refused(guards.VolumeDelete, "the volume of node 1 (emqx-lab-1) would be replaced by an empty one")
	g.domains = []string{"AD-2", "AD-3", "AD-1"}
	g.s.Guards.AllowVolumeDelete = true
	g.refused(guards.ReplaceAllNodes, "every node that stays would be replaced at once")
	g.s.Guards.AllowReplaceAllNodes = true
	g.mustUp(3)
}

// Whether a volume stays when its node goes is what the engine finds in its state,
// and not what the update asks for that takes the node away.
func TestRetainedVolumesOnTheRealEngine(t *testing.T) {
	const lost = "the volume of node 3 (emqx-lab-3) would be deleted with its data"
	scale := func(g *guarded, count int, retain bool) { g.count(count); g.s.Volumes.Retain = retain }

	g := newGuarded(t, 4)
	scale(g, 4, true)
	g.mustUp(4)
	scale(g, 3, true)
	g.mustUp(4)
	g.kept++

	// Another one of that name beside it. Retain goes in the update that takes the node away.
	scale(g, 4, true)
	g.mustUp(5)
	scale(g, 3, false)
	g.mustUp(5)
	g.kept++

	// From here on nothing is retained, and the guard says so; it comes too late in the same update.
	scale(g, 4, false)
	g.mustUp(6)
	scale(g, 3, false)
	g.refused(guards.VolumeDelete, lost)
	scale(g, 3, true)
	g.refused(guards.VolumeDelete, "run one before this")

	// An update that ends before the volumes has recorded its layout, and their state is the old one.
	scale(g, 4, true)
	g.mustEnd()
	scale(g, 3, true)
	g.refused(guards.VolumeDelete, lost)
	scale(g, 4, true)
	g.mustUp(6)
	scale(g, 4, false)
	g.mustEnd()
	scale(g, 4, true)
	g.mustEnd()
	scale(g, 3, true)
	g.refused(guards.VolumeDelete, lost)

	scale(g, 4, true)
	g.mustUp(6)
	scale(g, 3, true)
	g.mustUp(6)
	assert.Assert(t, !slices.Contains(g.cloud.Calls(), "delete emqx-lab-3"), "%v", g.cloud.Calls())

	// The other way round: what the guard calls a loss is one.
	scale(g, 4, false)
	g.mustUp(7)
	scale(g, 3, true)
	g.s.Guards.AllowVolumeDelete = true
	g.mustUp(6)
}

// mustEnd runs an update that fails after its layout is recorded.
func (g *guarded) mustEnd() {
	g.t.Helper()
	g.ends = true
	_, err := g.runner(true).Up(g.t.Context())
	g.ends = false
	assert.ErrorContains(g.t, err, "the program ends before the volumes")
}

func TestSecretsAndSettingsOnTheRealEngine(t *testing.T) {
	g := newGuarded(t, 1)
	g.mustUp(1)
	g.s.Secrets.ErlangCookie = newCookie
	g.refused(guards.CookieChange, "the cluster splits while it rolls")
	g.s.Guards.AllowCookieChange = true
	g.mustUp(1)
	g.s.Guards.AllowCookieChange = false
	g.mustUp(1)

	// A layout that stays runs no hook; the settings are judged all the same.
	g.s.Network.DashboardCIDRs = []string{"0.0.0.0/0"}
	g.refused(guards.PublicDashboard, "(0.0.0.0/0)")
	g.s.Guards.AllowPublicDashboard = true
	g.mustUp(1)
	g.s.Guards.AllowPublicDashboard = false
	g.refused(guards.PublicDashboard, "(0.0.0.0/0)")

	// With another one beside it, both come at once.
	g.s.Secrets.ErlangCookie = oldCookie
	_, err := g.runner(false).Preview(t.Context())
	assert.ErrorContains(t, err, "refused by the stack's guards:\n")
	assert.ErrorContains(t, err, "cookie-change: ")
	assert.ErrorContains(t, err, "public-dashboard: ")

	// Neither cookie stands anywhere in clear.
	for _, dir := range []string{"state", "stage"} {
		assert.NilError(t, filepath.WalkDir(filepath.Join(g.dir, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, c := range []settings.Secret{oldCookie, newCookie} {
				if strings.Contains(string(text), c.Reveal()) {
					err = errors.Join(err, fmt.Errorf("%s holds a cookie", path))
				}
			}
			return err
		}))
	}
	_, err = g.runner(true).Destroy(t.Context())
	assert.NilError(t, err, "a guard is not in the way of a destroy")
	assert.Equal(t, len(g.cloud.Names()), 0)
}

// Whoever runs the program without our command line is refused, too, and reads why.
func TestPlainAutomationIsRefused(t *testing.T) {
	g := newGuarded(t, 5)
	work := filepath.Join(g.dir, "project")
	stack, err := auto.UpsertStackInlineSource(t.Context(), "lab", "emqx-oci", g.program, auto.WorkDir(work), auto.EnvVars(g.env()))
	assert.NilError(t, err)
	_, err = stack.Up(t.Context())
	assert.NilError(t, err)
	g.count(3)
	var shown, complaints strings.Builder
	_, err = stack.Preview(t.Context(), optpreview.ProgressStreams(&shown), optpreview.ErrorProgressStreams(&complaints))
	t.Log(shown.String() + complaints.String())
	assert.ErrorContains(t, err, "volume-delete: DATA LOSS: volumes of nodes 3 and 4 (emqx-lab-3, emqx-lab-4) would be deleted")
	_, err = stack.Up(t.Context())
	assert.ErrorContains(t, err, "emqx-oci:guards.allowVolumeDelete")
	assert.Equal(t, len(g.cloud.Names()), 5)
	g.s.Guards.AllowVolumeDelete = true
	_, err = stack.Up(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, len(g.cloud.Names()), 3)
}
