package components

import (
	"fmt"
	"sync/atomic"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// LayoutType is the type token of the component that keeps what a cluster consists of.
const LayoutType = "emqx:index:Layout"

// layout is the component whose inputs keep the cluster's layout in the state.
type layout struct{ pulumi.ResourceState }

// guard asks the guards, and returns only when nothing, or somebody who takes
// note of it, objects: nothing of the cluster may be registered before, so that
// nothing is touched when they refuse (ADR 0019).
//
// The hook on the layout is what sees the old one. It runs in previews, too, and
// not at all for a layout that stays: then the settings are judged here.
//
// say names the settings in what the guards say. What it returns is to be called with the volumes once they are registered.
func guard(
	ctx *pulumi.Context, name string, s settings.Settings, say func([]guards.Violation) []guards.Violation, words guards.Words, nodes []cluster.Node, opts ...pulumi.ResourceOption,
) (recordLayout func(volumes []pulumi.Resource) error, err error) {
	next := guards.LayoutOf(s, words.Scope, nodes)
	static := guards.Static(s)
	var asked atomic.Bool
	hook, err := ctx.RegisterResourceHook(name+": guards", func(args *pulumi.ResourceHookArgs) error {
		asked.Store(true)
		old, cookie := guards.Read(args.OldInputs, args.OldOutputs)
		wanted := s.Secrets.ErlangCookie.Reveal()
		if s.Secrets.ErlangCookie == settings.StandInCookie { // a preview in which nobody knows it yet
			wanted = cookie
		}
		found := guards.Compare(old, next, cookie, wanted, s.Guards, words)
		return guards.Judge(ctx, s.Guards, say(append(found, static...)))
	}, &pulumi.ResourceHookOptions{OnDryRun: true})
	if err != nil {
		return nil, fmt.Errorf("registering the guards: %w", err)
	}
	l := &layout{}
	if err := ctx.RegisterComponentResourceV2(LayoutType, name+"-layout", next.Inputs(s.Secrets.ErlangCookie), l,
		append(opts, pulumi.ResourceHooks(&pulumi.ResourceHookBinding{
			BeforeCreate: []*pulumi.ResourceHook{hook},
			BeforeUpdate: []*pulumi.ResourceHook{hook},
		}))...); err != nil {
		return nil, fmt.Errorf("recording the layout: %w", err)
	}
	if _, err := internals.UnsafeAwaitOutput(ctx.Context(), l.URN()); err != nil {
		return nil, err
	}
	if !asked.Load() {
		if err := guards.Judge(ctx, s.Guards, say(static)); err != nil {
			return nil, err
		}
	}
	return func(volumes []pulumi.Resource) error { return ctx.RegisterResourceOutputs(l, next.Outputs(volumes)) }, nil
}
