package broker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// discoveryEnds is said for good, or until the node joins again.
const discoveryEnds = "discovery ends"

// goDiscover runs discovery unless it runs already or is switched off.
func (n *node) goDiscover() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.discoOn || n.discoOff || n.cfg.strategy == "manual" || n.cfg.strategy == "singleton" {
		return
	}
	n.discoOn = true
	n.wg.Go(func() {
		wait := time.Duration(rand.Int64N(int64(n.opts.Jitter) + 1)) //nolint:gosec // spreads starts, no secret
		for n.sleep(wait) == nil {
			wait = n.opts.Retry
			if n.alone() || n.discoverOnce() {
				n.log.Info(discoveryEnds)
				break
			}
		}
		n.mu.Lock()
		n.discoOn = false
		n.mu.Unlock()
	})
}

// alone: somebody took the node out of its cluster, and discovery must not put it back.
func (n *node) alone() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.discoOff
}

// discoverOnce is one round of ekka's autocluster (ekka_autocluster.erl of 0.23.2), with
// all that it believes of what the name answers. True ends discovery for good, and two
// parts of a cluster that ended it apart stay apart until somebody restarts a node: a node
// that found nobody but itself, or that was the oldest of those it found.
func (n *node) discoverOnce() bool {
	found := n.discover()
	var alive []agedNode
	var dead []string
	for _, name := range found {
		if name == n.cfg.node {
			alive = append(alive, agedNode{name, n.serving()})
			continue
		}
		info, err := n.probe(name)
		switch {
		case err != nil:
			dead = append(dead, name.String())
		case info.Phase == phaseRunning:
			alive = append(alive, agedNode{name, info.Since})
		default: // cannot say how old it is
			alive = append(alive, agedNode{name, 0})
		}
	}
	joined, err := n.maybeJoin(alive)
	switch {
	case len(dead) > 0:
		n.log.Warn("discovered nodes are not responding: " + strings.Join(dead, ", "))
		return false
	case err != nil:
		n.log.Error("joining failed", "reason", err.Error())
		return false
	case !slices.Contains(n.discover(), n.cfg.node): // asked anew
		n.log.Warn("the discovered nodes do not include this node; retrying", "found", fmt.Sprint(found))
		return false
	case joined:
		return len(n.others()) > 0
	}
	return true
}

// agedNode is a node that answers, and since when its database serves; zero: it does not yet.
type agedNode struct {
	name  nodeName
	since int64
}

// maybeJoin joins the oldest of the nodes. There is nothing to join when they are just
// the members, or when this one is the oldest.
func (n *node) maybeJoin(alive []agedNode) (joined bool, err error) {
	var names []string
	var oldest agedNode
	for _, a := range alive {
		names = append(names, a.name.String())
		if a.since > 0 && (oldest.since == 0 || a.since < oldest.since) {
			oldest = a
		}
	}
	slices.Sort(names)
	if known := append(n.others(), n.cfg.node.String()); slices.Equal(names, slices.Sorted(slices.Values(known))) {
		n.log.Info("all discovered nodes already in cluster; ignoring")
		return false, nil
	}
	if oldest.since == 0 || oldest.name == n.cfg.node || n.isMember(oldest.name) {
		return false, nil
	}
	if err := n.join(oldest.name, false); err != nil {
		return false, fmt.Errorf("with %s: %w", oldest.name, err)
	}
	return true, nil
}

// serving is since when the node's database serves: what makes it the older of two.
func (n *node) serving() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.since
}

// discover are the nodes that the strategy names: none when nobody answers, as
// inet_res:lookup has no errors.
func (n *node) discover() []nodeName {
	if n.cfg.strategy == "static" {
		return n.cfg.seeds
	}
	hosts, err := n.hosts()
	if err != nil {
		n.log.Error("discovery error", "reason", err.Error())
	}
	out := make([]nodeName, len(hosts))
	for i, host := range hosts {
		out[i] = nodeName{n.cfg.node.short, host}
	}
	return out
}

// probe asks a node, member or not, how it is.
func (n *node) probe(name nodeName) (*message, error) {
	w, err := n.dial(n.ctx, name, kindDist)
	if err != nil {
		if errors.Is(err, errCookie) {
			n.log.Error("connection to node " + name.String() + " refused: " + err.Error())
		}
		return nil, err
	}
	defer w.close()
	return w.call(&message{Op: "hello", Node: n.cfg.node.String()}, setupTimeout)
}

func (n *node) isMember(name nodeName) bool {
	return slices.Contains(n.others(), name.String())
}

// join leaves what this node has behind, data included, and becomes a member of
// the seed's cluster. Its clients are gone for that while, as on the real one. It says no
// goodbye (mria:join1): to a cluster that it was in it is a member that has stopped.
func (n *node) join(seed nodeName, asked bool) error {
	n.appMu.Lock()
	defer n.appMu.Unlock()
	switch {
	case n.stopped:
		return errStopping
	case !asked && n.alone():
		return errors.New("discovery is switched off")
	}
	return n.enter(seed)
}

var errStopping = errors.New("stopping")

// enter takes everything down and starts it with the seed's data; the caller holds appMu.
func (n *node) enter(seed nodeName) error {
	n.log.Info("joining", "with", seed.String())
	n.setPhase(phaseJoining)
	w, err := n.dial(n.ctx, seed, kindDist)
	if err != nil {
		n.setPhase(phaseRunning)
		return err
	}
	defer w.close()
	r, err := w.call(&message{Op: "join", Node: n.cfg.node.String()}, 15*time.Second)
	if err != nil {
		n.setPhase(phaseRunning)
		return err
	}
	n.stopApp()
	if err := n.reset(schema{Cluster: r.Cluster, Members: r.Members, Down: map[string]int64{}}, r.Data); err != nil {
		n.stop(err)
		return err
	}
	n.setPhase(phaseRunning)
	n.announce(n.ctx)
	n.pullData()
	if err := n.startApp(); err != nil {
		n.stop(err)
		return err
	}
	n.log.print("joined the cluster of " + seed.String())
	return nil
}

// tellLeft says goodbye to the cluster that this node is about to leave.
func (n *node) tellLeft() {
	for _, p := range n.runningPeers() {
		_, _ = p.ask(n.ctx, &message{Op: "left", Node: n.cfg.node.String()}, setupTimeout)
	}
}

// reset wipes the node's data and starts with the given.
func (n *node) reset(s schema, d *clusterData) error {
	n.data.close()
	n.life.Store(n.stamp())
	if err := n.disk.wipe(); err != nil {
		return fmt.Errorf("wiping the old data: %w", err)
	}
	n.mu.Lock()
	n.schema, n.since = s, 0
	err := n.saveSchema()
	n.mu.Unlock()
	if err != nil {
		return err
	}
	if err := n.data.reopen(d); err != nil {
		return err
	}
	n.tendPeers()
	return nil
}

// standAlone makes the node a cluster of its own without discovery.
func (n *node) standAlone(why string) {
	n.appMu.Lock()
	defer n.appMu.Unlock()
	n.mu.Lock()
	member := len(n.othersLocked()) > 0 || n.schema.Members[n.cfg.node.String()].Removed
	n.mu.Unlock()
	if !member || n.stopped {
		return
	}
	n.log.print("leaving the cluster: " + why)
	n.mu.Lock()
	n.discoOff = true
	n.mu.Unlock()
	n.setPhase(phaseJoining)
	n.stopApp()
	if err := n.reset(n.freshSchema(), nil); err != nil {
		n.stop(err)
		return
	}
	n.setPhase(phaseRunning)
	if err := n.startApp(); err != nil {
		n.stop(err)
	}
}
