package main

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci/cli"
)

func TestDoorOfALab(t *testing.T) {
	t.Setenv("EMQX_OCI_LAB_DOOR", "localhost")
	err := newLab(t.TempDir(), "emqx-oci").Up(t.Context(), cli.LabUpOptions{})
	assert.Error(t, err, `EMQX_OCI_LAB_DOOR: must be a loopback address such as 127.0.77.1, got "localhost"`)
	t.Setenv("EMQX_OCI_LAB_DOOR", "127.0.90.1")
	assert.Equal(t, newLab("", "emqx-oci").(localCloud).options.Door.String(), "127.0.90.1")
}

func TestPipeTellsThatNobodyReads(t *testing.T) {
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGPIPE)
	defer signal.Stop(ignored)
	r, w, err := os.Pipe()
	assert.NilError(t, err)
	defer w.Close()
	told := make(chan os.Signal, 1)
	p := pipe{w, told}

	_, err = p.Write([]byte("read"))
	assert.NilError(t, err)
	assert.Equal(t, len(told), 0)

	assert.NilError(t, r.Close())
	for range 3 { // the first one tells; the others must not block
		_, err = p.Write([]byte("lost"))
		assert.ErrorIs(t, err, syscall.EPIPE)
	}
	assert.Equal(t, <-told, os.Signal(syscall.SIGPIPE))
}

func TestVersionIsThatOfTheTag(t *testing.T) {
	built := func(version string) *debug.BuildInfo { return &debug.BuildInfo{Main: debug.Module{Version: version}} }
	for _, c := range []struct {
		set  string
		info *debug.BuildInfo
		want string
	}{
		{"0.1.0", built("(devel)"), "0.1.0"}, // a release's archive
		{"v0.1.0", built("(devel)"), "0.1.0"},
		{"v0.1.0-3-ge78faf6-dirty", built("v9.9.9"), "0.1.0-3-ge78faf6-dirty"}, // make build
		{"e78faf6", built("(devel)"), "e78faf6"},                               // without any tag
		{"", built("v0.1.0"), "0.1.0"},                                         // go install ...@v0.1.0
		{"", built("v0.0.0-20261130120000-e78faf6e78fa+dirty"), "0.0.0-20261130120000-e78faf6e78fa+dirty"},
		{"", built("(devel)"), "(devel)"}, // go build -buildvcs=false
		{"", built(""), "(devel)"},
		{"", nil, "(devel)"},
	} {
		assert.Equal(t, currentVersion(c.set, c.info), c.want, "set %q, built %+v", c.set, c.info)
	}
}
