package cluster

import (
	"net/netip"
	"testing"

	"gotest.tools/v3/assert"
)

// Decision 8, and what would break it: an empty list of domains.
func TestNodesAreSpreadOverTheDomainsInTurn(t *testing.T) {
	nodes, err := Nodes("prod", 5, []string{"AD-1", "AD-2", "AD-3"})
	assert.NilError(t, err)
	assert.DeepEqual(t, nodes, []Node{
		{0, "emqx-prod-0", "AD-1"},
		{1, "emqx-prod-1", "AD-2"},
		{2, "emqx-prod-2", "AD-3"},
		{3, "emqx-prod-3", "AD-1"},
		{4, "emqx-prod-4", "AD-2"},
	})
	_, err = Nodes("prod", 3, nil)
	assert.ErrorContains(t, err, "offers no availability domain")
}

// Decision 4: the name must not hold an address, nor the short name a digit at
// its end.
func TestEMQXNameIsStable(t *testing.T) {
	assert.Equal(t, EMQXName(NodeName("prod", 1), "dc1"), "emqx@emqx-prod-1.node.dc1.consul")
}

func TestNodeTagsWinOverExtraOnes(t *testing.T) {
	assert.DeepEqual(t, NodeTags("prod", 2, map[string]string{"group-index": "9", "team": "iot"}), map[string]string{
		"emqx-cluster": "prod", "group-index": "2", "pool_type": "emqx", "team": "iot",
	})
}

func TestListenersWithoutACertificate(t *testing.T) {
	assert.Equal(t, len(Listeners(true)), 4)
	for _, l := range Listeners(false) {
		assert.Assert(t, l.Port == 1883 || l.Port == 8083, l.Name)
	}
}

// Decision 7: at least 1.5 times the keep-alive, rounded up.
func TestIdleTimeout(t *testing.T) {
	assert.Equal(t, IdleTimeout(600), 900)
	assert.Equal(t, IdleTimeout(61), 92)
	assert.Equal(t, IdleTimeout(1200), MaxIdleTimeout)
}

// OCI keeps three addresses of every range.
func TestAddressesOfASubnet(t *testing.T) {
	for cidr, want := range map[string]int{
		"10.0.0.0/24": 253, "10.0.0.0/28": 13, "10.0.0.0/29": 5, "10.0.0.0/30": 1, "10.0.0.0/31": 0, "10.0.0.1/32": 0,
	} {
		assert.Equal(t, AddressesUsable(netip.MustParsePrefix(cidr)), want, cidr)
	}
	assert.Equal(t, AddressesNeeded(3), 7)
	assert.Assert(t, AddressesNeeded(6) <= AddressesUsable(netip.MustParsePrefix("10.0.0.0/28")))
	assert.Assert(t, AddressesNeeded(7) > AddressesUsable(netip.MustParsePrefix("10.0.0.0/28")))
}
