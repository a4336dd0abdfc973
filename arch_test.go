package emqxoci_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

const module = "github.com/emqx-oci/emqx-oci/"

// sourceFile is one Go file of the tree, without its tests.
type sourceFile struct {
	path, dir string
	syntax    *ast.File
	imports   []string
}

// in tells whether the file lies in one of the rooms.
func (f sourceFile) in(rooms ...string) bool {
	for _, room := range rooms {
		if f.dir == room || strings.HasPrefix(f.dir, room+"/") {
			return true
		}
	}
	return false
}

func sources(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || path == "tools" || path == "sdks" || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f := sourceFile{path: filepath.ToSlash(path), dir: filepath.ToSlash(filepath.Dir(path)), syntax: syntax}
		for _, spec := range syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imported)
		}
		files = append(files, f)
		return nil
	})
	assert.NilError(t, err)
	assert.Assert(t, len(files) > 20, "the test must see the tree")
	return files
}

// Data flows one way: settings -> stacks -> components -> outputs. Each room
// names the rooms that it may know; what it does not name is forbidden.
func TestRoomsKnowOnlyWhatTheyMay(t *testing.T) {
	may := map[string][]string{
		"components/fault":    {},
		"components/hocon":    {},
		"components/cluster":  {"components/fault"},
		"components/recorder": {},
		"components/consul":   {"components/cluster", "components/fault"},
		"components/nomad":    {"components/cluster", "components/fault"},
		"components/seams": {
			"components/blast", "components/cluster", "components/fault", "components/guards", "components/interrupted", "components/nomad",
			"components/preflight", "components/settings", "infra/gates",
		},
		// Kinds know what all of them are given, and nobody of the others.
		"components/hosts":                 kindsMay("components/oci"),
		"components/edge":                  kindsMay("components/oci", "components/interrupted"),
		"components/names":                 kindsMay("components/oci"),
		"components/proxy":                 kindsMay(),
		"components/internal/toyhosts":     kindsMay(),
		"components/kinds":                 {"components"},
		"components/oci":                   {"components/cluster", "components/fault", "components/interrupted", "components/oci/limits", "components/seams", "components/settings"},
		"components/recorder/recordertest": {"components/recorder", "components/fault"},
		"components/oci/limits":            {},
		"components/certs":                 {},
		"components/settings":              {"components/settings", "components/certs", "components/cluster", "components/fault", "components/oci/limits", "internal/structconfig"},
		"components/guards":                {"components/settings", "components/cluster", "components/fault"},
		// The whole: the graph with its gates.
		"components":            {"components", "infra/gates", "infra/operate"},
		"infra/gates":           {"infra/gates", "components/cluster"},
		"infra/operate":         {"infra/operate", "infra/gates", "components/certs", "components/cluster"},
		"infra/orchestrate":     {"infra/orchestrate", "infra/gates", "components/cluster", "components/interrupted"},
		"components/blast":      {"components/blast", "components/settings", "components/cluster"},
		"components/preflight":  {"components/settings", "components/certs", "components/cluster", "components/fault", "components/hocon", "components/recorder"},
		"stacks":                {"stacks", "components"},
		"infra":                 {"stacks"},
		"provider":              {"components", "infra/gates"},
		"internal/ocicli":       {},
		"internal/pluginschema": {"internal/pluginschema"},
		"cmd/internal":          {"infra/gates"}, // for printable text
		"cmd/emqx-oci":          {"cmd/emqx-oci", "cmd/internal", "stacks", "components", "infra"},
		"cmd/emqx-oci-lab":      {"cmd/emqx-oci-lab", "cmd/internal", "lab", "infra/orchestrate", "components/settings", "components/cluster"},
		"lab":                   {"lab", "internal/ocicli", "internal/pluginschema"},
		"lab/drill":             {"lab", "infra/gates"}, // it asks the product itself whether it is whole

		// What clouds and who runs the engine tell each other, who do not know each other.
		"components/interrupted": {},

		// It knows no setting, and who describes it is no part of what runs.
		"internal/structconfig":           {"components/fault"},
		"internal/structconfig/reference": {"internal/structconfig"},
	}
	for _, f := range sources(t) {
		room, allowed := "", []string(nil)
		for name, list := range may {
			if f.in(name) && len(name) > len(room) {
				room, allowed = name, list
			}
		}
		if room == "" {
			continue
		}
		for _, imported := range f.imports {
			other, ours := strings.CutPrefix(imported, module)
			if !ours || other == f.dir || strings.HasPrefix(other, "sdks/") { // generated, as those of other modules
				continue
			}
			assert.Assert(t, (sourceFile{dir: other}).in(allowed...), "%s imports %s: %s may know only %v", f.path, other, room, allowed)
		}
	}
}

// kindsMay is what an implementation of a seam may know.
func kindsMay(besides ...string) []string {
	return append(besides, "components/blast", "components/cluster", "components/fault", "components/guards", "components/nomad", "components/oci/limits",
		"components/preflight", "components/recorder", "components/seams", "components/settings", "infra/gates")
}

// Everybody stands on the ground floor, and so on what it stands on: it holds data and
// rules, and drags in neither an engine nor a cloud nor an agent's client.
func TestTheGroundFloorKnowsNoSDK(t *testing.T) {
	may := []string{"github.com/google/go-containerregistry/pkg/name", module + "components/fault"}
	seen := map[string]bool{}
	for _, f := range sources(t) {
		if !f.in("components/certs", "components/cluster", "components/fault", "components/interrupted", "components/oci/limits") {
			continue
		}
		seen[f.dir] = true
		for _, imported := range f.imports {
			first, _, _ := strings.Cut(imported, "/")
			assert.Assert(t, !strings.Contains(first, ".") || slices.Contains(may, imported), "%s imports %s", f.path, imported)
		}
	}
	assert.Equal(t, len(seen), 5, "%v", seen)
}

// Who deploys links nothing of the lab, nor what only the lab needs: the lab is a program of its own.
func TestTheProductIsBuiltWithoutTheLab(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/emqx-oci", "./infra").Output()
	assert.NilError(t, err)
	packages := strings.Fields(string(out))
	assert.Assert(t, len(packages) > 300 && slices.Contains(packages, module+"stacks"), "the test must see what is linked: %d packages", len(packages))
	for _, p := range packages {
		for _, not := range []string{
			module + "lab", module + "cmd/emqx-oci-lab", module + "internal", "testing", "gotest.tools",
			"github.com/google/go-containerregistry/pkg/v1", "github.com/docker", "github.com/oracle/oci-go-sdk", "github.com/vishvananda",
			"github.com/things-go/go-socks5", "github.com/mochi-mqtt", "github.com/pires/go-proxyproto", "github.com/golang-jwt", "golang.org/x/crypto/bcrypt", "github.com/johannesboyne/gofakes3",
			"github.com/hashicorp/nomad/nomad", "github.com/hashicorp/consul/agent",
		} {
			if p == module+"internal/structconfig" { // what the settings are decoded with
				continue
			}
			assert.Check(t, p != not && !strings.HasPrefix(p, not+"/"), "%s is linked", p)
		}
	}
}

// Every build and every test waits for the packages of which somebody uses a little and the compiler reads all. One of
// OCI's has 22 MB of source: two minutes of a core and 9 GB for one question.
func TestNothingCompilesAllOfIdentity(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-test", "-tags", "lab,drill,bench", "./...").Output()
	assert.NilError(t, err)
	const sdk = "github.com/pulumi/pulumi-oci/sdk/v3/go/oci/"
	packages := strings.Fields(string(out))
	assert.Assert(t, slices.Contains(packages, sdk+"core") && slices.Contains(packages, module+"lab/e2e"), "the test must see what is compiled: %d packages", len(packages))
	assert.Assert(t, !slices.Contains(packages, sdk+"identity"), "ask its provider by the function's token, as components/hosts/ocihosts does")
}

// A stack that runs elsewhere says so by its settings: no room of the product asks whether it is the lab's.
func TestNothingAsksForTheLab(t *testing.T) {
	for _, f := range sources(t) {
		if !f.in("components", "stacks", "infra") || f.in("stacks/draw") { // the picture is of the stack that is called so
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
				assert.Check(t, text.Value != `"lab"`, "%s names the lab", f.path)
			}
			return true
		})
	}
}

func TestOnlyOrchestrateDrivesTheEngine(t *testing.T) {
	for _, f := range sources(t) {
		for _, imported := range f.imports {
			if strings.HasPrefix(imported, "github.com/pulumi/pulumi/sdk/v3/go/auto") {
				assert.Assert(t, f.in("infra/orchestrate"), "%s imports the Automation API", f.path)
			}
		}
	}
}

// Pulumi's configuration is read by components/settings alone, handed the means to
// by stacks.Run: components take plain args.
func TestOnlySettingsReadConfiguration(t *testing.T) {
	for _, f := range sources(t) {
		if !f.in("components", "stacks", "infra/gates") || f.in("components/settings") {
			continue
		}
		for _, imported := range f.imports {
			assert.Assert(t, imported != "github.com/pulumi/pulumi/sdk/v3/go/pulumi/config", "%s reads configuration", f.path)
			assert.Assert(t, imported != "os" || f.in("stacks/example", "stacks/draw"), "%s reads the environment or files", f.path)
		}
		if f.path == "stacks/run.go" {
			continue
		}
		calls(f, func(receiver, name string) {
			assert.Assert(t, name != "GetConfig" && name != "IsConfigSecret", "%s calls %s.%s", f.path, receiver, name)
		})
	}
}

// A wait anywhere else would have no progress line, no timeout from the
// settings, and no reason at its end.
func TestOnlyGatesWait(t *testing.T) {
	for _, f := range sources(t) {
		if !f.in("components", "stacks", "infra") || f.in("infra/gates", "infra/orchestrate") {
			continue
		}
		calls(f, func(receiver, name string) {
			if receiver == "time" {
				assert.Assert(t, name != "Sleep" && name != "After" && name != "Tick" && name != "NewTicker" && name != "NewTimer" && name != "AfterFunc",
					"%s calls time.%s", f.path, name)
			}
		})
	}
}

// calls reports what a file selects, such as ("time", "Sleep").
func calls(f sourceFile, report func(receiver, name string)) {
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			receiver := ""
			if id, ok := s.X.(*ast.Ident); ok {
				receiver = id.Name
			}
			report(receiver, s.Sel.Name)
		}
		return true
	})
}
