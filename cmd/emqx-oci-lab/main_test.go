package main

import (
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci-lab/cli"
)

func TestDoorOfALab(t *testing.T) {
	t.Setenv("EMQX_OCI_LAB_DOOR", "localhost")
	err := newLab(t.TempDir(), "emqx-oci-lab").Up(t.Context(), cli.UpOptions{})
	assert.Error(t, err, `EMQX_OCI_LAB_DOOR: must be a loopback address such as 127.0.77.1, got "localhost"`)
	t.Setenv("EMQX_OCI_LAB_DOOR", "127.0.90.1")
	assert.Equal(t, newLab("", "emqx-oci-lab").(localCloud).options.Door.String(), "127.0.90.1")
}
