package components

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// EdgeHealth asks the cluster's cloud how the balancer sees its backends, by "<listener>/<node>": OK, WARNING,
// CRITICAL, UNKNOWN. It registers nothing but providers.
func EdgeHealth(ctx *pulumi.Context, name string, s settings.Settings) (map[string]string, error) {
	in, err := newProviders(ctx, name, s)
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
	return oci.EdgeHealth(ctx, s.OCI.Compartment, s.Environment, sets, nodes, pulumi.Provider(in.oci))
}
