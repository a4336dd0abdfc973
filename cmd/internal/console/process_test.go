package console

import (
	"os"
	"os/signal"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"
)

func TestPipeTellsThatNobodyReads(t *testing.T) {
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGPIPE)
	defer signal.Stop(ignored)
	r, w, err := os.Pipe()
	assert.NilError(t, err)
	defer w.Close()
	told := make(chan os.Signal, 1)
	p := Pipe{w, told}

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
