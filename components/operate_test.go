package components

import (
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// What is done between two updates has to mean the same nodes and jobs as they do.
func TestOperateIsOnTheStacksOwnNodes(t *testing.T) {
	s := settings.Settings{Environment: "prod"}
	s.Nodes.Count, s.Consul.Datacenter, s.Broker.Drain.Rate = 2, "dc1", 50
	s.Nomad.Address, s.Consul.Address = "https://nomad.example.com:4646", "https://consul.example.com:8501"
	c, err := Operate(s)
	assert.NilError(t, err)
	assert.DeepEqual(t, cluster.Names(c.Nodes), []string{"emqx-prod-0", "emqx-prod-1"})
	assert.Equal(t, c.Member(1), "emqx@emqx-prod-1.node.dc1.consul")
	assert.Equal(t, c.BrokerJob+" "+c.Proxy.Job, "emqx-prod emqx-prod-haproxy")
	assert.Equal(t, c.DrainRate, 50)
	var ids string
	for _, g := range c.Verification {
		ids += g.ID
	}
	assert.Equal(t, ids, "G2G3G5")

	s.Nomad.Address = ""
	_, err = Operate(s)
	assert.ErrorContains(t, err, "Nomad: no address")
}
