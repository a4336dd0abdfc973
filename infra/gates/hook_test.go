package gates

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"
)

type mocks struct{}

func (mocks) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	return args.Name, args.Inputs, nil
}

func (mocks) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) { return nil, nil }

func runMocked(dryRun bool, program pulumi.RunFunc) error {
	return pulumi.RunErr(program, pulumi.WithMocks("gates", "lab", mocks{}), func(i *pulumi.RunInfo) { i.DryRun = dryRun })
}

func TestHookBindsTheGateBeforeCreateAndBeforeUpdate(t *testing.T) {
	asked := 0
	err := runMocked(false, func(ctx *pulumi.Context) error {
		opt, err := Hook(ctx, "emqx", Gate{ID: "G1", Title: "nodes ready", Timeout: time.Millisecond, Check: func(context.Context) (Status, error) {
			asked++
			return Status{Seen: "0/3 nodes"}, nil
		}})
		if err != nil {
			return err
		}
		options, err := pulumi.NewResourceOptions(opt)
		if err != nil {
			return err
		}
		h := options.Hooks
		assert.Equal(t, len(h.BeforeCreate), 1)
		assert.Equal(t, len(h.BeforeUpdate), 1)
		// After-hooks leave their resource committed, delete hooks block a destroy.
		assert.Equal(t, len(h.AfterCreate)+len(h.AfterUpdate)+len(h.BeforeDelete)+len(h.AfterDelete), 0)
		assert.Equal(t, h.BeforeCreate[0].Name, "emqx: G1 nodes ready")
		err = h.BeforeCreate[0].Callback(&pulumi.ResourceHookArgs{})
		assert.ErrorContains(t, err, "0/3 nodes")
		return nil
	})
	assert.NilError(t, err)
	assert.Assert(t, asked > 0)
}

func TestHookEndsWithTheCallersContext(t *testing.T) {
	caller, cancel := context.WithCancelCause(t.Context())
	err := runMocked(false, func(ctx *pulumi.Context) error {
		interrupting := func(context.Context) (Status, error) {
			cancel(errors.New("interrupted"))
			return Status{Seen: "0/3 nodes"}, nil
		}
		bound := WithContext(ctx, caller)
		opt, err := Hook(bound, "emqx", Gate{ID: "G1", Title: "nodes ready", Timeout: time.Hour, Check: interrupting}) //nolint:contextcheck // the Pulumi context carries it
		if err != nil {
			return err
		}
		options, err := pulumi.NewResourceOptions(opt)
		if err != nil {
			return err
		}
		err = options.Hooks.BeforeCreate[0].Callback(&pulumi.ResourceHookArgs{})
		assert.ErrorContains(t, err, "interrupted")
		return nil
	})
	assert.NilError(t, err)
}

func TestSharedWaitRunsOnceForCallersThatOverlap(t *testing.T) {
	var shared sharedWait
	var runs atomic.Int32
	release := make(chan struct{})
	entered := make(chan struct{}, 4)
	var group sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		group.Go(func() {
			errs[i] = shared.do(func() error {
				runs.Add(1)
				entered <- struct{}{}
				<-release
				return errors.New("no")
			})
		})
	}
	<-entered
	time.Sleep(20 * time.Millisecond) // let the others arrive
	close(release)
	group.Wait()
	assert.Equal(t, runs.Load(), int32(1))
	for _, err := range errs {
		assert.Error(t, err, "no")
	}
	assert.NilError(t, shared.do(func() error { return nil }), "a later caller asks anew")
}

func verifyWith(t *testing.T, dryRun bool, checks ...func(context.Context) (Status, error)) (sentence string, err error) {
	t.Helper()
	sentences := make(chan string, 1)
	err = runMocked(dryRun, func(ctx *pulumi.Context) error {
		args := VerifyArgs{After: []pulumi.Output{pulumi.String("id").ToStringOutput()}, Settle: time.Millisecond}
		for i, c := range checks {
			args.Gates = append(args.Gates, Gate{ID: fmt.Sprintf("G%d", i+1), Title: "gate", Next: "the logs", Check: c})
		}
		out, err := Verify(ctx, "emqx-verify", args)
		if err != nil {
			return err
		}
		out.ApplyT(func(s string) string {
			sentences <- s
			return s
		})
		return nil
	})
	// Outputs of no resource do not hold up the end of a program.
	select {
	case sentence = <-sentences:
	case <-time.After(10 * time.Second):
		t.Error("the output that may be exported has failed")
	}
	return sentence, err
}

func TestVerifyFailsTheProgramWithTheReason(t *testing.T) {
	sentence, err := verifyWith(t, false, answers(Status{Holds: true}), answers("message lost"))
	assert.ErrorContains(t, err, "verifying the cluster after the update: waiting for G2 gate: did not hold")
	assert.ErrorContains(t, err, "message lost; look next at: the logs")
	assert.ErrorContains(t, err, sentence)
	assert.Assert(t, sentence != "")
}

func TestVerifyPassesWhenEveryGateHolds(t *testing.T) {
	sentence, err := verifyWith(t, false, answers(Status{Holds: true}), answers(Status{Holds: true}))
	assert.NilError(t, err)
	assert.Equal(t, sentence, "verified: G1 gate, G2 gate")
}

func TestVerifyAsksNothingInAPreview(t *testing.T) {
	_, err := verifyWith(t, true, func(context.Context) (Status, error) {
		t.Error("asked in a preview")
		return Status{}, nil
	})
	assert.NilError(t, err)
}

func TestVerifyNeverWaitsLongerThanTheGatesOwnTimeout(t *testing.T) {
	start := time.Now()
	err := runMocked(false, func(ctx *pulumi.Context) error {
		_, err := Verify(ctx, "emqx-verify", VerifyArgs{Settle: time.Hour, Gates: []Gate{{ID: "G5", Title: "round trip", Timeout: time.Millisecond, Check: answers("no")}}})
		return err
	})
	assert.ErrorContains(t, err, "G5")
	assert.Assert(t, time.Since(start) < 30*time.Second)
}
