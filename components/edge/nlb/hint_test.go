package nlb

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// What only the round trip can find out is told with the setting that changes it.
func TestTheRoundTripNamesTheEdge(t *testing.T) {
	s := settings.Settings{Edge: settings.Edge{Public: true, Backend: "address"}}
	assert.Equal(t, Edge{}.Hint(s), "emqx-oci:edge.backend, which is address: where G4 holds and no client gets through, try privateIp")
	s.Edge = settings.Edge{Backend: "privateIp"}
	assert.Assert(t, strings.HasPrefix(Edge{}.Hint(s), "whether this machine is inside the network") && strings.HasSuffix(Edge{}.Hint(s), "try address"), Edge{}.Hint(s))
	s.Gates.Proxy = "socks5h://10.0.0.1:1080"
	assert.Assert(t, strings.HasPrefix(Edge{}.Hint(s), "emqx-oci:edge.backend"), Edge{}.Hint(s))
}
