package emqxoci_test

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// makeWith runs make on this tree's Makefile with a PATH that has these scripts, and nothing
// else but what the distribution has, and gives what it prints.
func makeWith(t *testing.T, scripts map[string]string, args ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		assert.NilError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o700))
	}
	cmd := exec.CommandContext(t.Context(), "make", args...)
	cmd.Env = append(os.Environ(), "PATH="+dir+":/usr/bin:/bin", "MAKEFLAGS=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// nomad, consul and pulumi come out of their vendors' archives, and are built where that fails.
func TestToolsAreTakenOrBuilt(t *testing.T) {
	for _, program := range []string{"nomad", "consul", "pulumi"} {
		for _, taken := range []bool{true, false} {
			tools := t.TempDir()
			target := filepath.Join(tools, program)
			out, err := makeWith(t, map[string]string{program: "echo v0.0.0", "go": fmt.Sprintf(`
				echo "asked for go $1"
				case "$*" in
				  "run ./tools/prebuilt -to %s %s="[0-9]*) %t && echo taken > %s ;;
				  "build "*"-o %s "*) echo built > %s ;;
				  *) echo "go $*: not expected"; exit 1 ;;
				esac`, tools, program, taken, target, target, target)}, "TOOLS="+tools, target)
			assert.NilError(t, err, out)
			text, err := os.ReadFile(target)
			assert.NilError(t, err)
			assert.Equal(t, strings.TrimSpace(string(text)), map[bool]string{true: "taken", false: "built"}[taken], out)
			assert.Equal(t, strings.Contains(out, "building "+program), !taken, out)
		}
		tools := t.TempDir()
		out, err := makeWith(t, map[string]string{program: "echo v0.0.0", "go": "exit 1"}, "TOOLS="+tools, filepath.Join(tools, program))
		assert.Assert(t, err != nil, "neither taken nor built: %s", out)
	}
}

// One on PATH of the right version is taken as it is, however much it has to say after that line.
func TestToolsOnPathAreUsed(t *testing.T) {
	text, err := os.ReadFile("Makefile")
	assert.NilError(t, err)
	pinned := regexp.MustCompile(`(?m)^CONSUL_VERSION := (\S+)$`).FindSubmatch(text)
	assert.Assert(t, pinned != nil)
	for said, used := range map[string]bool{
		"echo Consul v" + string(pinned[1]) + "; seq 100000":  true,
		"echo Consul v" + string(pinned[1]) + "1; seq 100000": false,
		"exit 1": false,
	} {
		tools := t.TempDir()
		out, err := makeWith(t, map[string]string{"consul": said, "go": "echo asked to build; exit 1"}, "TOOLS="+tools, filepath.Join(tools, "consul"))
		assert.Equal(t, err == nil, used, out)
		assert.Equal(t, strings.Contains(out, "asked to build"), !used, out)
	}
}

func TestBuildTellsTheVersion(t *testing.T) {
	for described, want := range map[string]string{
		"echo v0.1.0":                " -X github.com/emqx-oci/emqx-oci/cmd/internal/console.version=v0.1.0' ",
		"echo 'fatal' >&2; exit 128": " -X github.com/emqx-oci/emqx-oci/cmd/internal/console.version=' ", // no repository
	} {
		out, err := makeWith(t, map[string]string{"git": described}, "-n", "build")
		assert.NilError(t, err, out)
		line := ""
		for each := range strings.Lines(out) {
			if strings.Contains(each, "./cmd/emqx-oci") {
				line = each
			}
		}
		assert.Assert(t, strings.Contains(line, want), out)
	}
}

func TestTidyIsCheckedInEveryModule(t *testing.T) {
	// It cannot be tidied: tests of its dependencies import what is no more.
	want := slices.DeleteFunc(modules(t), func(m string) bool { return m == "tools/nomad" })
	asked := filepath.Join(t.TempDir(), "asked")
	out, err := makeWith(t, map[string]string{"go": fmt.Sprintf(`
		echo "${PWD#%s/} $*" >> %s
		case "$PWD" in */tools/lint) exit 1 ;; esac`, root(t), asked)}, "tidy-check")
	assert.ErrorContains(t, err, "exit status 2", out)
	assert.Assert(t, strings.Contains(out, "tools/lint/go.mod or its go.sum is not tidy: run make tidy"), out)
	assert.Equal(t, strings.Count(out, "is not tidy"), 1, out)
	text, err := os.ReadFile(asked)
	assert.NilError(t, err)
	var got []string
	for line := range strings.Lines(string(text)) {
		module, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		assert.Equal(t, command, "mod tidy -diff")
		got = append(got, map[bool]string{true: ".", false: module}[module == root(t)])
	}
	slices.Sort(got)
	slices.Sort(want)
	assert.DeepEqual(t, got, want)
	lint, err := makeWith(t, map[string]string{"go": "", "golangci-lint": ""}, "-n", "lint")
	assert.NilError(t, err, lint)
	assert.Assert(t, strings.Contains(lint, "mod tidy -diff"), "make lint does not check it: %s", lint)
}

// Every reader that has a fuzz target is fuzzed, and one that fails ends it.
func TestEveryReaderIsFuzzed(t *testing.T) {
	want := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	assert.NilError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "." {
			return cmp.Or(err, filepath.SkipDir)
		}
		if strings.HasSuffix(path, "_test.go") {
			text, err := os.ReadFile(path)
			assert.NilError(t, err)
			for _, name := range declared.FindAllSubmatch(text, -1) {
				want[fmt.Sprintf("test ./%s -run ^$ -fuzz ^%s$ -fuzztime 7s -fuzzminimizetime 5s", filepath.Dir(path), name[1])] = true
			}
		}
		return nil
	}))
	assert.Assert(t, len(want) > 5)
	out, err := makeWith(t, map[string]string{"go": `echo "$*"`}, "fuzz", "FUZZTIME=7s")
	assert.NilError(t, err, out)
	got := map[string]bool{}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "test ") {
			got[strings.TrimSpace(line)] = true
		}
	}
	assert.DeepEqual(t, got, want)
	out, err = makeWith(t, map[string]string{"go": `case "$*" in *FuzzPEM*) exit 1 ;; esac`}, "fuzz")
	assert.ErrorContains(t, err, "exit status 2", out)
}

// Each program of a release is looked at, in the database of today, or in the pinned one where that is out of reach.
func TestProgramsAreLookedUpAmongVulnerabilities(t *testing.T) {
	var config goreleaser
	readYAML(t, ".goreleaser.yaml", &config)
	text, err := os.ReadFile("go.mod")
	assert.NilError(t, err)
	toolchain := regexp.MustCompile(`(?m)^toolchain (\S+)$`).FindSubmatch(text)
	assert.Assert(t, toolchain != nil)
	look := func(reached, found string) (string, error) {
		tools := t.TempDir()
		assert.NilError(t, os.WriteFile(filepath.Join(tools, "govulncheck"), []byte("#!/bin/sh\necho looks \"$*\"\n"+found), 0o700))
		return makeWith(t, map[string]string{"curl": reached, "go": `echo "$GOTOOLCHAIN: go $*"`}, "TOOLS="+tools, "vuln")
	}
	out, err := look("exit 0", "exit 0")
	assert.NilError(t, err, out)
	for _, b := range config.Builds {
		assert.Check(t, regexp.MustCompile(`(?m)^`+string(toolchain[1])+`: go build -o \S+ `+regexp.QuoteMeta(b.Main)+`$`).MatchString(out), "%s: %s", b.Main, out)
	}
	assert.Equal(t, strings.Count(out, "looks -db https://vuln.go.dev -mode binary "), len(config.Builds), out)

	out, err = look("exit 6", "exit 0")
	assert.NilError(t, err, out)
	assert.Assert(t, regexp.MustCompile(`cannot be reached: the snapshot of 20\d{6}\n`).MatchString(out), out)
	assert.Equal(t, strings.Count(out, "looks -db file:///"), len(config.Builds), out)

	out, err = look("exit 0", `[ -e "${0%/*}/second" ] || { >"${0%/*}/second"; exit 3; }`)
	assert.ErrorContains(t, err, "exit status 2", out)
	assert.Equal(t, strings.Count(out, "looks "), len(config.Builds), "one that fails hides no other: %s", out)
	verify, err := makeWith(t, map[string]string{"go": "", "golangci-lint": ""}, "-n", "verify")
	assert.NilError(t, err, verify)
	assert.Assert(t, strings.Contains(verify, "govulncheck -db"), "make verify does not look")
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	assert.NilError(t, err)
	return dir
}
