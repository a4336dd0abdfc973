package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

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

// discoverOnce is one round of ekka's autocluster. True ends it for good: that is
// also what happens to a node that finds nobody but itself, which is why two fresh
// nodes that each saw only themselves stay apart until one is restarted.
func (n *node) discoverOnce() bool {
	self := n.cfg.node.String()
	found, err := n.discover()
	switch {
	case err != nil:
		n.log.Error("discovery error", "reason", err.Error())
		return false
	case len(found) == 0:
		n.log.Warn("discovery found no nodes; retrying")
		return false
	case !slices.Contains(found, n.cfg.node):
		n.log.Warn("discovered nodes do not include this node; retrying", "node", self, "found", fmt.Sprint(found))
		return false
	case len(found) == 1:
		n.log.Info("no discovered nodes outside cluster")
		return true
	}
	oldest, oldestBorn, dead, joining := n.cfg.node, n.born, []string{}, false
	for _, name := range found {
		if name == n.cfg.node {
			continue
		}
		info, err := n.probe(name)
		if err != nil {
			dead = append(dead, name.String())
			continue
		}
		// A member that waits for its data, or is on its way elsewhere, cannot say how old it is.
		if info.Phase != phaseRunning {
			joining = true
			continue
		}
		if info.Born < oldestBorn || info.Born == oldestBorn && name.String() < oldest.String() {
			oldest, oldestBorn = name, info.Born
		}
	}
	joined := true
	if oldest != n.cfg.node && !n.isMember(oldest) {
		if err := n.join(oldest, false); err != nil {
			n.log.Error("joining failed", "with", oldest.String(), "reason", err.Error())
			joined = false
		}
	}
	outside := 0
	for _, name := range found {
		if name != n.cfg.node && !n.isMember(name) {
			outside++
		}
	}
	if len(dead) > 0 {
		n.log.Warn("discovered nodes are not responding; retrying", "nodes", strings.Join(dead, ","))
	}
	return joined && len(dead) == 0 && !joining && outside == 0
}

func (n *node) discover() ([]nodeName, error) {
	if n.cfg.strategy == "static" {
		return n.cfg.seeds, nil
	}
	ctx, cancel := context.WithTimeout(n.ctx, 5*time.Second)
	defer cancel()
	var out []nodeName
	if n.cfg.recordType == "srv" {
		_, records, err := n.opts.Resolver.LookupSRV(ctx, "", "", n.cfg.dnsName)
		if err != nil && len(records) == 0 {
			return nil, err
		}
		for _, r := range records {
			name := nodeName{n.cfg.node.short, strings.TrimSuffix(r.Target, ".")}
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
		return out, nil
	}
	network := "ip4"
	if n.cfg.recordType == "aaaa" {
		network = "ip6"
	}
	ips, err := n.opts.Resolver.LookupIP(ctx, network, n.cfg.dnsName)
	for _, ip := range ips {
		out = append(out, nodeName{n.cfg.node.short, ip.String()})
	}
	return out, err
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
// the seed's cluster. Its clients are gone for that while, as on the real one.
func (n *node) join(seed nodeName, asked bool) error {
	n.appMu.Lock()
	defer n.appMu.Unlock()
	switch {
	case n.stopped:
		return errStopping
	case !asked && n.alone():
		return errors.New("discovery is switched off")
	}
	return n.enter(seed, true)
}

var errStopping = errors.New("stopping")

// enter takes everything down and starts it with the seed's data; the caller holds appMu.
func (n *node) enter(seed nodeName, leave bool) error {
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
	if leave {
		n.tellLeft("join")
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
func (n *node) tellLeft(why string) {
	for _, p := range n.runningPeers() {
		_, _ = p.ask(n.ctx, &message{Op: "left", Node: n.cfg.node.String(), Text: why}, setupTimeout)
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
	n.schema = s
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
