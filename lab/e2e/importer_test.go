//go:build lab

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
	"gotest.tools/v3/assert"
)

const modulePath = "github.com/emqx-oci/emqx-oci"

// importer deploys a cluster with a Go program in a module of its own, which knows this module by nothing but a
// require line: no replace, no workspace, this tree only as an archive of a module proxy.
func importer(t *testing.T, b *bed) {
	dir := t.TempDir()
	assert.NilError(t, os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "examples", "go"))))
	p := newPlain(t, b)
	version := published(t, p)
	// What the language host builds has the size of a deployment's program, and a path of this run.
	p.env["GOCACHE"], p.env["XDG_CACHE_HOME"] = goEnv(t, "GOCACHE"), t.TempDir()
	for _, args := range [][]string{{"mod", "edit", "-require=" + modulePath + "@" + version}, {"mod", "tidy"}} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir, cmd.Env = dir, os.Environ()
		for k, v := range p.env {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
		out, err := cmd.CombinedOutput()
		assert.NilError(t, err, "%s", out)
	}
	used, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	assert.NilError(t, err)
	assert.Assert(t, !strings.Contains(string(used), "replace") && strings.Contains(string(used), modulePath+" "+version), "%s", used)

	r := p.pulumiIn(t, dir, "stack", "init")
	assert.Equal(t, r.code, 0, "%s", r)
	text, err := os.ReadFile(p.env["EMQX_OCI_LAB_SECRETS"])
	assert.NilError(t, err)
	var secrets map[string]string
	assert.NilError(t, json.Unmarshal(text, &secrets))
	r = p.pulumiIn(t, dir, "config", "set", "door", b.door)
	assert.Equal(t, r.code, 0, "%s", r)
	for _, key := range []string{"erlangCookie", "dashboardPassword", "apiKey", "apiSecret", "statsPassword"} {
		r = p.pulumiIn(t, dir, "config", "set", "--secret", key, secrets["emqx-oci:secrets."+key])
		assert.Equal(t, r.code, 0, "%s", r)
	}

	r = p.pulumiIn(t, dir, "up", "--yes", "--skip-preview")
	assert.Equal(t, r.code, 0, "%s", r)
	assert.Assert(t, strings.Contains(r.stdout, "verify: G5 round trip: a message came back through "+name+" by mqtt and ws"), "%s", r)
	r = p.pulumiIn(t, dir, "preview", "--json")
	assert.Equal(t, r.code, 0, "%s", r)
	var plan struct{ ChangeSummary map[string]int }
	assert.NilError(t, json.Unmarshal([]byte(r.stdout), &plan), "%s", r)
	assert.Equal(t, len(plan.ChangeSummary), 1, "%v", plan.ChangeSummary)
	assert.Assert(t, plan.ChangeSummary["same"] > 50, "%v", plan.ChangeSummary)
	r = p.pulumiIn(t, dir, "stack", "export")
	for path, secret := range secrets {
		assert.Assert(t, !strings.Contains(r.stdout, secret), "%s stands in the state in clear", path)
	}

	// A mistyped argument is told by its path, and nothing is touched.
	main := filepath.Join(dir, "main.go")
	source, err := os.ReadFile(main)
	assert.NilError(t, err)
	assert.NilError(t, os.WriteFile(main, []byte(strings.Replace(string(source), "MemoryMB: new(512)", "MemoryMB: new(5)", 1)), 0o600))
	r = p.pulumiIn(t, dir, "up", "--yes", "--skip-preview")
	assert.Assert(t, r.code != 0 && strings.Contains(r.stdout+r.stderr, "broker.memoryMb: must be 320 to 4000000, got 5"), "%s", r)
	assert.NilError(t, os.WriteFile(main, source, 0o600))

	r = p.pulumiIn(t, dir, "destroy", "--yes", "--skip-preview")
	assert.Equal(t, r.code, 0, "%s", r)
	r = p.pulumiIn(t, dir, "stack", "rm", "--yes")
	assert.Equal(t, r.code, 0, "%s", r)
	nothingLeft(t, b)
}

// published makes a module proxy of this tree, as it stands, before the ones in use, and gives its version. The
// proxy is in the environment of p.
func published(t *testing.T, p *plain) string {
	t.Helper()
	root, proxy := filepath.Join("..", ".."), t.TempDir()
	now := time.Now().UTC()
	m := module.Version{Path: modulePath, Version: module.PseudoVersion("v0", "", now, fmt.Sprintf("%012x", os.Getpid()))}
	at := filepath.Join(proxy, m.Path, "@v")
	assert.NilError(t, os.MkdirAll(at, 0o755))
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	assert.NilError(t, err)
	info, err := json.Marshal(map[string]any{"Version": m.Version, "Time": now})
	assert.NilError(t, err)
	for name, text := range map[string][]byte{"list": []byte(m.Version + "\n"), m.Version + ".info": info, m.Version + ".mod": mod} {
		assert.NilError(t, os.WriteFile(filepath.Join(at, name), text, 0o644))
	}
	archive, err := os.Create(filepath.Join(at, m.Version+".zip"))
	assert.NilError(t, err)
	assert.NilError(t, zip.Create(archive, m, moduleFiles(t, root)))
	assert.NilError(t, archive.Close())

	p.env["GOPROXY"] = "file://" + proxy + "," + goEnv(t, "GOPROXY")
	p.env["GONOSUMDB"] = strings.Trim(goEnv(t, "GONOSUMDB")+","+modulePath, ",")
	p.env["GOFLAGS"] = strings.TrimSpace(goEnv(t, "GOFLAGS") + " -mod=mod -modcacherw")
	cache := goEnv(t, "GOMODCACHE")
	t.Cleanup(func() {
		assert.Check(t, os.RemoveAll(filepath.Join(cache, m.Path+"@"+m.Version)))
		left, err := filepath.Glob(filepath.Join(cache, "cache", "download", m.Path, "@v", m.Version+".*"))
		assert.Check(t, err)
		for _, name := range left {
			assert.Check(t, os.Remove(name))
		}
	})
	return m.Version
}

func goEnv(t *testing.T, key string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", key).Output()
	assert.NilError(t, err)
	return strings.TrimSpace(string(out))
}

// moduleFiles are the files of this module: all of the tree but what is hidden or built, and other modules.
func moduleFiles(t *testing.T, root string) []zip.File {
	t.Helper()
	var files []zip.File
	assert.NilError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		switch {
		case err != nil || name == ".":
			return err
		case d.IsDir():
			_, other := os.Lstat(filepath.Join(path, "go.mod"))
			if strings.HasPrefix(d.Name(), ".") || name == "bin" || other == nil {
				return filepath.SkipDir
			}
		case d.Type().IsRegular():
			files = append(files, treeFile{root, filepath.ToSlash(name)})
		}
		return nil
	}))
	assert.Assert(t, len(files) > 500, "the test must see the tree, not %d files", len(files))
	return files
}

// treeFile is a file of the tree.
type treeFile struct{ root, name string }

func (f treeFile) Path() string                 { return f.name }
func (f treeFile) Lstat() (fs.FileInfo, error)  { return os.Lstat(filepath.Join(f.root, f.name)) }
func (f treeFile) Open() (io.ReadCloser, error) { return os.Open(filepath.Join(f.root, f.name)) }
