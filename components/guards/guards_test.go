package guards

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// words are as the first of the clouds has them.
var words = Words{
	Cloud: "OCI", ScopeName: "compartment", ScopeSetting: "emqx-oci:oci.compartment", ZoneName: "availability domain", ZoneSetting: "emqx-oci:oci.availabilityDomains",
}

// layout has nodes and volumes as given, in three domains by turns.
func layout(nodes, volumes int, change ...func(*Layout)) Layout {
	l := Layout{Scope: "ocid1.compartment.oc1..a"}
	for i := range max(nodes, volumes) {
		name, domain := cluster.NodeName("prod", i), fmt.Sprintf("AD-%d", i%3+1)
		if i < nodes {
			l.Nodes = append(l.Nodes, LayoutNode{i, name, domain})
		}
		if i < volumes {
			l.Volumes = append(l.Volumes, LayoutVolume{Index: i, Name: name, Zone: domain, SizeGB: 150})
		}
	}
	for _, c := range change {
		c(&l)
	}
	return l
}

// domains puts node and volume i into the domain given, as far as they go.
func domains(to ...string) func(*Layout) {
	return func(l *Layout) {
		for i, d := range to {
			l.Nodes[i].Zone, l.Volumes[i].Zone = d, d
		}
	}
}

// retained are volumes that the engine would leave in OCI.
func retained(indexes ...int) func(*Layout) {
	return func(l *Layout) {
		for _, i := range indexes {
			l.Volumes[i].Retained = true
		}
	}
}

func size(index, gb int) func(*Layout) { return func(l *Layout) { l.Volumes[index].SizeGB = gb } }

func TestCompare(t *testing.T) {
	deleted := "volume-delete: DATA LOSS: volumes of nodes 3 and 4 (emqx-prod-3, emqx-prod-4) would be deleted with their data: " +
		"set emqx-oci:volumes.count to 5 to keep them, or emqx-oci:guards.allowVolumeDelete to true to delete them"
	for name, c := range map[string]struct {
		old, next Layout
		allow     settings.Guards
		want      []string
	}{
		"first deployment":  {next: layout(3, 3)},
		"nothing changes":   {old: layout(3, 3), next: layout(3, 3)},
		"more nodes":        {old: layout(3, 3), next: layout(5, 5)},
		"a volume grows":    {old: layout(3, 3), next: layout(3, 3, size(1, 300))},
		"volumes come back": {old: layout(3, 5), next: layout(5, 5)},
		"volumes to spare":  {old: layout(3, 3), next: layout(3, 5)},

		"the stack has another name, whatever is allowed": {
			old: layout(3, 3), next: layout(3, 3, func(l *Layout) {
				for i := range l.Volumes {
					l.Nodes[i].Name, l.Volumes[i].Name = cluster.NodeName("prod-eu", i), cluster.NodeName("prod-eu", i)
				}
			}),
			allow: settings.Guards{
				AllowVolumeDelete: true, AllowScaleIn: true, AllowReplaceAllNodes: true, AllowPublicDashboard: true,
				AllowUnprotected: true, AllowCookieChange: true,
			},
			want: []string{`renamed: the stack was deployed as "prod" and is called "prod-eu" now: its nodes, volumes, jobs and members have the old name ` +
				`and cannot take another: give the stack its name back (pulumi stack rename prod), or make a new stack for a new cluster`},
		},
		"two nodes and their volumes go": {
			old: layout(5, 5), next: layout(3, 3),
			want: []string{deleted + "; to keep volumes without their nodes, emqx-oci:guards.allowScaleIn is needed, too"},
		},
		"the same, and volumes may stay alone": {
			old: layout(5, 5), next: layout(3, 3), allow: settings.Guards{AllowScaleIn: true}, want: []string{deleted},
		},
		"the same, allowed": {old: layout(5, 5), next: layout(3, 3), allow: settings.Guards{AllowVolumeDelete: true}},
		"one node goes": {
			old: layout(4, 4), next: layout(3, 3), allow: settings.Guards{AllowScaleIn: true},
			want: []string{"volume-delete: DATA LOSS: the volume of node 3 (emqx-prod-3) would be deleted with its data: " +
				"set emqx-oci:volumes.count to 4 to keep it, or emqx-oci:guards.allowVolumeDelete to true to delete it"},
		},
		"volumes without nodes go": {
			old: layout(3, 9), next: layout(3, 3), allow: settings.Guards{AllowScaleIn: true},
			want: []string{"volume-delete: DATA LOSS: volumes of nodes 3 to 8 (emqx-prod-3 to emqx-prod-8) would be deleted with their data: " +
				"set emqx-oci:volumes.count to 9 to keep them, or emqx-oci:guards.allowVolumeDelete to true to delete them"},
		},
		"a volume changes its domain": {
			old: layout(3, 3), next: layout(3, 3, domains("AD-1", "AD-3", "AD-3")),
			want: []string{"volume-delete: DATA LOSS: the volume of node 1 (emqx-prod-1) would be replaced by an empty one, " +
				"because the availability domain changes (emqx-prod-1: AD-2 to AD-3): put emqx-oci:oci.availabilityDomains back in its order, " +
				"or set emqx-oci:guards.allowVolumeDelete to true to lose the data"},
		},
		"the same domain change, allowed": {
			old: layout(3, 3), next: layout(3, 3, domains("AD-1", "AD-3", "AD-3")), allow: settings.Guards{AllowVolumeDelete: true},
		},
		"every domain changes": {
			old: layout(3, 3), next: layout(3, 3, domains("AD-2", "AD-3", "AD-1")), allow: settings.Guards{AllowVolumeDelete: true},
			want: []string{"replace-all-nodes: every node that stays would be replaced at once, nodes 0, 1 and 2 (emqx-prod-0, emqx-prod-1, emqx-prod-2), " +
				"because every availability domain changes: put emqx-oci:oci.availabilityDomains back in its order, " +
				"or set emqx-oci:guards.allowReplaceAllNodes to true"},
		},
		"every domain changes, allowed": {
			old: layout(3, 3), next: layout(3, 3, domains("AD-2", "AD-3", "AD-1")),
			allow: settings.Guards{AllowVolumeDelete: true, AllowReplaceAllNodes: true},
		},
		"the nodes that stay change their domains": {
			old: layout(3, 3), next: layout(2, 2, domains("AD-2", "AD-3")), allow: settings.Guards{AllowVolumeDelete: true},
			want: []string{"replace-all-nodes: every node that stays would be replaced at once, nodes 0 and 1 (emqx-prod-0, emqx-prod-1), " +
				"because every availability domain changes: put emqx-oci:oci.availabilityDomains back in its order, " +
				"or set emqx-oci:guards.allowReplaceAllNodes to true"},
		},
		"another compartment": {
			old: layout(3, 3), next: layout(3, 3, func(l *Layout) { l.Scope = "ocid1.compartment.oc1..b" }),
			want: []string{"volume-delete: the volumes of all nodes would leave compartment ocid1.compartment.oc1..a for ocid1.compartment.oc1..b, " +
				"and nodes that were started there no longer find them: put emqx-oci:oci.compartment back, or set emqx-oci:guards.allowVolumeDelete to true"},
		},
		"another compartment, allowed": {
			old: layout(3, 3), next: layout(3, 3, func(l *Layout) { l.Scope = "b" }), allow: settings.Guards{AllowVolumeDelete: true},
		},
		"a volume shrinks, whatever is allowed": {
			old: layout(3, 3), next: layout(3, 3, size(1, 100)),
			allow: settings.Guards{
				AllowVolumeDelete: true, AllowScaleIn: true, AllowReplaceAllNodes: true, AllowPublicDashboard: true,
				AllowUnprotected: true, AllowCookieChange: true,
			},
			want: []string{"volume-shrink: the volume of node 1 (emqx-prod-1) would shrink from 150 to 100 GB, and OCI only grows volumes: " +
				"set emqx-oci:volumes.sizeGb, or emqx-oci:volumes.sizeGbByNode.1, to at least 150"},
		},
		"a new volume elsewhere may be smaller": {
			old: layout(3, 3), next: layout(3, 3, domains("AD-1", "AD-3", "AD-3"), size(1, 100)), allow: settings.Guards{AllowVolumeDelete: true},
		},
		"two nodes go, their volumes are retained": {old: layout(5, 5, retained(0, 1, 2, 3, 4)), next: layout(3, 3, retained(0, 1, 2))},
		"the same, and retain goes with them":      {old: layout(5, 5, retained(0, 1, 2, 3, 4)), next: layout(3, 3)},
		"the same, and retain comes with it": {
			old: layout(5, 5), next: layout(3, 3, retained(0, 1, 2)), allow: settings.Guards{AllowScaleIn: true},
			want: []string{deleted + "; emqx-oci:volumes.retain counts for a volume that an update with it has reached: run one before this"},
		},
		"an update with retain ended early": {
			old: layout(5, 5, retained(0, 1, 3)), next: layout(3, 3), allow: settings.Guards{AllowScaleIn: true},
			want: []string{"volume-delete: DATA LOSS: the volume of node 4 (emqx-prod-4) would be deleted with its data: " +
				"set emqx-oci:volumes.count to 5 to keep it, or emqx-oci:guards.allowVolumeDelete to true to delete it"},
		},
		"a retained volume changes its domain": {
			old: layout(3, 3, retained(1)), next: layout(3, 3, domains("AD-1", "AD-3", "AD-3")),
			want: []string{"volume-delete: the volume of node 1 (emqx-prod-1) would be replaced by an empty one, " +
				"because the availability domain changes (emqx-prod-1: AD-2 to AD-3): put emqx-oci:oci.availabilityDomains back in its order, " +
				"or set emqx-oci:guards.allowVolumeDelete to true to begin without the data, which stays in OCI on the old volume"},
		},
		"nodes go and volumes stay": {
			old: layout(5, 5), next: layout(3, 5),
			want: []string{"scale-in: nodes 3 and 4 (emqx-prod-3, emqx-prod-4) would go while their volumes stay, and what is on them is out of reach: " +
				"set emqx-oci:nodes.count to 5 to keep them, or emqx-oci:guards.allowScaleIn to true"},
		},
		"nodes go and volumes stay, allowed": {old: layout(5, 5), next: layout(3, 5), allow: settings.Guards{AllowScaleIn: true}},
		"a node goes, some volumes too": {
			old: layout(5, 5), next: layout(3, 4),
			want: []string{
				"volume-delete: DATA LOSS: the volume of node 4 (emqx-prod-4) would be deleted with its data: set emqx-oci:volumes.count to 5 to keep it, " +
					"or emqx-oci:guards.allowVolumeDelete to true to delete it; to keep volumes without their nodes, emqx-oci:guards.allowScaleIn is needed, too",
				"scale-in: node 3 (emqx-prod-3) would go while its volume stays, and what is on it is out of reach: " +
					"set emqx-oci:nodes.count to 4 to keep it, or emqx-oci:guards.allowScaleIn to true",
			},
		},
		"a record of an older version": {
			old: Layout{Nodes: []LayoutNode{{Index: 0, Name: "emqx-prod-0"}}, Volumes: []LayoutVolume{{Index: 0, Name: "emqx-prod-0"}}}, next: layout(1, 1),
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, v := range Compare(c.old, c.next, "cookie", "cookie", c.allow, words) {
				got = append(got, v.String())
				assert.Assert(t, v.Allow == "" || strings.Contains(v.Message, v.Allow), "%s does not name %s", v.Message, v.Allow)
			}
			assert.DeepEqual(t, got, c.want)
		})
	}
}

func TestCookie(t *testing.T) {
	l := layout(3, 3)
	got := Compare(l, l, "old-cookie", "new-cookie", settings.Guards{}, words)
	assert.Equal(t, len(got), 1)
	assert.Equal(t, got[0].Guard, CookieChange)
	assert.Assert(t, !strings.Contains(got[0].String(), "old-cookie") && !strings.Contains(got[0].String(), "new-cookie"))
	assert.Equal(t, len(Compare(l, l, "old-cookie", "new-cookie", settings.Guards{AllowCookieChange: true}, words)), 0)
	assert.Equal(t, len(Compare(Layout{}, l, "", "new-cookie", settings.Guards{}, words)), 0, "there was none")
}

func TestStatic(t *testing.T) {
	for name, c := range map[string]struct {
		stack     string
		dashboard []string
		protect   bool
		retain    bool
		allow     settings.Guards
		want      string
	}{
		"a quiet stack":  {stack: "staging"},
		"private ranges": {stack: "lab", dashboard: []string{"10.0.0.0/8", "172.20.0.0/16", "192.168.7.0/24", "100.64.0.0/10", "127.0.0.1/32", "no range"}},
		"the internet": {stack: "lab", dashboard: []string{"10.8.0.0/24", "0.0.0.0/0"}, want: "public-dashboard: " +
			"emqx-oci:network.dashboardCidrs opens EMQX's dashboard to public addresses (0.0.0.0/0): name private ranges, such as a VPN's, or set emqx-oci:guards.allowPublicDashboard to true"},
		"the office": {stack: "lab", dashboard: []string{"198.51.100.0/24"}, want: "public-dashboard: " +
			"emqx-oci:network.dashboardCidrs opens EMQX's dashboard to public addresses (198.51.100.0/24): name private ranges, such as a VPN's, or set emqx-oci:guards.allowPublicDashboard to true"},
		"wider than a private range": {stack: "lab", dashboard: []string{"172.0.0.0/8", "172.16.0.0/11"}, want: "public-dashboard: " +
			"emqx-oci:network.dashboardCidrs opens EMQX's dashboard to public addresses (172.0.0.0/8, 172.16.0.0/11): name private ranges, such as a VPN's, or set emqx-oci:guards.allowPublicDashboard to true"},
		"the internet, allowed": {stack: "lab", dashboard: []string{"0.0.0.0/0"}, allow: settings.Guards{AllowPublicDashboard: true}},
		"production, protected": {stack: "prod-eu", protect: true},
		"production, unprotected": {stack: "prod-eu", want: "unprotected: " +
			"the volumes of production stack prod-eu would not be protected from deletion any more: set emqx-oci:volumes.protect or emqx-oci:volumes.retain to true, or emqx-oci:guards.allowUnprotected to true"},
		"production, retained": {stack: "prod-eu", retain: true},
		"unprotected, allowed": {stack: "prod", allow: settings.Guards{AllowUnprotected: true}},
	} {
		t.Run(name, func(t *testing.T) {
			s := settings.Settings{Environment: c.stack, Guards: c.allow}
			s.Network.DashboardCIDRs, s.Volumes.Protect, s.Volumes.Retain = c.dashboard, c.protect, c.retain
			var got []string
			for _, v := range Static(s) {
				got = append(got, v.String())
			}
			assert.Equal(t, strings.Join(got, "\n"), c.want)
		})
	}
}

func TestAllViolationsComeInOneError(t *testing.T) {
	one := &Error{Violations: []Violation{{Guard: "a", Message: "x"}}}
	assert.Error(t, one, "refused by a guard: a: x")
	two := error(&Error{Violations: []Violation{{Guard: "a", Message: "x"}, {Guard: "b", Message: "y"}}})
	assert.Error(t, two, "refused by the stack's guards:\n  a: x\n  b: y")
	var coded interface{ ExitCode() int }
	assert.Assert(t, errors.As(two, &coded))
	assert.Equal(t, coded.ExitCode(), 3)
	text, err := json.Marshal(Violation{Guard: VolumeShrink, Message: "m"})
	assert.NilError(t, err)
	assert.Equal(t, string(text), `{"guard":"volume-shrink","message":"m"}`)
}

// What goes into the state comes back out of it, marked as the engine does.
func TestLayoutSurvivesTheState(t *testing.T) {
	s := settings.Settings{Environment: "prod"}
	s.Nodes.Count, s.Volumes.SizeGB = 2, 150
	s.Volumes.SizeGBByNode, s.Volumes.Adopt, s.Volumes.Retain = map[string]int{"2": 300}, map[string]string{"1": "kept"}, true
	nodes := cluster.NamedNodes("prod", 3)
	nodes[0].Zone, nodes[1].Zone, nodes[2].Zone = "AD-1", "AD-2", "AD-1"
	want := LayoutOf(s, "c", nodes)
	assert.DeepEqual(t, want, Layout{
		Scope:   "c",
		Nodes:   []LayoutNode{{0, "emqx-prod-0", "AD-1"}, {1, "emqx-prod-1", "AD-2"}},
		Volumes: []LayoutVolume{{0, "emqx-prod-0", "AD-1", 150, "", true}, {1, "emqx-prod-1", "AD-2", 150, "kept", true}, {2, "emqx-prod-2", "AD-1", 300, "", true}},
	})
	recording, err := recorder.Run(func(ctx *pulumi.Context) error {
		return ctx.RegisterComponentResourceV2("t:m:L", "layout", want.Inputs("s3cr3t"), &struct{ pulumi.ResourceState }{})
	}, recorder.Options{})
	assert.NilError(t, err)
	inputs := recording.Resources[0].Inputs
	assert.Assert(t, inputs["cookie"].IsSecret())
	outputs := resource.PropertyMap{"retained": resource.NewProperty([]resource.PropertyValue{
		resource.NewProperty(0.0), resource.NewProperty(1.0), resource.NewProperty(2.0),
	})}
	got, cookie := Read(inputs, outputs)
	assert.DeepEqual(t, got, want)
	assert.Equal(t, cookie, "s3cr3t")
	got, _ = Read(inputs, resource.PropertyMap{"retained": resource.NewProperty([]resource.PropertyValue{resource.NewProperty(1.0)})})
	assert.DeepEqual(t, []bool{got.Volumes[0].Retained, got.Volumes[1].Retained, got.Volumes[2].Retained}, []bool{false, true, false})
	got, _ = Read(inputs, nil)
	assert.Assert(t, !got.Volumes[1].Retained, "the update ended before the volumes were registered")

	inputs["nodes"] = resource.NewProperty(resource.Output{Element: resource.MakeSecret(inputs["nodes"]), Known: true})
	inputs["volumes"] = resource.MakeComputed(resource.NewProperty(""))
	got, _ = Read(inputs, outputs)
	assert.DeepEqual(t, got.Nodes, want.Nodes)
	assert.Equal(t, len(got.Volumes), 0, "unknown is unknown")
	got, cookie = Read(nil, nil)
	assert.Assert(t, len(got.Nodes)+len(got.Volumes) == 0 && cookie == "")
}

func TestJudge(t *testing.T) {
	bad := []Violation{{Guard: ScaleIn, Message: "m"}}
	for _, c := range []struct {
		name             string
		preview, collect bool
		found            []Violation
		fails            bool
	}{
		{"update", false, false, bad, true},
		{"preview", true, false, bad, true},
		{"collected update", false, true, bad, true},
		{"collected preview", true, true, bad, false},
		{"nothing found", false, true, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var collector Collector
			collector.Report(settings.Guards{}, []Violation{{Guard: "of the run before"}})
			_, err := recorder.Run(func(ctx *pulumi.Context) error {
				if c.collect {
					ctx = WithCollector(ctx, &collector)
					assert.Equal(t, len(collector.Judge(nil)), 0)
				}
				return Judge(ctx, settings.Guards{}, c.found)
			}, recorder.Options{Preview: c.preview})
			var refused *Error
			assert.Equal(t, errors.As(err, &refused), c.fails, "%v", err)
			if c.collect {
				assert.DeepEqual(t, collector.Judge(nil), c.found)
			}
		})
	}
}

func TestAPlanThatLosesAVolumeIsRefusedWhateverTheLayoutSays(t *testing.T) {
	plan := []Planned{
		{Op: "replace", HoldsData: true, Name: "volumes-1"},
		{Op: "delete", HoldsData: true, Name: "volumes-0"},
		{Op: "update", HoldsData: true, Name: "volumes-2"},
		{Op: "delete", HoldsData: true, Name: "volumes-4", Retained: true},
		{Op: "delete", Name: "volumes-3-backup"},
	}
	var c Collector
	got := c.Judge(plan)
	assert.Equal(t, len(got), 1)
	assert.Equal(t, got[0].String(), "volume-delete: DATA LOSS: the plan loses volumes with their data (delete volumes-0, replace volumes-1): "+
		"find out in the plan why, or set emqx-oci:guards.allowVolumeDelete to true")
	assert.Equal(t, len(c.Judge(plan[2:])), 0)

	c.Report(settings.Guards{AllowVolumeDelete: true}, nil)
	assert.Equal(t, len(c.Judge(plan)), 0)

	c.Report(settings.Guards{}, []Violation{{Guard: VolumeDelete, Message: "said already"}})
	assert.Equal(t, len(c.Judge(plan)), 1)
}

func TestAVolumeIsNotExchangedUnasked(t *testing.T) {
	with := func(adopted string, retained bool) Layout {
		return Layout{Volumes: []LayoutVolume{{Index: 1, Name: "emqx-lab-1", Zone: "AD-1", SizeGB: 50, Adopted: adopted, Retained: retained}}}
	}
	const kept = "ocid1.volume.oc1..kept"
	for name, c := range map[string]struct {
		old, next Layout
		allow     settings.Guards
		refused   bool
	}{
		"a first update":           {next: with(kept, false)},
		"in the place of its own":  {old: with("", false), next: with(kept, false), refused: true},
		"of one that is retained":  {old: with("", true), next: with(kept, true)},
		"allowed":                  {old: with("", false), next: with(kept, false), allow: settings.Guards{AllowVolumeDelete: true}},
		"adopted already":          {old: with(kept, false), next: with(kept, false)},
		"the setting goes":         {old: with(kept, false), next: with("", false)},
		"a wrong one is put right": {old: with("ocid1.volume.oc1..wrong", false), next: with(kept, false)},
	} {
		t.Run(name, func(t *testing.T) {
			found := Compare(c.old, c.next, "", "", c.allow, words)
			assert.Equal(t, len(found) > 0, c.refused, "%v", found)
			if c.refused {
				assert.Equal(t, found[0].Guard, VolumeDelete)
			}
		})
	}
}
