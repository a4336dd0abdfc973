package broker

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// waitForData decides when a member that has data may use it: at once when it
// saw every other member stop before itself, else when a member that serves gives
// it the newer data, else when all it waits for wait too, and for it. It says
// nothing meanwhile, as the real one says nothing.
func (n *node) waitForData() error {
	for {
		if _, err := resolveHost(n.ctx, n.opts.Resolver, n.cfg.node.host); err == nil {
			break
		}
		if err := n.sleep(n.opts.Tick); err != nil {
			return err
		}
	}
	n.tendPeers()
	told := ""
	for {
		n.mu.Lock()
		forced := n.phase == phaseRunning // emqx_cluster_rescue force-load
		waitFor := n.waitForLocked()
		cluster := n.schema.Cluster
		n.mu.Unlock()
		if forced || len(waitFor) == 0 {
			return nil
		}
		if now := strings.Join(waitFor, ", "); now != told {
			n.log.print("EMQX stand-in " + n.cfg.node.String() + " waits for " + now + ", whose data may be newer; nothing else starts before")
			told = now
		}
		for _, p := range n.allPeers() {
			if !p.up(cluster) {
				continue
			}
			r, err := p.ask(n.ctx, &message{Op: "sync", Node: n.cfg.node.String(), Cluster: cluster}, time.Minute)
			if err != nil {
				if r != nil && r.Code == codeNotMember {
					return fmt.Errorf("failed to merge schema: %s does not know %s as a member any more; remove %s to start afresh", p.name, n.cfg.node, n.disk.dir)
				}
				continue
			}
			return n.adopt(r)
		}
		if n.mayStart(waitFor) {
			return nil
		}
		if err := n.sleep(n.opts.Tick / 2); err != nil {
			return err
		}
	}
}

// waitForLocked are the members whose data may be newer than this node's.
func (n *node) waitForLocked() []string {
	var out []string
	for _, name := range n.othersLocked() {
		if _, down := n.schema.Down[name]; !down {
			out = append(out, name)
		}
	}
	return out
}

// mayStart breaks the tie of members that stopped in the same instant and each
// wait for the others, perhaps in a ring. When everybody that could be newer,
// directly or through others, waits too and could be older as well, the one that
// saw most of the others stop goes ahead, then the first by name; the rest load
// from it.
func (n *node) mayStart(waitFor []string) bool {
	self := n.cfg.node.String()
	waits := map[string][]string{self: waitFor}
	n.mu.Lock()
	for name, p := range n.peers {
		p.mu.Lock()
		if p.phase == phaseWaiting && p.cluster == n.schema.Cluster {
			waits[name] = p.waitFor
		}
		p.mu.Unlock()
	}
	n.mu.Unlock()
	ring := reachable(waits, self)
	for name := range ring {
		theirs, known := waits[name]
		switch {
		case !known, !reachable(waits, name)[self]:
			return false
		case len(theirs) < len(waitFor), len(theirs) == len(waitFor) && name < self:
			return false
		}
	}
	return true
}

// reachable are the nodes that from waits for, directly or through others.
func reachable(waits map[string][]string, from string) map[string]bool {
	seen, todo := map[string]bool{}, waits[from]
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if !seen[name] {
			seen[name] = true
			todo = append(slices.Clone(todo), waits[name]...)
		}
	}
	return seen
}

// adopt takes a serving member's list and data.
func (n *node) adopt(r *message) error {
	n.mu.Lock()
	n.schema = schema{Cluster: r.Cluster, Members: r.Members, Down: map[string]int64{}}
	err := n.saveSchema()
	n.mu.Unlock()
	if err != nil {
		return err
	}
	if err := n.data.replace(r.Data); err != nil {
		return err
	}
	n.tendPeers()
	return nil
}

// pullData asks every serving member again once all of them know that this node
// serves, so that nothing published in between is missed.
func (n *node) pullData() {
	for _, p := range n.runningPeers() {
		r, err := p.ask(n.ctx, &message{Op: "pull"}, time.Minute)
		if err == nil && r.Data != nil {
			n.takeOver(r.Data)
		}
	}
}

func (n *node) sleep(d time.Duration) error {
	select {
	case <-n.ctx.Done():
		return n.ctx.Err()
	case <-time.After(d):
		return nil
	}
}
