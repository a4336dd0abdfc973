package registrations

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"google.golang.org/protobuf/testing/protocmp"
	"gotest.tools/v3/assert"
)

type thing struct{ pulumi.CustomResourceState }

// program registers two resources, the second one as a variant wants it.
func program(kind, name string, inputs pulumi.Map, opts func(ctx *pulumi.Context, first *thing) ([]pulumi.ResourceOption, error)) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		var first, second thing
		if err := ctx.RegisterResource("test:index:Thing", "first", pulumi.Map{}, &first); err != nil {
			return err
		}
		var chosen []pulumi.ResourceOption
		if opts != nil {
			var err error
			if chosen, err = opts(ctx, &first); err != nil {
				return err
			}
		}
		return ctx.RegisterResource(kind, name, inputs, &second, chosen...)
	}
}

// The comparison of the two entries is worth what it sees: each of these
// differences has to be one.
func TestEveryDifferenceIsSeen(t *testing.T) {
	run := Run{Project: "p", Stack: "s"}
	inputs := pulumi.Map{"size": pulumi.Int(1)}
	plain := func(o ...pulumi.ResourceOption) func(*pulumi.Context, *thing) ([]pulumi.ResourceOption, error) {
		return func(*pulumi.Context, *thing) ([]pulumi.ResourceOption, error) { return o, nil }
	}
	base := Direct(t, program("test:index:Thing", "second", inputs, nil), run)
	again := Direct(t, program("test:index:Thing", "second", inputs, nil), run)
	assert.DeepEqual(t, base, again, protocmp.Transform())

	for name, variant := range map[string]pulumi.RunFunc{
		"type":    program("test:index:Other", "second", inputs, nil),
		"name":    program("test:index:Thing", "third", inputs, nil),
		"input":   program("test:index:Thing", "second", pulumi.Map{"size": pulumi.Int(2)}, nil),
		"secret":  program("test:index:Thing", "second", pulumi.Map{"size": pulumi.ToSecret(pulumi.Int(1))}, nil),
		"protect": program("test:index:Thing", "second", inputs, plain(pulumi.Protect(true))),
		"ignored": program("test:index:Thing", "second", inputs, plain(pulumi.IgnoreChanges([]string{"size"}))),
		"parent": program("test:index:Thing", "second", inputs, func(_ *pulumi.Context, first *thing) ([]pulumi.ResourceOption, error) {
			return []pulumi.ResourceOption{pulumi.Parent(first)}, nil
		}),
		"dependency": program("test:index:Thing", "second", inputs, func(_ *pulumi.Context, first *thing) ([]pulumi.ResourceOption, error) {
			return []pulumi.ResourceOption{pulumi.DependsOn([]pulumi.Resource{first})}, nil
		}),
		"provider": program("test:index:Thing", "second", inputs, func(ctx *pulumi.Context, _ *thing) ([]pulumi.ResourceOption, error) {
			var p pulumi.ProviderResourceState
			err := ctx.RegisterResource("pulumi:providers:test", "own", pulumi.Map{}, &p)
			return []pulumi.ResourceOption{pulumi.Provider(&p)}, err
		}),
		"hook": program("test:index:Thing", "second", inputs, func(ctx *pulumi.Context, _ *thing) ([]pulumi.ResourceOption, error) {
			h, err := ctx.RegisterResourceHook("gate", func(*pulumi.ResourceHookArgs) error { return nil }, nil)
			return []pulumi.ResourceOption{pulumi.ResourceHooks(&pulumi.ResourceHookBinding{BeforeCreate: []*pulumi.ResourceHook{h}})}, err
		}),
		"output": func(ctx *pulumi.Context) error {
			ctx.Export("x", pulumi.String("y"))
			return program("test:index:Thing", "second", inputs, nil)(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := Direct(t, variant, run)
			assert.Assert(t, cmp.Diff(base, got, protocmp.Transform()) != "", "the difference is not seen")
		})
	}
}
