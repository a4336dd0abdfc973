package gates

import (
	"fmt"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// DefaultSettle is how long [Verify] lets a sick cluster recover.
const DefaultSettle = 60 * time.Second

const verifyType = "emqx:gates:Verify"

// VerifyArgs describe the check at the end of an update.
type VerifyArgs struct {
	// After are outputs of everything the check must come behind, such as the
	// ids of the DNS record and of both jobs.
	After []pulumi.Output
	// Gates are asked one after another, in this order.
	Gates []Gate
	// Steps are taken before a gate is asked, by its ID.
	Steps map[string][]Step
	// Settle bounds the wait of each gate, which is never longer than the gate's
	// own timeout; zero means [DefaultSettle].
	Settle time.Duration
}

type verify struct {
	pulumi.ResourceState
}

// verdict is the end of the check: exactly one of the two is set.
type verdict struct {
	verified string
	err      error
}

// Verify asks the gates once more at the end of every update, changed or not,
// and makes the program fail with the reason when one does not hold. In a
// preview it asks nothing. The returned output is one short sentence, the
// reason if a gate does not hold; it may be exported, and need not be.
func Verify(ctx *pulumi.Context, name string, args VerifyArgs, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	after := make([]any, len(args.After))
	for i, o := range args.After {
		after[i] = o
	}
	end := pulumi.All(after...).ApplyT(func([]any) any { return args.ask(ctx) })
	sentence := end.ApplyT(func(v any) string {
		if err := v.(verdict).err; err != nil {
			return err.Error()
		}
		return v.(verdict).verified
	}).(pulumi.StringOutput)
	failing := end.ApplyT(func(v any) (string, error) { return v.(verdict).verified, v.(verdict).err })

	// A failing apply is noticed only where its output is used. The outputs of a
	// resource of our own are such a place, and one that leaves the stack's
	// outputs alone: they are lost when one value among them fails.
	v := &verify{}
	if err := ctx.RegisterComponentResource(verifyType, name, v, opts...); err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("registering the check at the end: %w", err)
	}
	if err := ctx.RegisterResourceOutputs(v, pulumi.Map{"result": failing}); err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("registering the check at the end: %w", err)
	}
	return sentence, nil
}

func (a VerifyArgs) ask(ctx *pulumi.Context) verdict {
	settle := a.Settle
	if settle <= 0 {
		settle = DefaultSettle
	}
	names := make([]string, len(a.Gates))
	for i, g := range a.Gates {
		names[i] = g.name()
		if ctx.DryRun() {
			continue
		}
		for _, s := range a.Steps[g.ID] {
			if err := runIn(ctx, s.attempts(), true); err != nil {
				return verdict{err: err}
			}
		}
		g.Timeout = min(g.timeout(), settle)
		if err := runIn(ctx, g.attempts(nil), true); err != nil {
			return verdict{err: fmt.Errorf("verifying the cluster after the update: %w", err)}
		}
	}
	return verdict{verified: "verified: " + strings.Join(names, ", ")}
}
