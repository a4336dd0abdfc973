package ocidns

import (
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// The estimate rests on the table of the lab's cloud, which names the sources.
func TestWordsSecondsAreTheLabsTable(t *testing.T) {
	assert.Equal(t, cloud.LatencyOCI(1).Of("oci:Dns/rrset:Rrset", cloud.OpUpdate), wordsRecordSeconds*time.Second)
}
