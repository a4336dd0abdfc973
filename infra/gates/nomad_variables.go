package gates

import (
	"context"
	"errors"
	"fmt"
	"time"

	nomad "github.com/hashicorp/nomad/api"
)

// Variable is a variable of Nomad.
type Variable struct {
	Items map[string]string
	// Version changes with each write; 0 is that of one that is not there.
	Version uint64
	// Changed is when it was written last.
	Changed time.Time
}

// VariableClient reads and writes variables of Nomad, in the namespace of the jobs.
type VariableClient interface {
	// Variable reads one; it is the zero value where there is none. One that the token may not read is [Fatal].
	Variable(ctx context.Context, path string) (Variable, error)
	// SetVariable writes one whole, unless it is another version than this by now. It says whether it was written.
	SetVariable(ctx context.Context, path string, items map[string]string, version uint64) (bool, error)
}

// NewVariables returns a client of Nomad's variables. Its token needs read and write for the paths that it is asked for.
func NewVariables(c NomadConfig) (VariableClient, error) {
	client, err := NewNomad(c)
	if err != nil {
		return nil, err
	}
	return client.(*nomadClient), nil //nolint:forcetypeassert // NewNomad returns no other
}

func (c *nomadClient) Variable(ctx context.Context, path string) (Variable, error) {
	var found *nomad.Variable
	err := c.ask(ctx, "variable "+path, func(q *nomad.QueryOptions) (err error) {
		found, _, err = c.api.Variables().Peek(path, q)
		return err
	})
	if err != nil || found == nil {
		return Variable{}, err
	}
	return Variable{Items: found.Items, Version: found.ModifyIndex, Changed: time.Unix(0, found.ModifyTime)}, nil
}

func (c *nomadClient) SetVariable(ctx context.Context, path string, items map[string]string, version uint64) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	_, _, err := c.api.Variables().CheckedUpdate(&nomad.Variable{
		Namespace: c.namespace, Path: path, Items: items, ModifyIndex: version,
	}, (&nomad.WriteOptions{}).WithContext(ctx))
	var other nomad.ErrCASConflict
	switch {
	case errors.As(err, &other):
		return false, nil
	case err != nil && IsFatal(c.explain("", err)):
		return false, Fatal(fmt.Errorf("writing variable %s to Nomad at %s: permission denied; check nomad.token, which needs variables write for it", path, c.address))
	case err != nil && unreachable(err):
		return false, fmt.Errorf("cannot reach Nomad at %s: %w", c.address, rootCause(err))
	case err != nil:
		return false, fmt.Errorf("writing variable %s to Nomad at %s: %w", path, c.address, err)
	}
	return true, nil
}
