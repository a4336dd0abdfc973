package orchestrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
)

// Hidden is what stands in the place of a secret.
const Hidden = "[secret]"

// Output is one of the stack's outputs.
type Output struct {
	Value  any
	Secret bool
}

// Outputs are the stack's outputs by name.
type Outputs map[string]Output

// Names are the outputs' names, sorted.
func (o Outputs) Names() []string { return slices.Sorted(maps.Keys(o)) }

// Plain gives the values, with secrets hidden unless show is set.
func (o Outputs) Plain(show bool) map[string]any {
	values := make(map[string]any, len(o))
	for k, v := range o {
		if v.Secret && !show {
			values[k] = Hidden
			continue
		}
		values[k] = v.Value
	}
	return values
}

// MarshalJSON hides secrets: showing them takes Plain(true).
func (o Outputs) MarshalJSON() ([]byte, error) { return json.Marshal(o.Plain(false)) }

func outputs(m auto.OutputMap) Outputs {
	o := make(Outputs, len(m))
	for k, v := range m {
		o[k] = Output{Value: v.Value, Secret: v.Secret}
	}
	return o
}

// Outputs reads the stack's outputs as the last update left them. It works while another run holds the stack.
func (r *Runner) Outputs(ctx context.Context) (Outputs, error) {
	s, err := r.open(ctx, false)
	if err != nil {
		return nil, err
	}
	m, err := s.stack.Outputs(context.WithValue(ctx, question{}, true))
	if err != nil {
		return nil, r.plainError(ctx, "reading the outputs", err)
	}
	return outputs(m), nil
}

// Cancel takes every lock of the stack away, whoever holds it.
func (r *Runner) Cancel(ctx context.Context) error {
	s, err := r.open(ctx, false)
	if err != nil {
		return err
	}
	return r.unlock(ctx, s)
}

func (r *Runner) unlock(ctx context.Context, s *session) error {
	_, stderr, _, err := s.cli.Run(ctx, r.stage.dir, nil, nil, nil, r.environ(), "cancel", "--yes", "--stack", r.opts.qualified())
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return &InterruptedError{Operation: "taking the lock away"}
	}
	if said := complaint(stderr); said != "" {
		return fmt.Errorf("taking the lock of stack %q away: %w", r.opts.Stack, errors.New(said))
	}
	return fmt.Errorf("taking the lock of stack %q away: %w", r.opts.Stack, err)
}

func (r *Runner) environ() []string {
	env := make([]string, 0, len(r.opts.Env))
	for _, k := range slices.Sorted(maps.Keys(r.opts.Env)) {
		env = append(env, k+"="+r.opts.Env[k])
	}
	return env
}
