package operate

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// ErrNotRunning means that a node has no EMQX allocation that runs.
var ErrNotRunning = errors.New("no EMQX allocation runs")

// Broker finds the running EMQX allocation of node i. The error wraps
// [ErrNotRunning] when there is none.
func (c *Cluster) Broker(ctx context.Context, i int) (*nomad.AllocationListStub, error) {
	if i < 0 || i >= len(c.Nodes) {
		return nil, fmt.Errorf("finding EMQX on node %d: must be 0 to %d", i, len(c.Nodes)-1)
	}
	allocs, err := c.Nomad.Allocations(ctx, c.BrokerJob)
	if err != nil {
		return nil, fmt.Errorf("finding EMQX on %s: %w", c.Nodes[i].Name, err)
	}
	a := newest(allocs, i)
	if a == nil || a.ClientStatus != nomad.AllocClientStatusRunning {
		return nil, fmt.Errorf("finding EMQX on %s: %w", c.Nodes[i].Name, ErrNotRunning)
	}
	return a, nil
}

// index of an allocation stands at the end of its name: "emqx-lab.emqx[2]".
var index = regexp.MustCompile(`\[(\d+)\]$`)

// newest is the allocation of node i that counts: one that is meant to run before
// one that is not, the younger before the older.
func newest(allocs []*nomad.AllocationListStub, i int) *nomad.AllocationListStub {
	var found *nomad.AllocationListStub
	better := func(a *nomad.AllocationListStub) bool {
		if found == nil {
			return true
		}
		wanted, before := a.DesiredStatus == nomad.AllocDesiredStatusRun, found.DesiredStatus == nomad.AllocDesiredStatusRun
		if wanted != before {
			return wanted
		}
		return a.CreateIndex > found.CreateIndex
	}
	for _, a := range allocs {
		m := index.FindStringSubmatch(a.Name)
		if m == nil || m[1] != strconv.Itoa(i) {
			continue
		}
		if better(a) {
			found = a
		}
	}
	return found
}

// Run runs a command beside EMQX on node i, with the caller's streams, until it ends
// or the context does: ending the context ends the waiting, not always the command.
// A command that ran has an exit code and no error. The end of its output may be
// lost: [Cluster.Ask] loses nothing.
func (c *Cluster) Run(ctx context.Context, i int, streams gates.Streams, command ...string) (exit int, err error) {
	a, err := c.Broker(ctx, i)
	if err != nil {
		return 0, err
	}
	exit, err = c.Nomad.Stream(ctx, a.ID, cluster.EMQXTask, streams, command...)
	if err != nil {
		return 0, fmt.Errorf("running %s on %s: %w", command[0], c.Nodes[i].Name, err)
	}
	return exit, nil
}

// Ask runs a command beside EMQX on node i, for 30 s at most, and returns its whole
// output.
func (c *Cluster) Ask(ctx context.Context, i int, command ...string) (gates.ExecResult, error) {
	a, err := c.Broker(ctx, i)
	if err != nil {
		return gates.ExecResult{}, err
	}
	r, err := c.ask(ctx, a.ID, command...)
	if err != nil {
		return r, fmt.Errorf("asking %s: %w", c.Nodes[i].Name, err)
	}
	return r, nil
}

func (c *Cluster) ask(ctx context.Context, alloc string, command ...string) (gates.ExecResult, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return c.Nomad.Exec(ctx, alloc, cluster.EMQXTask, command...)
}
