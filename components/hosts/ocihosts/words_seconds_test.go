package ocihosts

import (
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// The estimate rests on the table of the lab's cloud, which names the sources.
func TestWordsSecondsAreTheLabsTable(t *testing.T) {
	real := cloud.LatencyOCI(1)
	for _, c := range []struct {
		token   string
		op      cloud.Op
		seconds int
	}{
		{"oci:Core/volume:Volume", cloud.OpCreate, wordsVolumeSeconds},
		{"oci:Core/instancePool:InstancePool", cloud.OpCreate, wordsPoolSeconds},
		{cloud.LaunchInstance, cloud.OpCreate, wordsLaunchSeconds},
		{cloud.BootInstance, cloud.OpCreate, wordsBootSeconds},
		{cloud.AttachVolume, cloud.OpCreate, wordsAttachSeconds},
		{cloud.AssignAddress, cloud.OpCreate, wordsAddressSeconds},
		{cloud.TerminateInstance, cloud.OpDelete, wordsEndSeconds},
	} {
		assert.Equal(t, real.Of(c.token, c.op), time.Duration(c.seconds)*time.Second, c.token)
	}
}
