package stacks

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/oci"
)

// Edge is a program that creates nothing: it asks the stack's cloud how the balancer
// sees its backends, by "<listener>/<node>": OK, WARNING, CRITICAL, UNKNOWN.
func Edge(ctx *pulumi.Context) (map[string]string, error) {
	s, cloud, err := ociOf(ctx)
	if err != nil {
		return nil, err
	}
	var sets []string
	for _, l := range cluster.Listeners(s.Ports.Cluster(), s.TLS.Enabled()) {
		sets = append(sets, l.Name)
	}
	nodes := make([]string, s.Nodes.Count)
	for i := range nodes {
		nodes[i] = cluster.NodeName(s.Environment, i)
	}
	return oci.EdgeHealth(ctx, s.OCI.Compartment, s.Environment, sets, nodes, cloud)
}
