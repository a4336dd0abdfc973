package emqxoci_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
	"gotest.tools/v3/assert"
)

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	assert.NilError(t, err)
	assert.NilError(t, yaml.Unmarshal(text, into), file)
}

// goreleaser is what the tests look at of its configuration.
type goreleaser struct {
	Builds []struct {
		Main, Binary              string
		Env, Flags, LDFlags, GOOS []string
		GOARCH                    []string
	}
	Archives []struct {
		Formats, Files []string
	}
	Checksum struct {
		NameTemplate string `yaml:"name_template"`
		Algorithm    string
		Disable      bool
	}
	SBOMs []struct {
		Artifacts, Cmd string
		Args           []string
	} `yaml:"sboms"`
}

// A release holds the programs that make build makes, for the four machines, with sums and
// lists of what is in them.
func TestReleaseHoldsWhatIsBuilt(t *testing.T) {
	var config goreleaser
	readYAML(t, ".goreleaser.yaml", &config)
	makefile, err := os.ReadFile("Makefile")
	assert.NilError(t, err)
	built := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\tgo build .* -o \$\(BIN\)/(\S+) (\./\S+)$`).FindAllSubmatch(makefile, -1) {
		built[string(m[1])] = string(m[2])
	}
	assert.Equal(t, built["emqx-oci"], "./cmd/emqx-oci")
	released := map[string]string{}
	for _, b := range config.Builds {
		released[b.Binary] = b.Main
		assert.DeepEqual(t, b.Env, []string{"CGO_ENABLED=0"})
		assert.DeepEqual(t, b.Flags, []string{"-trimpath", "-buildvcs=false"})
		assert.DeepEqual(t, b.GOARCH, []string{"amd64", "arm64"})
		systems := []string{"linux"}
		if b.Binary == "pulumi-resource-emqx" { // its version is its schema's
			assert.DeepEqual(t, b.LDFlags, []string{"-s -w -X main.version={{ .Version }}"})
		}
		if b.Binary == "emqx-oci" || b.Binary == "pulumi-resource-emqx" {
			systems = append(systems, "darwin")
		}
		if strings.HasPrefix(b.Binary, "emqx-oci") { // a person asks it for its version
			assert.DeepEqual(t, b.LDFlags, []string{"-s -w -X github.com/emqx-oci/emqx-oci/cmd/internal/console.version={{ .Version }}"})
		}
		assert.DeepEqual(t, b.GOOS, systems)
	}
	assert.DeepEqual(t, released, built)

	assert.Equal(t, len(config.Archives), 1)
	assert.DeepEqual(t, config.Archives[0].Formats, []string{"tar.gz"})
	for _, file := range config.Archives[0].Files {
		_, err := os.Stat(file)
		assert.NilError(t, err)
	}
	assert.Assert(t, slices.Contains(config.Archives[0].Files, "LICENSE"))
	assert.Equal(t, config.Checksum.Algorithm, "sha256")
	assert.Assert(t, !config.Checksum.Disable && strings.HasSuffix(config.Checksum.NameTemplate, "SHA256SUMS"))
	assert.Equal(t, len(config.SBOMs), 1)
	assert.Equal(t, config.SBOMs[0].Artifacts, "binary")
	assert.Assert(t, slices.Contains(config.SBOMs[0].Args, "-licenses"))

	// The linker says nothing when there is no such variable.
	source, err := os.ReadFile("cmd/internal/console/process.go")
	assert.NilError(t, err)
	assert.Assert(t, regexp.MustCompile(`(?m)^var version string$`).Match(source), "console.version is what -X sets")
}

// The linters' target compiles each program for each system that it is released for, and for a processor that make build
// does not.
func TestLintCompilesWhatIsReleased(t *testing.T) {
	var config goreleaser
	readYAML(t, ".goreleaser.yaml", &config)
	tools := t.TempDir()
	for _, name := range []string{"golangci-lint", "goreleaser"} {
		assert.NilError(t, os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\necho "+name+` "$@"`), 0o700))
	}
	out, err := makeWith(t, map[string]string{"go": `echo "$GOOS/$GOARCH $*"`, "find": "exit 0"}, "TOOLS="+tools, "lint")
	assert.NilError(t, err, out)
	for _, b := range config.Builds {
		for _, system := range b.GOOS {
			assert.Check(t, regexp.MustCompile(`(?m)^`+system+`/arm64 build (\S+ )*`+regexp.QuoteMeta(b.Main)+`( |$)`).MatchString(out),
				"%s is not compiled for %s: %s", b.Main, system, out)
		}
	}
	assert.Assert(t, strings.Contains(out, "\ngoreleaser check\n"), out)
}

// Only a tag makes a release, from the source alone, and only that job may write here.
func TestReleasesAreMadeOfTags(t *testing.T) {
	w := workflows(t)["release.yml"]
	var on struct {
		Push struct{ Tags, Branches []string }
	}
	assert.NilError(t, w.On.Decode(&on))
	assert.DeepEqual(t, eventNames(w.On), []string{"push"})
	assert.Equal(t, len(on.Push.Branches), 0)
	assert.Equal(t, len(on.Push.Tags), 1)
	job := w.Jobs["release"]
	assert.Equal(t, len(w.Jobs), 1)
	assert.Equal(t, job.RunsOn, "ubuntu-24.04")
	runs, attested := "", false
	for _, s := range job.Steps {
		runs += s.Run
		switch action, _, _ := strings.Cut(s.Uses, "@"); action {
		case "actions/checkout":
			assert.Equal(t, s.With["fetch-depth"], "0", "git describe needs the tags")
		case "actions/setup-go":
			assert.Equal(t, s.With["cache"], "false")
		case "actions/attest-build-provenance":
			attested = true
			assert.Equal(t, runs, "make release", "it is of what was made")
			for _, kind := range []string{"dist/*.tar.gz", "dist/*.cdx.json", "dist/*_SHA256SUMS"} {
				assert.Assert(t, strings.Contains(s.With["subject-path"], kind), "%s has no provenance", kind)
			}
		default:
			assert.Equal(t, s.Uses, "", "what is published comes from the source alone")
		}
	}
	assert.Equal(t, runs, "make release")
	assert.Assert(t, attested, "nobody could tell where a file of a release was made")
}

// The notes of a release are its section of CHANGELOG.md, and one without a section is none.
func TestReleaseHasItsNotes(t *testing.T) {
	changelog, err := os.ReadFile("CHANGELOG.md")
	assert.NilError(t, err)
	newest := regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$`).FindSubmatch(changelog)
	assert.Assert(t, newest != nil, "CHANGELOG.md has no version")
	release := func(tag string) (string, error) {
		tools := t.TempDir()
		for name, script := range map[string]string{
			"goreleaser":      `[ "$1 $2 $3" = "release --clean --release-notes" ] && cat "$4"`,
			"cyclonedx-gomod": "exit 1",
		} {
			assert.NilError(t, os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\n"+script), 0o700))
		}
		return makeWith(t, map[string]string{"git": "echo " + tag, "go": "exit 1"}, "TOOLS="+tools, "release")
	}
	out, err := release("v" + string(newest[1]))
	assert.NilError(t, err, out)
	assert.Assert(t, strings.Contains(out, "### Added"), out)
	assert.Assert(t, !strings.Contains(out, "\n## ["), out)
	version := string(newest[1])
	out, err = release("v" + version[:len(version)-1]) // none, but the beginning of one
	assert.ErrorContains(t, err, "exit status 2")
	assert.Assert(t, strings.Contains(out, "CHANGELOG.md must have a section ["), out)
}

// Newer versions are looked for in every module and of every action.
func TestUpdaterLooksAtEveryModule(t *testing.T) {
	var config struct {
		Version int
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directory   string
			Directories []string
			Schedule    struct{ Interval string }
		}
	}
	readYAML(t, ".github/dependabot.yml", &config)
	assert.Equal(t, config.Version, 2)
	looked := map[string][]string{}
	for _, u := range config.Updates {
		assert.Assert(t, u.Schedule.Interval != "", u.Ecosystem)
		looked[u.Ecosystem] = append(looked[u.Ecosystem], slices.Concat(u.Directories, []string{u.Directory})...)
	}
	want := map[string]bool{}
	for _, module := range modules(t) {
		directory := path.Join("/", module)
		want[directory] = true
		assert.Check(t, slices.Contains(looked["gomod"], directory), "dependabot.yml does not look at %s", directory)
	}
	for _, directory := range looked["gomod"] {
		assert.Check(t, directory == "" || want[directory], "dependabot.yml looks at %s, which has no go.mod", directory)
	}
	assert.Assert(t, slices.Contains(looked["github-actions"], "/"))
}

// modules are the folders of all go.mod files.
func modules(t *testing.T) []string {
	t.Helper()
	var found []string
	assert.NilError(t, filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && file != "." {
			return filepath.SkipDir
		}
		if err == nil && d.Name() == "go.mod" {
			found = append(found, filepath.ToSlash(filepath.Dir(file)))
		}
		return err
	}))
	assert.Assert(t, len(found) >= 6, "the test must see the modules, got %v", found)
	return found
}

// Minutes of building are spent once per pin: what a cache gives back is named by all that
// the tools are made of, and make is told to take it.
func TestToolsAreCached(t *testing.T) {
	for name, job := range workflows(t)["test.yml"].Jobs {
		cached, restored := false, false
		for _, s := range job.Steps {
			if strings.HasPrefix(s.Uses, "actions/cache@") {
				cached = true
				assert.Equal(t, s.With["path"], ".tools/bin")
				assert.Assert(t, strings.Contains(s.With["key"], "hashFiles('Makefile', 'go.mod', 'tools/**')"), s.With["key"])
				assert.Assert(t, strings.Contains(s.With["key"], "github.job"), "%s: another job has other tools", name)
			}
			switch {
			case s.Run == "make restored":
				assert.Assert(t, cached, name)
				restored = true
			case strings.Contains(s.Run, "make "):
				assert.Assert(t, restored, "%s: %s builds the tools anew", name, s.Run)
			}
		}
		assert.Assert(t, restored, "%s: nothing is cached", name)
	}
	var gitlab struct {
		Build struct{ Cache struct{ Paths []string } } `yaml:".build"`
		Cloud struct {
			Before []string `yaml:"before_script"`
		} `yaml:".cloud"`
	}
	readYAML(t, gitlabFile, &gitlab)
	assert.DeepEqual(t, gitlab.Build.Cache.Paths, []string{".cache", ".tools/bin"})
	assert.Assert(t, slices.Contains(gitlab.Cloud.Before, "make restored build pulumi"), "%v", gitlab.Cloud.Before)
}

// What a cache gives back is older than a checkout, and still not built again.
func TestRestoredToolsAreTakenAsTheyAre(t *testing.T) {
	tools := t.TempDir()
	nomad := filepath.Join(tools, "nomad")
	assert.NilError(t, os.WriteFile(nomad, []byte("cached"), 0o600))
	past := time.Now().AddDate(-1, 0, 0)
	assert.NilError(t, os.Chtimes(nomad, past, past))
	fails := map[string]string{"nomad": "echo v0.0.0", "go": "echo building >&2; exit 1"}
	out, err := makeWith(t, fails, "TOOLS="+tools, nomad)
	assert.Assert(t, err != nil, "the test must see that it is stale: %s", out)
	out, err = makeWith(t, fails, "TOOLS="+tools, "restored")
	assert.NilError(t, err, out)
	out, err = makeWith(t, fails, "TOOLS="+tools, nomad)
	assert.NilError(t, err, out)
	out, err = makeWith(t, fails, "TOOLS="+filepath.Join(tools, "none"), "restored")
	assert.NilError(t, err, "nothing was cached: %s", out)
}
