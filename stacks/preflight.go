package stacks

import (
	"fmt"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Preflight checks a stack before anything is registered, without a cloud:
// [preflight.Run] on what these settings make.
func Preflight(s settings.Settings) []preflight.Finding {
	return preflight.Run(kinds.Of(s).Checks(), s, func() ([]recorder.Resource, error) { return Record(s) }, time.Now())
}

// preflightFirst ends a program with all errors at once, and logs the warnings.
func preflightFirst(ctx *pulumi.Context, s settings.Settings) error {
	findings := Preflight(s)
	for _, f := range preflight.Warnings(findings) {
		if err := ctx.Log.Warn(f.String(), nil); err != nil {
			return err
		}
	}
	return preflight.Err(findings)
}

// Record returns what a stack with these settings registers, without an engine
// or a cloud: what only the cloud knows is unknown, as in a first preview. An
// error is the program's own.
func Record(s settings.Settings) ([]recorder.Resource, error) {
	k := kinds.Of(s)
	answers := k.StandIn(&s)
	s.StandInSecrets()
	var refused error
	recording, err := recorder.Run(func(ctx *pulumi.Context) error {
		// The guards are for the engine's run: they know what was before.
		ctx = components.WithoutGates(guards.WithCollector(ctx, &guards.Collector{}))
		_, refused = deploy(ctx, s)
		return refused
	}, recorder.Options{Stack: s.Environment, Preview: true, Call: func(function string, _ resource.PropertyMap) (map[string]any, error) {
		if answer, known := answers[function]; known {
			return answer(), nil
		}
		return nil, fmt.Errorf("calling %s: nobody answers without a cloud", function)
	}})
	if refused != nil {
		err = refused
	}
	return recording.Resources, err
}
