//go:build lab

package orchestrate_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/enginetest"
)

// aside registers one thing and waits until it is there, as a renewal does with its proof.
func aside(within func(*pulumi.Context) error) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		x, err := enginetest.NewThing(ctx, "proof", pulumi.Map{"name": pulumi.String("proof"), "text": pulumi.String("value")})
		if err != nil {
			return err
		}
		if _, err := internals.UnsafeAwaitOutput(ctx.Context(), x.ID()); err != nil {
			return err
		}
		return within(ctx)
	}
}

// What a program makes aside is there while it runs, and gone afterwards: also when it fails, and when who has asked for it
// is not there any more. The stack itself knows nothing of it.
func TestWhatIsMadeAsideIsGoneAfterwards(t *testing.T) {
	w := newWorld(t)
	w.set(abc())
	r := w.runner()
	_, err := r.Up(t.Context())
	assert.NilError(t, err)
	there := func() bool { return slices.Contains(w.cloud.Names(), "proof") }

	seen := false
	assert.NilError(t, r.Aside(t.Context(), "proving", aside(func(*pulumi.Context) error { seen = there(); return nil })))
	assert.Assert(t, seen && !there(), "%v", w.cloud.Calls())

	err = r.Aside(t.Context(), "proving", aside(func(*pulumi.Context) error { return errors.New("refused by the authority") }))
	assert.ErrorContains(t, err, "proving: refused by the authority")
	assert.Equal(t, strings.Count(err.Error(), "refused by the authority"), 1)
	assert.Assert(t, !there())

	ctx, cancel := context.WithCancel(t.Context())
	err = r.Aside(ctx, "proving", aside(func(*pulumi.Context) error { cancel(); return ctx.Err() }))
	var cut *orchestrate.InterruptedError
	assert.Assert(t, errors.As(err, &cut), "%v", err)
	assert.Assert(t, !there(), "%v", w.cloud.Calls())

	left, err := os.ReadDir(w.path("stage/lab"))
	assert.NilError(t, err)
	for _, e := range left {
		assert.Assert(t, !strings.HasPrefix(e.Name(), "aside"), e.Name())
	}
	res, err := r.Up(t.Context())
	assert.NilError(t, err)
	assert.Assert(t, !res.Changed(), "%v", res.Changes)
	w.noLeftovers()
}
