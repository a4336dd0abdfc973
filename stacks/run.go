package stacks

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Run is the program, for `pulumi up` and for the command line alike. Bad
// settings and failed checks end it, all faults in one error, before anything is
// registered.
func Run(ctx *pulumi.Context) error {
	s, err := load(ctx)
	if err != nil {
		return err
	}
	if err := preflightFirst(ctx, s); err != nil {
		return err
	}
	outputs, err := deploy(ctx, s)
	if err != nil {
		return err
	}
	for name, value := range outputs {
		ctx.Export(name, value)
	}
	return nil
}

// deploy declares the stack's cluster, and gives the stack's outputs.
func deploy(ctx *pulumi.Context, s settings.Settings) (pulumi.Map, error) {
	c, err := components.DeclareCluster(ctx, settings.ClusterName, s)
	if err != nil {
		return nil, err
	}
	return outputs(s, c), nil
}

func load(ctx *pulumi.Context) (settings.Settings, error) {
	return settings.Load(ctx.Stack(), settings.Source{Get: ctx.GetConfig, IsSecret: ctx.IsConfigSecret})
}
