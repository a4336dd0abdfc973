package agenttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Root is the folder that holds the pinned tools in bin.
func Root() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "..", "..", ".tools")
}

// Tool is the path of one of the pinned tools, or of a program on PATH. When there
// is neither, the test fails; a unit test on a bare machine is skipped.
func Tool(t testing.TB, name string) string {
	t.Helper()
	built := filepath.Join(Root(), "bin", name)
	if _, err := os.Stat(built); err == nil {
		return built
	}
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case strict || os.Getenv("CI") != "":
		t.Fatalf("%s is neither built nor installed: run `make setup`", name)
	default:
		t.Skipf("%s is neither built nor installed: run `make setup`", name)
	}
	return ""
}
