package cluster

import "fmt"

// Node is one member of the cluster: one instance pool of size 1, one volume,
// one reserved address, one Nomad client, one EMQX and one HAProxy allocation.
type Node struct {
	// Index is 0..N-1; it pins everything that belongs to the node together.
	Index int
	// Name is the name in OCI, Consul and Nomad: "emqx-prod-0".
	Name string
	// AvailabilityDomain holds the node's volume and its instance; empty where it does
	// not matter.
	AvailabilityDomain string
	// FaultDomain holds its instance, too: 1 to 3, which is how many an availability
	// domain has. 0 leaves it to the cloud, which spreads the instances of one pool
	// only, and each node has a pool of its own.
	FaultDomain int
}

// MaxNodes is the number of brokers that one HAProxy has slots for. They are there from
// the start, so that a new node needs no new configuration.
const MaxNodes = 100

// faultDomains of an availability domain.
const faultDomains = 3

// Nodes names and places the nodes of an environment. This is the one place
// that decides a node's availability domain, index modulo the number of
// domains: a volume can only be attached inside its own domain, so the volume
// and the pool of a node must never come to different answers (ADR 0013). Nodes that
// share a domain, all of them in a region that has one, are in different fault domains
// as far as there are any.
func Nodes(environment string, count int, availabilityDomains []string) ([]Node, error) {
	if len(availabilityDomains) == 0 {
		return nil, fmt.Errorf("placing the nodes of %q: the region offers no availability domain", environment)
	}
	nodes := NamedNodes(environment, count)
	for i := range nodes {
		nodes[i].AvailabilityDomain = availabilityDomains[i%len(availabilityDomains)]
		nodes[i].FaultDomain = i/len(availabilityDomains)%faultDomains + 1
	}
	return nodes, nil
}

// NamedNodes names the nodes of an environment, wherever they are placed.
func NamedNodes(environment string, count int) []Node {
	nodes := make([]Node, count)
	for i := range nodes {
		nodes[i] = Node{Index: i, Name: NodeName(environment, i)}
	}
	return nodes
}

// Names are the nodes' names in the order given.
func Names(nodes []Node) []string {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.Name
	}
	return names
}
