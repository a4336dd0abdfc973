package ocihosts

import (
	"fmt"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

// childName prefixes a node's resource with its component: a URN holds the
// types of a resource's parents, not their names.
func childName(component string, n cluster.Node) string {
	return fmt.Sprintf("%s-%d", component, n.Index)
}

func requirePorts(f *fault.List, p cluster.Ports) {
	for _, x := range p.Faults() {
		f.Add("ports."+x.Of, "%s", x.Text)
	}
}

func requireNodes(f *fault.List, nodes []cluster.Node) {
	if len(nodes) == 0 {
		f.Add("nodes", "must hold at least one node")
	}
	for i, n := range nodes {
		path := fmt.Sprintf("nodes[%d]", i)
		f.Require(path+".name", n.Name)
		f.Require(path+".zone", n.Zone)
		if n.Index != i {
			f.Add(path+".index", "must be %d, got %d", i, n.Index)
		}
	}
}
