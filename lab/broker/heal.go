package broker

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A member that was called dead although it ran (net_ticktime passed on a cut or frozen
// connection) is not taken back when it answers again: both databases went on alone.
// Each side reports it to the leader, which asks all who they count in, and has the smaller
// sides restart and load from the largest one. By the sources of mria 0.8, which EMQX 5.8
// has: mria_node_monitor, mria_autoheal, mria_lib.

const (
	// confirmTime lies between the detection of a partition and its report
	// (confirm_partition of mria_node_monitor).
	confirmTime = 3 * time.Second
	// healTime lies between the last report and the leader's decision (DEFAULT_DELAY of
	// mria_autoheal), and between two attempts.
	healTime = 15 * time.Second
	// viewTime bounds the question whom a member counts in (CLUSTER_RPC_TIMEOUT there).
	viewTime = 5 * time.Second
)

// lives are the starts of two members' databases. A death is true for a pair of them: whoever
// starts anew is another one.
type lives struct{ theirs, ours int64 }

// parted tells whether the peer was called dead in this life of both, and runs; the caller holds p.mu.
func (p *peer) parted() bool {
	return p.phase == phaseRunning && p.lost.theirs != 0 && p.lost == lives{p.life, p.node.life.Load()}
}

// serving tells whether the peer runs and counts as a member that does; the caller holds p.mu.
func (p *peer) serving() bool { return p.phase == phaseRunning && !p.parted() }

// lostLocked are the members that this node has called dead, with their lives.
func (n *node) lostLocked() map[string]int64 {
	var lost map[string]int64
	for name, p := range n.peers {
		p.mu.Lock()
		if p.lost.theirs != 0 && p.lost.ours == n.life.Load() {
			if lost == nil {
				lost = map[string]int64{}
			}
			lost[name] = p.lost.theirs
		}
		p.mu.Unlock()
	}
	return lost
}

// believe takes in that a peer has called this node dead: the one connection of two Erlang
// nodes ends for both.
func (p *peer) believe(m *message) (news bool) {
	ours := p.node.life.Load()
	if m.Lost[p.node.cfg.node.String()] != ours {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	news = p.lost != lives{m.Life, ours}
	p.lost = lives{m.Life, ours}
	return news
}

// partition is what mnesia calls running_partitioned_network.
func (n *node) partition(name string) {
	n.log.Error("Core cluster partition", "from", name)
	if !n.cfg.autoheal {
		return
	}
	n.wg.Go(func() {
		if n.sleep(n.opts.Confirm) == nil {
			n.reportPartition()
		}
	})
}

// reachable are the members that answer, parted ones and this node included, the oldest first.
func (n *node) reachable() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	born := map[string]int64{n.cfg.node.String(): n.life.Load()}
	for name, p := range n.peers {
		p.mu.Lock()
		if p.phase == phaseRunning && p.cluster == n.schema.Cluster {
			born[name] = p.life
		}
		p.mu.Unlock()
	}
	return slices.SortedFunc(slices.Values(sortedKeys(born)), func(a, b string) int { return cmp.Compare(born[a], born[b]) })
}

func (n *node) reportPartition() {
	n.mu.Lock()
	parted := slices.ContainsFunc(sortedKeys(n.peers), func(name string) bool { return n.peers[name].isParted() })
	n.mu.Unlock()
	if !parted {
		return
	}
	leader := n.reachable()[0]
	if _, err := n.askMember(leader, &message{Op: "partition"}, viewTime); err != nil {
		n.log.Error("Leader is down, cannot autoheal the partitions", "leader", leader, "reason", err.Error())
	}
}

func (p *peer) isParted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.parted()
}

// askMember asks a member, or this node itself.
func (n *node) askMember(name string, m *message, timeout time.Duration) (*message, error) {
	if name == n.cfg.node.String() {
		r := n.handle(kindDist, name, m)
		if r.Err != "" {
			return r, errors.New(r.Err)
		}
		return r, nil
	}
	n.mu.Lock()
	p := n.peers[name]
	n.mu.Unlock()
	if p == nil {
		return nil, errNoSuchNode
	}
	return p.ask(n.ctx, m, timeout)
}

// partitionReported is the leader's side: each report puts the decision off.
func (n *node) partitionReported(from string) *message {
	if leader := n.reachable()[0]; leader != n.cfg.node.String() {
		n.log.Error("I am not leader, but received partition report", "from", from, "leader", leader)
		return &message{}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reports++
	if !n.healing {
		n.decideLater(n.reports)
	}
	return &message{}
}

// decideLater makes the decision that belongs to a report, unless another one comes first.
func (n *node) decideLater(report int) {
	n.wg.Go(func() {
		for {
			if n.sleep(n.opts.Heal) != nil {
				return
			}
			n.mu.Lock()
			last := report == n.reports
			n.mu.Unlock()
			if !last || n.decide() {
				return
			}
		}
	})
}

// decide asks everybody whom they count in, and has the largest side's oldest member restart
// the others. Fewer than half of the members, rounded down, may be away: of three nobody
// (is_majority_alive, mria#180).
func (n *node) decide() bool {
	members := append(n.others(), n.cfg.node.String())
	views := map[string][]string{}
	for _, name := range members {
		if r, err := n.askMember(name, &message{Op: "view"}, viewTime); err == nil {
			views[name] = r.Args
		}
	}
	if away := len(members) - len(views); away > 0 && away >= len(members)/2 {
		return false
	}
	sides := findSides(views, n.cfg.node.String())
	if len(sides) == 1 {
		return true
	}
	age := n.reachable()
	coordinator := slices.MinFunc(sides[0], func(a, b string) int { return cmp.Compare(slices.Index(age, a), slices.Index(age, b)) })
	victims := slices.Concat(sides[1:]...)
	n.log.print("autoheal: " + coordinator + " heals the partition of " + describeSides(sides))
	if _, err := n.askMember(coordinator, &message{Op: "heal", Args: victims}, viewTime); err != nil {
		n.log.Error("autoheal failed", "coordinator", coordinator, "reason", err.Error())
	}
	return true
}

// view is whom this node counts in. One that still waits for its data has no say: it would be a side of its own, and be
// told to load anew in the middle of its start.
func (n *node) view() *message {
	if n.currentPhase() != phaseRunning {
		return &message{Err: "not running"}
	}
	running, _ := n.clusterStatus()
	return &message{Args: running}
}

// findSides are groups of members that count each other in, the largest first; of equal ones the
// one that has self. Where cuts overlap a member may be in two of them, as in EMQX before
// 5.10.4 (emqx#17270).
func findSides(views map[string][]string, self string) [][]string {
	var sides [][]string
	done := map[string]bool{}
	for _, name := range sortedKeys(views) {
		if done[name] {
			continue
		}
		side := []string{name}
		for _, other := range views[name] {
			if other != name && slices.Contains(views[other], name) {
				side = append(side, other)
				done[other] = true
			}
		}
		slices.Sort(side)
		sides = append(sides, side)
	}
	slices.SortStableFunc(sides, func(a, b []string) int {
		if c := cmp.Compare(len(b), len(a)); c != 0 {
			return c
		}
		return cmp.Compare(flag(slices.Contains(b, self)), flag(slices.Contains(a, self)))
	})
	return sides
}

func describeSides(sides [][]string) string {
	var out []string
	for _, s := range sides {
		out = append(out, "["+strings.Join(s, " ")+"]")
	}
	return strings.Join(out, " ")
}

// heal is the coordinator's side: the members of the smaller sides load from here, one after
// the other.
func (n *node) heal(victims []string) *message {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.healing {
		return &message{Err: "healing already"}
	}
	n.healing = true
	n.wg.Go(func() {
		for _, name := range victims {
			_, err := n.askMember(name, &message{Op: "rejoin", Text: n.cfg.node.String()}, time.Minute)
			n.log.print("autoheal: rejoin of " + name + ": " + fmt.Sprint(err))
		}
		n.mu.Lock()
		n.healing = false
		n.mu.Unlock()
	})
	return &message{}
}

// rejoin restarts everything but the process, and loads from the seed. It stays a member all
// the time.
func (n *node) rejoin(seed string) error {
	name, err := parseNodeName(seed)
	switch {
	case err != nil:
		return err
	case name == n.cfg.node:
		return errors.New("cannot_join_with_self")
	}
	n.appMu.Lock()
	defer n.appMu.Unlock()
	if n.stopped {
		return errStopping
	}
	if n.currentPhase() != phaseRunning {
		return errors.New("not running")
	}
	return n.enter(name)
}
