package cluster

// Node is one member of the cluster: one host with its volume and its address, one Nomad
// client, one allocation of EMQX and one of the proxy.
type Node struct {
	// Index is 0..N-1; it pins everything that belongs to the node together.
	Index int
	// Name is the name in its cloud, Consul and Nomad: "emqx-prod-0".
	Name string
	// Zone is the part of its cloud that holds the node's volume and its host, as that cloud calls it; empty where it
	// does not matter.
	Zone string
}

// MaxNodes is the number of brokers that one proxy has slots for. They are there from
// the start, so that a new node needs no new configuration.
const MaxNodes = 100

// NamedNodes names the nodes of an environment; where they are is left out.
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
