package cli

import (
	"context"
	"errors"
)

// running gives the cluster of a stack, for a verb that works between two updates. It needs no engine's lock.
func (a *app) running(ctx context.Context, stack string) (Cluster, error) {
	t, err := a.open(quiet, stack) //nolint:contextcheck // what a cloud is asked before has a time of its own
	if err != nil {
		return nil, err
	}
	defer t.close()
	config, err := t.Config(ctx)
	if err != nil {
		return nil, err
	}
	if a.Operate == nil {
		return nil, errors.New("opening the cluster: this program cannot")
	}
	return a.Operate(stack, config)
}
