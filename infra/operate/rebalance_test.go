package operate

import (
	"context"
	"errors"
	"slices"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// crowd is a world of clients that come back to the emptiest node.
func crowd(t *testing.T, clients ...int) *world {
	w := newWorld(t, len(clients))
	for i, n := range clients {
		w.clients[w.allocs[i].ID] = n
	}
	w.move = func(i, count, _ int) (int, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for range count {
			w.clients[w.allocs[i].ID]--
			w.clients[w.allocs[w.emptiest()].ID]++
		}
		return count, nil
	}
	return w
}

func (w *world) emptiest() int {
	counts := w.counts()
	return slices.Index(counts, slices.Min(counts))
}

func (w *world) counts() (out []int) {
	for _, a := range w.allocs {
		out = append(out, w.clients[a.ID])
	}
	return out
}

func TestRebalanceAfterNodesWereAdded(t *testing.T) {
	w := crowd(t, 100, 98, 102, 0, 0)
	c := w.cluster()
	plan, err := c.Plan(t.Context(), 10)
	assert.NilError(t, err)
	assert.Equal(t, plan.Target, 60)
	assert.Equal(t, plan.Moves(), 40+38+42)

	var rounds []Round
	pace := 0
	move := w.move
	w.move = func(i, count, rate int) (int, error) {
		w.mu.Lock()
		pace = max(pace, rate)
		w.mu.Unlock()
		return move(i, count, rate)
	}
	end, err := c.Rebalance(t.Context(), plan, RebalanceOptions{Rate: 10, Tolerance: 10, Report: func(r Round) { rounds = append(rounds, r) }})
	assert.NilError(t, err)
	assert.DeepEqual(t, w.counts(), []int{60, 60, 60, 60, 60})
	assert.Equal(t, end.Moved, 120)
	assert.Assert(t, pace <= 4, "%d a second on one node of three", pace)
	assert.Assert(t, len(rounds) >= 3, "five seconds of clients in a round: %v", rounds)
}

func TestRebalanceMovesNothingWithinTheTolerance(t *testing.T) {
	w := crowd(t, 55, 50, 45)
	plan, err := w.cluster().Plan(t.Context(), 10)
	assert.NilError(t, err)
	assert.Equal(t, plan.Moves(), 0)
	plan, err = w.cluster().Plan(t.Context(), 9)
	assert.NilError(t, err)
	assert.Equal(t, plan.Moves(), 5)
}

// A member that leaves meanwhile ends the moving: its clients need the room.
func TestRebalanceStopsWhenTheClusterIsNotWhole(t *testing.T) {
	w := crowd(t, 90, 0, 0)
	whole := true
	w.formed = func() (gates.Status, error) { return gates.Status{Holds: whole, Seen: "2/3 EMQX nodes running"}, nil }
	c := w.cluster()
	plan, err := c.Plan(t.Context(), 10)
	assert.NilError(t, err)
	move := w.move
	w.move = func(i, count, rate int) (int, error) {
		whole = false
		return move(i, count, rate)
	}
	end, err := c.Rebalance(t.Context(), plan, RebalanceOptions{Rate: 2})
	assert.Error(t, err, "rebalancing: stopped after 10 moves: the cluster is not whole: 2/3 EMQX nodes running")
	assert.Equal(t, end.Moved, 10)
	_, err = c.Plan(t.Context(), 10)
	assert.ErrorContains(t, err, "not whole")
}

// As long as it comes nearer it goes on, however many passes that takes.
func TestRebalanceThatHelpsALittle(t *testing.T) {
	w := crowd(t, 90, 0, 0)
	c := w.cluster()
	move := w.move
	w.move = func(i, count, rate int) (int, error) {
		_, err := move(i, (count+3)/4, rate) // the others come back to where they were
		return count, err
	}
	plan, err := c.Plan(t.Context(), 10)
	assert.NilError(t, err)
	end, err := c.Rebalance(t.Context(), plan, RebalanceOptions{Rate: 1000, Tolerance: 10})
	assert.NilError(t, err)
	assert.Assert(t, end.Moved > 5*30 && w.counts()[0] <= 33, "%d moves, %v", end.Moved, w.counts())
}

// Clients that connect past the proxies come back to where they were.
func TestRebalanceThatDoesNotHelpEnds(t *testing.T) {
	w := crowd(t, 90, 0, 0)
	w.move = func(_, count, _ int) (int, error) { return count, nil }
	c := w.cluster()
	plan, err := c.Plan(t.Context(), 10)
	assert.NilError(t, err)
	_, err = c.Rebalance(t.Context(), plan, RebalanceOptions{Rate: 100, Tolerance: 10})
	assert.ErrorContains(t, err, "after 240 moves some nodes are still more than 10% above the mean")
}

// What is under way is waited for: else nobody knows what was moved.
func TestRebalanceEndsWithItsContext(t *testing.T) {
	w := crowd(t, 90, 0, 0)
	ctx, cancel := context.WithCancel(t.Context())
	move := w.move
	w.move = func(i, count, rate int) (int, error) {
		cancel()
		return move(i, count, rate)
	}
	c := w.cluster()
	plan, err := c.Plan(ctx, 10)
	assert.NilError(t, err)
	end, err := c.Rebalance(ctx, plan, RebalanceOptions{Rate: 1})
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, end.Moved, 5)
}

func TestRebalanceIsEndedAtOnce(t *testing.T) {
	w := crowd(t, 90, 0, 0)
	w.slow = true
	kill := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	move := w.move
	w.move = func(i, count, rate int) (int, error) {
		cancel()
		close(kill)
		return move(i, count, rate)
	}
	c := w.cluster()
	plan, err := c.Plan(ctx, 10)
	assert.NilError(t, err)
	end, err := c.Rebalance(ctx, plan, RebalanceOptions{Rate: 1, Kill: kill})
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, end.Moved, 0, "nobody knows")
}

func TestRebalanceTellsWhyAScriptFails(t *testing.T) {
	w := crowd(t, 90, 0, 0)
	w.move = func(int, int, int) (int, error) { return 0, errors.New("no such file") }
	c := w.cluster()
	plan, err := c.Plan(t.Context(), 10)
	assert.NilError(t, err)
	_, err = c.Rebalance(t.Context(), plan, RebalanceOptions{})
	assert.ErrorContains(t, err, "running /bin/bash on emqx-lab-0: no such file")
}

// A node whose clients move is busy: what it did not say in time is asked again.
func TestRebalanceAsksABusyMemberAgain(t *testing.T) {
	w := crowd(t, 90, 0, 0)
	c := w.cluster()
	plan, err := c.Plan(t.Context(), 10)
	assert.NilError(t, err)
	move := w.move
	w.move = func(i, count, rate int) (int, error) {
		w.late[w.allocs[i].ID] = 2
		return move(i, count, rate)
	}
	end, err := c.Rebalance(t.Context(), plan, RebalanceOptions{Rate: 100, Tolerance: 10})
	assert.NilError(t, err)
	assert.Equal(t, end.Moved, 60)

	w.late[w.allocs[1].ID] = 3
	_, err = c.Plan(t.Context(), 10)
	assert.ErrorContains(t, err, "not known whether EMQX on emqx-lab-1 is well, asked 3 times: its API did not answer within 10s")
}

// Clients that go by themselves count, too: nobody is moved below the mean.
func TestRebalanceSeesWhatOthersDo(t *testing.T) {
	w := crowd(t, 90, 0, 0)
	c := w.cluster()
	plan, err := c.Plan(t.Context(), 20)
	assert.NilError(t, err)
	move := w.move
	w.move = func(i, count, rate int) (int, error) {
		w.mu.Lock()
		w.clients[w.allocs[0].ID] -= 10
		w.mu.Unlock()
		return move(i, count, rate)
	}
	end, err := c.Rebalance(t.Context(), plan, RebalanceOptions{Rate: 10, Tolerance: 20})
	assert.NilError(t, err)
	assert.Equal(t, end.Moved, 50)
	assert.DeepEqual(t, w.counts(), []int{30, 25, 25})
}
