package ocihosts

import (
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// ADR 0013, and what would break it: an empty list of domains.
func TestNodesAreSpreadOverTheDomainsInTurn(t *testing.T) {
	nodes, err := Place("prod", 5, []string{"AD-1", "AD-2", "AD-3"})
	assert.NilError(t, err)
	assert.DeepEqual(t, nodes, []cluster.Node{
		{Index: 0, Name: "emqx-prod-0", Zone: "AD-1"},
		{Index: 1, Name: "emqx-prod-1", Zone: "AD-2"},
		{Index: 2, Name: "emqx-prod-2", Zone: "AD-3"},
		{Index: 3, Name: "emqx-prod-3", Zone: "AD-1"},
		{Index: 4, Name: "emqx-prod-4", Zone: "AD-2"},
	})
	assert.DeepEqual(t, faultDomainsOf(5, 3), []int{1, 1, 1, 2, 2})
	// Most regions have one domain.
	nodes, err = Place("prod", 4, []string{"AD-1"})
	assert.NilError(t, err)
	for _, n := range nodes {
		assert.Equal(t, n.Zone, "AD-1")
	}
	assert.DeepEqual(t, faultDomainsOf(4, 1), []int{1, 2, 3, 1})
	assert.DeepEqual(t, faultDomainsOf(2, 0), []int{0, 0})
	_, err = Place("prod", 3, nil)
	assert.ErrorContains(t, err, "offers no availability domain")
}

func faultDomainsOf(nodes, domains int) []int {
	found := make([]int, nodes)
	for i := range found {
		found[i] = faultDomain(i, domains)
	}
	return found
}
