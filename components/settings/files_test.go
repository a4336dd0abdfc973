package settings_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
)

// readFile reads a stack file the way `check` does.
func readFile(text []byte) error {
	values, secretKeys, err := settings.ParseStackFile(text)
	if err != nil {
		return err
	}
	return check(values, func(key string) bool { return slices.Contains(secretKeys, key) })
}

func check(values map[string]string, isSecret func(key string) bool) error {
	_, err := settings.Load("prod", settings.Source{
		Get:      func(key string) (string, bool) { v, ok := values[key]; return v, ok },
		IsSecret: isSecret,
		Keys:     slices.Sorted(maps.Keys(values)),
		Getenv:   func(string) string { return "" },
		Offline:  true,
	})
	return err
}

// stackFiles are those below a folder of testdata, by their names.
func stackFiles(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
	assert.NilError(t, err)
	files := map[string][]byte{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		assert.NilError(t, err)
		files[strings.TrimSuffix(filepath.Base(path), ".yaml")] = text
	}
	return files
}

// expected splits a bad file's first comment, which holds what the file is
// refused with, from the rest.
func expected(text string) (want, rest string) {
	const title = "# Refused with:\n"
	text, ok := strings.CutPrefix(text, title)
	for ok && strings.HasPrefix(text, "# ") {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		want += strings.TrimPrefix(line, "# ") + "\n"
	}
	return strings.TrimSuffix(want, "\n"), text
}

// Each file holds its message in front. `go test -update` writes it anew: read
// what it wrote.
func TestBadFiles(t *testing.T) {
	files := stackFiles(t, "bad")
	assert.Assert(t, len(files) >= 60)
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			want, rest := expected(string(text))
			err := readFile(text)
			assert.Assert(t, err != nil, "the file is accepted")
			got := err.Error()
			assert.Assert(t, !strings.Contains(got, "hidden"), "an error shows a secret: %s", got)
			if golden.FlagUpdate() && got != want {
				body := "# Refused with:\n# " + strings.ReplaceAll(got, "\n", "\n# ") + "\n" + rest
				assert.NilError(t, os.WriteFile(filepath.Join("testdata", "bad", name+".yaml"), []byte(body), 0o600))
				return
			}
			assert.Equal(t, got, want)
		})
	}
}

func TestGoodFiles(t *testing.T) {
	for name, text := range stackFiles(t, "good") {
		t.Run(name, func(t *testing.T) { assert.NilError(t, readFile(text)) })
	}
}

// The command line reads a stack's file beside its project; what it says of a
// file is what the cases above say.
func TestTheCommandLineReadsTheSame(t *testing.T) {
	dir := t.TempDir()
	project, err := os.ReadFile("../../Pulumi.yaml")
	assert.NilError(t, err)
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), project, 0o600))
	files := stackFiles(t, "good")
	for name, text := range stackFiles(t, "bad") {
		files[name] = text
	}
	for name, text := range files {
		assert.NilError(t, os.WriteFile(filepath.Join(dir, "Pulumi."+name+".yaml"), text, 0o600))
		want := readFile(text)
		c, err := orchestrate.Read(dir, name)
		if err != nil {
			assert.Assert(t, want != nil, "%s: %v", name, err)
			continue
		}
		values := map[string]string{}
		for _, key := range c.Keys() {
			values[key], _ = c.Get(key)
		}
		got := check(values, c.IsSecret)
		assert.Equal(t, message(got), message(want), name)
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// The two examples differ in values alone: what a person tries in one place can
// be said in the other.
func TestProductionAndStagingHaveTheSameKeys(t *testing.T) {
	paths := map[string][]string{}
	for _, stack := range []string{"prod", "staging"} {
		text, err := os.ReadFile("../../Pulumi." + stack + ".yaml")
		assert.NilError(t, err)
		values, _, err := settings.ParseStackFile(text)
		assert.NilError(t, err)
		for group, text := range values {
			paths[stack] = append(paths[stack], group)
			var given map[string]any
			if json.Unmarshal([]byte(text), &given) == nil {
				for key := range given {
					paths[stack] = append(paths[stack], group+"."+key)
				}
			}
		}
		slices.Sort(paths[stack])
	}
	assert.Assert(t, len(paths["prod"]) > 40)
	assert.DeepEqual(t, paths["prod"], paths["staging"])
}
