package components

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// EdgeHealth asks the cluster's edge how it sees the nodes, by "<listener>/<node>": OK, or a word of its own. It
// registers nothing but providers.
func EdgeHealth(ctx *pulumi.Context, name string, s settings.Settings) (map[string]string, error) {
	k := kinds.Of(s)
	in := seams.Given{Name: name, Settings: s, Listeners: s.Offered()}
	if _, err := newProviders(ctx, &in, k); err != nil {
		return nil, err
	}
	return k.Edge.Health(ctx, in, cluster.Names(cluster.NamedNodes(s.Environment, s.Nodes.Count)))
}
