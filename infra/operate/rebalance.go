package operate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// Plan is who has too many clients.
type Plan struct {
	// Clients are those of the whole cluster, Target what each node would have.
	Clients int    `json:"clients"`
	Target  int    `json:"target"`
	Nodes   []Load `json:"nodes"`
}

// Load is one node's part of a plan.
type Load struct {
	Name    string `json:"name"`
	Clients int    `json:"clients"`
	// Move is how many of them go to other nodes.
	Move int `json:"move"`
}

// Moves is how many clients go in all.
func (p Plan) Moves() int {
	n := 0
	for _, l := range p.Nodes {
		n += l.Move
	}
	return n
}

// RebalanceOptions are the choices of a rebalance.
type RebalanceOptions struct {
	// Rate is how many clients are moved per second, in the whole cluster; 0 is the
	// stack's own (broker.drain.rate).
	Rate int
	// Tolerance is how far above the mean a node may be, in percent.
	Tolerance int
	// Report gets the cluster's state after each round.
	Report func(Round)
	// Kill, once closed, ends the waiting for the round under way; the context's end
	// lets it finish, so that what was moved is known.
	Kill <-chan struct{}
}

// Round is how far a rebalance has come.
type Round struct {
	// Moved so far; a client that had to be moved again counts again.
	Moved   int    `json:"moved"`
	Clients int    `json:"clients"` // connected now
	Nodes   []Load `json:"nodes"`   // Move is what is still to go
}

const (
	// roundTime bounds one run of the script: it is never cut off, so this is how long
	// moving goes on after a stop.
	roundTime = 5 * time.Second
	// returnTime is what a client that was moved may take to come back: real ones wait
	// a moment, each another one.
	returnTime = 3 * time.Second
	// passes are how many in a row may bring nothing. A HAProxy counts only its own
	// connections, so a pass comes nearer to the target than the one before, and some
	// do not.
	passes = 4
	// defaultRate is for a stack that moves no clients when a node stops.
	defaultRate = 100
)

// moveCommand runs the script of the task; its folder is known inside.
const moveCommand = `exec /bin/bash "$NOMAD_TASK_DIR/move.sh" "$@"`

// Plan counts the clients of each node, and says which nodes are above the mean by
// more than tolerance percent. It fails when the cluster is not whole: then clients
// are where they are for a reason.
func (c *Cluster) Plan(ctx context.Context, tolerance int) (Plan, error) {
	clients, err := c.clients(ctx)
	if err != nil {
		return Plan{}, fmt.Errorf("planning a rebalance: %w", err)
	}
	return c.plan(clients, tolerance), nil
}

func (c *Cluster) plan(clients []int, tolerance int) Plan {
	var p Plan
	for _, n := range clients {
		p.Clients += n
	}
	p.Target = (p.Clients + len(clients) - 1) / len(clients)
	for i, n := range clients {
		l := Load{Name: c.Nodes[i].Name, Clients: n}
		if n*100 > p.Target*(100+tolerance) {
			l.Move = n - p.Target
		}
		p.Nodes = append(p.Nodes, l)
	}
	return p
}

// askedAgain is how often a member that did not answer in time is asked before clients
// are left where they are: a node whose clients move is busy.
const askedAgain = 3

// clients counts those of each node, of a cluster that is whole.
func (c *Cluster) clients(ctx context.Context) ([]int, error) {
	for tries := 1; ; tries++ {
		views, formed, err := c.askMembers(ctx)
		if err != nil {
			return nil, err
		}
		if late := slices.IndexFunc(views, func(v view) bool { return v.Late }); late >= 0 {
			if tries < askedAgain {
				continue
			}
			return nil, fmt.Errorf("not known whether EMQX on %s is well, asked %d times: %s", c.Nodes[late].Name, tries, views[late].Says)
		}
		if formed.asked && !formed.holds {
			return nil, fmt.Errorf("the cluster is not whole: %s", formed.seen)
		}
		return c.clientCounts(views)
	}
}

// askMembers asks every member once, for its clients and for the gate.
func (c *Cluster) askMembers(ctx context.Context) (views []view, formed gateAnswer, err error) {
	ctx = gates.AskingOnce(ctx)
	allocs, err := c.Nomad.Allocations(ctx, c.BrokerJob)
	if err != nil {
		return nil, formed, err
	}
	views = make([]view, len(c.Nodes))
	together(append(eachNode(len(c.Nodes), func(i int) { views[i] = c.view(ctx, newest(allocs, i)) }),
		func() { formed = askGate(ctx, c.Formed) })...)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return views, formed, err
}

func (c *Cluster) clientCounts(views []view) ([]int, error) {
	var faults []error
	clients := make([]int, len(views))
	for i, v := range views {
		switch {
		case !v.asked:
			faults = append(faults, fmt.Errorf("EMQX on %s does not run", c.Nodes[i].Name))
		case !v.Answered:
			faults = append(faults, fmt.Errorf("EMQX on %s does not answer: %s", c.Nodes[i].Name, v.Says))
		case v.Clients == nil:
			faults = append(faults, fmt.Errorf("EMQX on %s does not say how many clients it has: are its metrics closed (prometheus.enable_basic_auth)?", c.Nodes[i].Name))
		default:
			clients[i] = *v.Clients
		}
	}
	return clients, errors.Join(faults...)
}

// Rebalance moves clients from nodes above the mean to the others: each gets a
// disconnect that keeps its session, connects again, and its proxy sends it to the
// broker with the fewest. It ends when no node is above the mean by more than the
// tolerance. It stops with an error when the cluster is not whole any more, when ctx
// ends (behind the round under way, 5 s at most and more on a node that is slow to
// answer), and when moving does not help. The round returned is the last one seen.
func (c *Cluster) Rebalance(ctx context.Context, p Plan, o RebalanceOptions) (Round, error) {
	if o.Rate <= 0 {
		o.Rate = c.rate()
	}
	if o.Report == nil {
		o.Report = func(Round) {}
	}
	last := Round{Clients: p.Clients, Nodes: p.Nodes}
	for best, vain := p.Moves(), 0; p.Moves() > 0; {
		if vain == passes {
			return last, fmt.Errorf("rebalancing: after %d moves some nodes are still more than %d%% above the mean: clients come back to the node they left; "+
				"do their proxies know all brokers, and do clients connect through them?", last.Moved, o.Tolerance)
		}
		if err := c.pass(ctx, p, o, &last); err != nil {
			return last, fmt.Errorf("rebalancing: stopped after %d moves: %w", last.Moved, err)
		}
		clients, err := c.countReturned(ctx, p.Clients)
		if err != nil {
			return last, fmt.Errorf("rebalancing: stopped after %d moves: %w", last.Moved, err)
		}
		p = c.plan(clients, o.Tolerance)
		last = Round{Moved: last.Moved, Clients: p.Clients, Nodes: p.Nodes}
		if vain++; p.Moves() < best {
			best, vain = p.Moves(), 0
		}
	}
	return last, nil
}

func (c *Cluster) rate() int {
	if c.DrainRate > 0 {
		return c.DrainRate
	}
	return defaultRate
}

// pass moves what a plan says, in rounds.
func (c *Cluster) pass(ctx context.Context, p Plan, o RebalanceOptions, last *Round) error {
	left := make([]int, len(p.Nodes))
	for i, l := range p.Nodes {
		left[i] = l.Move
	}
	for {
		batches := share(left, o.Rate)
		moved, err := c.round(ctx, o.Kill, batches, left)
		last.Moved += sum(moved)
		if err != nil {
			return err
		}
		for i := range left {
			left[i] -= moved[i]
			if moved[i] < min(batches[i]*int(roundTime.Seconds()), left[i]+moved[i]) { // the node has no more
				left[i] = 0
			}
		}
		clients, err := c.clients(ctx)
		if err != nil {
			return err
		}
		// What others did meanwhile counts, too: nobody is moved below the mean.
		nodes := make([]Load, len(clients))
		for i, n := range clients {
			left[i] = min(left[i], max(0, n-p.Target))
			nodes[i] = Load{Name: c.Nodes[i].Name, Clients: n, Move: left[i]}
		}
		*last = Round{Moved: last.Moved, Clients: sum(clients), Nodes: nodes}
		o.Report(*last)
		if sum(left) == 0 {
			return nil
		}
	}
}

// share gives each node its part of the rate: at least one a second where it has
// clients to move.
func share(left []int, rate int) []int {
	total, rates := sum(left), make([]int, len(left))
	for i, n := range left {
		if n > 0 {
			rates[i] = max(1, rate*n/total)
		}
	}
	return rates
}

// round runs the script side by side on all nodes that have clients to move. Of several
// faults it returns one.
func (c *Cluster) round(ctx context.Context, kill <-chan struct{}, rates, left []int) ([]int, error) {
	moved, errs := make([]int, len(left)), make([]error, len(left))
	together(eachNode(len(left), func(i int) {
		if rates[i] > 0 {
			count := min(left[i], rates[i]*int(roundTime.Seconds()))
			moved[i], errs[i] = c.move(ctx, kill, i, count, rates[i])
		}
	})...)
	for _, err := range errs {
		if err != nil {
			return moved, err // the others say the same, or nothing
		}
	}
	return moved, nil
}

// move runs the script on one node, and returns how many clients it moved. It begins
// nothing when ctx has ended, and waits for what it began.
func (c *Cluster) move(ctx context.Context, kill <-chan struct{}, i, count, rate int) (int, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	// A node whose `emqx eval` takes long may take a multiple of the time.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 12*roundTime)
	defer cancel()
	go func() {
		select {
		case <-kill:
			cancel()
		case <-bounded.Done():
		}
	}()
	var out, said bytes.Buffer
	exit, err := c.Run(bounded, i, gates.Streams{Out: &out, Err: &said},
		"/bin/bash", "-c", moveCommand, "move", strconv.Itoa(count), strconv.Itoa(rate))
	moved := lastNumber(out.String())
	switch {
	case err != nil:
		return max(moved, 0), err
	case exit != 0:
		return max(moved, 0), fmt.Errorf("moving clients of %s: exit code %d: %s", c.Nodes[i].Name, exit, gates.OneLine(said.String()))
	case moved < 0:
		moved = count // the output was lost on its way; it ended well
	}
	return moved, nil
}

// lastNumber is the last line that is one, -1 when there is none.
func lastNumber(out string) int {
	found := -1
	for _, line := range strings.Fields(out) {
		if n, err := strconv.Atoi(line); err == nil {
			found = n
		}
	}
	return found
}

// countReturned counts the clients once those that were moved are back: when as many as
// before are connected, or when no more have come for a while.
func (c *Cluster) countReturned(ctx context.Context, before int) ([]int, error) {
	most := -1
	for {
		clients, err := c.clients(ctx)
		if err != nil || sum(clients) >= before || sum(clients) <= most {
			return clients, err
		}
		most = sum(clients)
		if err := c.Clock.Sleep(ctx, returnTime); err != nil {
			return nil, err
		}
	}
}

func sum(numbers []int) int {
	total := 0
	for _, n := range numbers {
		total += n
	}
	return total
}
