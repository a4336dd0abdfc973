package ocihosts

import (
	"fmt"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// faultDomains of an availability domain.
const faultDomains = 3

// Place names the nodes of an environment and puts each into an availability domain, its zone. This is the one place
// that decides it, index modulo the number of domains: a volume can only be attached inside its own domain, so the
// volume and the pool of a node must never come to different answers (ADR 0013).
func Place(environment string, count int, availabilityDomains []string) ([]cluster.Node, error) {
	if len(availabilityDomains) == 0 {
		return nil, fmt.Errorf("placing the nodes of %q: the region offers no availability domain", environment)
	}
	nodes := cluster.NamedNodes(environment, count)
	for i := range nodes {
		nodes[i].Zone = availabilityDomains[i%len(availabilityDomains)]
	}
	return nodes, nil
}

// faultDomain is the part of its availability domain, 1 to 3, that a node's instance is in. Nodes that share a domain,
// all of them in a region that has one, are in different ones as far as there are any. OCI would spread the instances
// of one pool only, and each node has a pool of its own; 0, where the number of domains is not known, leaves it to OCI.
func faultDomain(index, domains int) int {
	if domains == 0 {
		return 0
	}
	return index/domains%faultDomains + 1
}
