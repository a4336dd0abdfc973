package cluster

import (
	"fmt"
	"maps"
	"strconv"
)

// Node is one member of the cluster: one instance pool of size 1, one volume,
// one reserved address, one Nomad client, one EMQX and one HAProxy allocation.
type Node struct {
	// Index is 0..N-1; it pins everything that belongs to the node together.
	Index int
	// Name is the name in OCI, Consul and Nomad: "emqx-prod-0".
	Name string
	// AvailabilityDomain holds the node's volume and its instance.
	AvailabilityDomain string
	// FaultDomain holds its instance, too: 1 to 3, which is how many an availability
	// domain has. 0 leaves it to the cloud, which spreads the instances of one pool
	// only, and each node has a pool of its own.
	FaultDomain int
}

// faultDomains of an availability domain.
const faultDomains = 3

// NodeName is the name of node index in OCI, Consul and Nomad.
func NodeName(environment string, index int) string {
	return fmt.Sprintf("emqx-%s-%d", environment, index)
}

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
	nodes := make([]Node, count)
	for i := range nodes {
		nodes[i] = Node{
			Index:              i,
			Name:               NodeName(environment, i),
			AvailabilityDomain: availabilityDomains[i%len(availabilityDomains)],
			FaultDomain:        i/len(availabilityDomains)%faultDomains + 1,
		}
	}
	return nodes, nil
}

// Names are the nodes' names in the order given.
func Names(nodes []Node) []string {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.Name
	}
	return names
}

// Host is the node's stable name in Consul's DNS. It survives a new address,
// which is why EMQX is named after it (ADR 0004).
func Host(node, datacenter string) string {
	return node + ".node." + datacenter + ".consul"
}

// EMQXName is the EMQX node name. The short name is "emqx" on every node:
// trailing digits would move the distribution port.
func EMQXName(node, datacenter string) string { return "emqx@" + Host(node, datacenter) }

// Tags are the freeform tags of a resource that belongs to the whole cluster.
// The cluster's own tag wins over extra ones: the boot script finds its volume
// and its address by it.
func Tags(environment string, extra map[string]string) map[string]string {
	tags := map[string]string{}
	maps.Copy(tags, extra)
	tags["emqx-cluster"] = environment
	return tags
}

// NodeTags are the freeform tags of a resource that belongs to one node.
func NodeTags(environment string, index int, extra map[string]string) map[string]string {
	tags := Tags(environment, extra)
	tags["pool_type"] = "emqx"
	tags["group-index"] = strconv.Itoa(index)
	return tags
}
