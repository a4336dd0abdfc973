package blast_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/blast"
)

var (
	// cloudNamed are names and texts of OCI: its short name at the begin of a word, ids, and types.
	cloudNamed = regexp.MustCompile(`\b[Oo][Cc][Ii]|OCI|Oci[A-Z]`)
	ownName    = strings.NewReplacer("emqx-oci", "", "emqx_oci", "")
	apart      = regexp.MustCompile(`[^a-z]+`)
	// implementations are words for what one implementation is made of, in small letters and without spaces.
	implementations = []string{
		"haproxy", "instancepool", "instanceconfiguration", "loadbalancer", "backendset", "rrset", "availabilitydomain", "privateip", "securitygroup",
	}
)

// namesImplementation tells whether a name or a text speaks of an implementation.
func namesImplementation(text string) bool {
	text = ownName.Replace(text)
	small := apart.ReplaceAllString(strings.ToLower(text), "")
	return cloudNamed.MatchString(text) || slices.ContainsFunc(implementations, func(w string) bool { return strings.Contains(small, w) })
}

// implementationsIn are the names and texts in the sources of a folder, but for comments and imports, that
// speak of an implementation; seen are all of them.
func implementationsIn(t *testing.T, folder string) (found []string, seen int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	assert.NilError(t, err)
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		positions := token.NewFileSet()
		file, err := parser.ParseFile(positions, path, nil, parser.SkipObjectResolution)
		assert.NilError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			var text string
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.Ident:
				text = n.Name
			case *ast.BasicLit:
				if n.Kind != token.STRING {
					return false
				}
				text, err = strconv.Unquote(n.Value)
				assert.NilError(t, err)
			default:
				return true
			}
			seen++
			if namesImplementation(text) {
				found = append(found, fmt.Sprintf("%s: %q", positions.Position(n.Pos()), text))
			}
			return true
		})
	}
	return found, seen
}

// What hosts, edge, proxy and names are made of is spoken of in the folder of their implementation alone.
func TestTheCommonPartNamesNoImplementation(t *testing.T) {
	for _, folder := range []string{".", "phrase"} {
		found, seen := implementationsIn(t, folder)
		assert.Assert(t, seen > 100, "the test must see the sources of %s: %d", folder, seen)
		assert.Equal(t, len(found), 0, "%s", strings.Join(found, "\n"))
	}
	for _, folder := range []string{"../hosts/ocihosts", "../edge/nlb", "../proxy/haproxy", "../names/ocidns"} {
		found, _ := implementationsIn(t, folder)
		assert.Assert(t, len(found) > 0, "%s names itself, and the test must see it", folder)
	}
	for text, want := range map[string]bool{
		"oci:Core/volume:Volume": true, "ocid1.volume": true, "typeOCI": true, "OciVolume": true, "leaves HAProxy": true, "the instance pools": true,
		"BackendSets": true, "emqx-oci up": false, "a social association": false, "the balancer": false,
	} {
		assert.Equal(t, namesImplementation(text), want, text)
	}
}

// rack are the words for hosts of another kind: machines in a rack, each with a disk that is wiped when its
// machine goes.
type rack struct{}

func (rack) NodeOf(c *blast.Change) int {
	kind, index, _ := strings.Cut(c.Part(), "-")
	n, err := strconv.Atoi(index)
	if err != nil || kind != "machines" && kind != "disks" {
		return -1
	}
	return n
}

func (rack) IsNode(c *blast.Change) bool { return c.ShortType() == "rack:Machine" }

func (rack) Inventory(changes []*blast.Change) []string {
	var have []string
	for _, c := range changes {
		have = append(have, map[string][]string{"rack:Machine": {"a machine"}, "rack:Disk": {"a disk"}}[c.ShortType()]...)
	}
	return have
}

func (rack) Opens(*blast.Change) string { return "" }

func (rack) Cosmetic(path string) bool { return path == "sticker" }

func (rack) VolumeLines(a *blast.Assessment) {
	for _, c := range a.Claim(blast.Of("rack:Disk", blast.Delete)) {
		disk := []*blast.Change{c}
		a.Nodes.VolumeLost = append(a.Nodes.VolumeLost, a.NodeNames(a.NodesOf(disk))...)
		a.Add(blast.Line{
			Severity: blast.DataLoss, Area: blast.AreaVolumes, Text: "The disk of " + a.NodeList(disk) + " is wiped", Brief: "1 disk wiped",
		}, disk)
	}
}

func (rack) HostLines(a *blast.Assessment) {
	if same := a.Claim(blast.Of("rack:Machine", blast.Update)); len(same) > 0 && a.OnlyCosmetic(same) {
		a.Add(blast.Line{Severity: blast.None, Area: "machines", Text: "Another sticker for " + a.NodeList(same)}, same)
	}
	if len(a.Nodes.Added) > 0 {
		a.Takes(blast.Making, blast.Part{What: "machines to boot", Seconds: a.Latency(300)})
	}
	if len(a.Nodes.Removed) > 0 {
		a.Takes(blast.Ending, blast.Part{What: "machines to halt", Seconds: a.Latency(30)})
	}
}

func (rack) AccessLines(*blast.Assessment) {}

// Hosts of another kind are words of their own: all else is told as ever.
func TestHostsOfAnotherKind(t *testing.T) {
	other := kinds
	other.Hosts = rack{}
	node := func(op string, i int) []blast.Change {
		backend := map[string]any{"backends": []any{map[string]any{"name": fmt.Sprintf("emqx-lab-%d", i), "port": 1883}}}
		set := blast.Change{
			Op: blast.Update, Type: "oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified",
			Name: "cluster-balancer-mqtt", New: backend,
		}
		if op == blast.Delete {
			set.Old, set.New = set.New, nil
		}
		return []blast.Change{
			{Op: op, Type: "rack:index/machine:Machine", Name: fmt.Sprintf("cluster-machines-%d", i)},
			{Op: op, Type: "rack:index/disk:Disk", Name: fmt.Sprintf("cluster-disks-%d", i)},
			{Op: op, Type: "consul:index/service:Service", Name: fmt.Sprintf("cluster-members-%d", i)},
			set,
			{Op: blast.Update, Type: "rack:index/machine:Machine", Name: "cluster-machines-0", Diffs: []blast.Diff{{Path: "sticker", Kind: "add", New: "x"}}},
			{Op: blast.Update, Type: "nomad:index/job:Job", Name: "cluster-emqx", Diffs: []blast.Diff{{Path: "hcl2.vars.node_count", Kind: "update", Old: "3", New: "x"}}},
		}
	}
	for name, c := range map[string]struct {
		op       string
		index    int
		nodes    int
		headline string
		want     []string
		parts    []string
	}{
		"one comes": {
			op: blast.Create, index: 3, nodes: 4, headline: "1 node added; 0 nodes restarted; no interruption",
			want: []string{
				"1 node added: emqx-lab-3",
				"With a disk, a machine, an entry in the list of members and 1 backend of the balancer (mqtt).",
				"It joins the running cluster.",
				"Another sticker for emqx-lab-0",
			},
			parts: []string{"machines to boot", "1 part of the balancer", "EMQX on new nodes: image, start, join", "the engine and its checks"},
		},
		"one goes": {
			op: blast.Delete, index: 2, nodes: 2, headline: "DATA LOSS: 1 disk wiped; 1 node removed; 0 nodes restarted",
			want: []string{
				"The disk of emqx-lab-2 is wiped",
				"1 node removed: emqx-lab-2",
				"What goes with it: a machine, an entry in the list of members and 1 backend of the balancer (mqtt).",
				"EMQX stops there first: about 1/3 of the clients reconnect to the others.",
			},
			parts: []string{"1 part of the balancer", "machines to halt", "EMQX to stay healthy", "the engine and its checks"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := lab()
			s.Nodes.Count = c.nodes
			changes := node(c.op, c.index)
			r := blast.Assess(changes, s, other)
			accounted(t, changes, r)
			assert.Equal(t, r.Headline, c.headline)
			names := []string{fmt.Sprintf("emqx-lab-%d", c.index)}
			if c.op == blast.Create {
				assert.DeepEqual(t, r.Nodes.Added, names)
			} else {
				assert.DeepEqual(t, r.Nodes.Removed, names)
				assert.DeepEqual(t, r.Nodes.VolumeLost, names)
			}
			assert.Equal(t, len(r.Nodes.Added)+len(r.Nodes.Removed), 1)
			var parts []string
			for _, p := range r.Estimate.Parts {
				parts = append(parts, p.What)
			}
			assert.DeepEqual(t, parts, c.parts)
			// Of its hosts nothing is left over, and nothing is told as of another kind.
			for _, l := range r.Lines {
				assert.Assert(t, l.Area != "other", "%+v", l)
				assert.Assert(t, !strings.Contains(l.Text, "instance"), "%+v", l)
			}
			// An area of its own comes behind those that every report has.
			assert.Equal(t, r.Lines[len(r.Lines)-1].Area, "machines")
			var text bytes.Buffer
			assert.NilError(t, r.Text(&text, false))
			told := strings.Join(strings.Fields(text.String()), " ")
			for _, want := range c.want {
				assert.Assert(t, strings.Contains(told, want), "%q in:\n%s", want, text.String())
			}
		})
	}
}
