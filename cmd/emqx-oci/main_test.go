package main

import (
	"os"
	"os/signal"
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
