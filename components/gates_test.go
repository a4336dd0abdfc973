package components

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// What only the round trip can find out is told with the setting that changes it.
func TestTheRoundTripNamesTheEdge(t *testing.T) {
	s := settings.Settings{Edge: settings.Edge{Public: true, Backend: "address"}}
	assert.Equal(t, onTheWay(s), "emqx-oci:edge.backend, which is address: where G4 holds and no client gets through, try privateIp")
	s.Edge = settings.Edge{Backend: "privateIp"}
	assert.Assert(t, strings.HasPrefix(onTheWay(s), "whether this machine is inside the network") && strings.HasSuffix(onTheWay(s), "try address"), onTheWay(s))
	s.Gates.Proxy = "socks5h://10.0.0.1:1080"
	assert.Assert(t, strings.HasPrefix(onTheWay(s), "emqx-oci:edge.backend"), onTheWay(s))
}
