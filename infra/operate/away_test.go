package operate

import (
	"net"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// The real clients against servers that are gone, and servers that take a connection
// and never answer: at 3 a.m. both happen, and the screen must come.
func TestServersThatDoNotAnswer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	defer func() { _ = silent.Close() }()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	assert.NilError(t, gone.Close())
	for name, address := range map[string]string{"silent": "http://" + silent.Addr().String(), "gone": "http://" + gone.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			nomadAPI, err := gates.NewNomad(gates.NomadConfig{Address: address})
			assert.NilError(t, err)
			consulAPI, err := gates.NewConsul(gates.ConsulConfig{Address: address})
			assert.NilError(t, err)
			c, err := New(Config{
				Environment: "lab", Datacenter: "dc1", Count: 1, Nomad: nomadAPI, Consul: consulAPI, Proxy: testProxy,
				Formed: gates.ClusterFormed(nomadAPI, gates.ClusterFormedArgs{Job: "emqx-lab", Nodes: []string{member(0)}}),
			})
			assert.NilError(t, err)
			begin := time.Now()
			s := c.Status(t.Context(), StatusOptions{Timeout: time.Second})
			assert.Assert(t, time.Since(begin) < 5*time.Second, "took %s", time.Since(begin))
			assert.Equal(t, len(s.Problems), 2, "%v", what(s))
			assert.Assert(t, strings.HasPrefix(s.Problems[0].What, "cannot reach Nomad at "+address), s.Problems[0].What)
			assert.Assert(t, strings.HasPrefix(s.Problems[1].What, "cannot reach Consul at "+address), s.Problems[1].What)
			n := s.Nodes[0]
			assert.Equal(t, n.Nomad+n.Broker.State+n.Check+n.Member, "unknown")
		})
	}
}
