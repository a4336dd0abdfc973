package gates

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Hook binds a gate to the resources that get the returned option: they are
// created or updated only once the gate holds. It registers one hook named
// after the gate, so call it once per gate and share the option. In a preview
// nothing is asked.
func Hook(ctx *pulumi.Context, g Gate) (pulumi.ResourceOption, error) {
	hook, err := ctx.RegisterResourceHook(g.name(), func(*pulumi.ResourceHookArgs) error {
		return Wait(ctx.Context(), SystemClock(), g, func(s string) { _ = ctx.Log.Info(s, nil) })
	}, nil)
	if err != nil {
		return nil, err
	}
	return pulumi.ResourceHooks(&pulumi.ResourceHookBinding{
		BeforeCreate: []*pulumi.ResourceHook{hook},
		BeforeUpdate: []*pulumi.ResourceHook{hook},
	}), nil
}
