package broker

import (
	"context"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// A server that leaves records out without a word is believed; one that says so is
// asked by TCP.
func TestTheNameIsAskedAsEMQXDoes(t *testing.T) {
	t.Parallel()
	l := newLab(t, 5)
	cfg, err := loadConfig(l.env(0))
	assert.NilError(t, err)
	n := &node{opts: l.options(0).withDefaults(), cfg: cfg, ctx: context.Background(), log: newLogger(&buffer{}, "debug")}
	for _, want := range []struct {
		most  int
		says  bool
		nodes int
	}{{0, false, 5}, {3, false, 3}, {3, true, 5}} {
		l.dns.set(func() { l.dns.most, l.dns.says = want.most, want.says })
		hosts, err := n.hosts()
		assert.NilError(t, err)
		assert.Equal(t, len(hosts), want.nodes, "%+v: %v", want, hosts)
	}
	l.dns.set(func() { delete(l.dns.srv, "lab.emqx-cluster.test.") })
	assert.Equal(t, len(n.discover()), 0)
}

// Five fresh nodes, whose name answers three of them, other ones later: two clusters, for
// good. Nothing looks again but a restart.
func TestPartsThatFoundEachOtherStayApart(t *testing.T) {
	t.Parallel()
	l := newLab(t, 5)
	answer := func(targets ...string) { l.dns.set(func() { l.dns.srv["lab.emqx-cluster.test."] = targets }) }
	answer("n0.test.", "n1.test.", "n2.test.")
	var procs []*proc
	ended := func(of []*proc) {
		for _, p := range of {
			p.wantSaid(t, discoveryEnds, 1)
		}
	}
	for i := range 3 {
		procs = append(procs, l.start(i))
	}
	ended(procs)
	answer("n3.test.", "n4.test.")
	procs = append(procs, l.start(3), l.start(4))
	ended(procs[3:])
	l.members(5)
	time.Sleep(700 * time.Millisecond) // several retry intervals
	for i := range 5 {
		l.wantCluster(i, [][]int{{0, 1, 2}, {3, 4}}[i/3], nil)
	}
	assert.NilError(t, procs[3].stop(t))
	l.start(3)
	l.wantCluster(3, []int{0, 1, 2, 3}, nil)
	l.wantCluster(0, []int{0, 1, 2, 3}, nil)
}

// A node that finds an older one leaves the one that it had found, and does not tell: as
// seen on the real one.
func TestAMemberThatJoinsOthersHasStoppedForTheFormer(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.members(1)
	l.start(0).wantSaid(t, discoveryEnds, 1)
	answer := func(targets ...string) { l.dns.set(func() { l.dns.srv["lab.emqx-cluster.test."] = targets }) }
	answer("n1.test.")
	first := l.start(1)
	first.wantSaid(t, discoveryEnds, 1)
	answer("n1.test.", "n2.test.")
	l.start(2).wantSaid(t, discoveryEnds, 1)
	l.wantCluster(1, []int{1, 2}, nil)
	out, code := l.ctl(2, "cluster", "join", l.name(0))
	assert.Equal(t, code, 0, out)
	l.wantCluster(0, []int{0, 2}, nil)
	l.wantCluster(2, []int{0, 2}, nil)
	l.wantCluster(1, []int{1}, []int{2})
	// What the runbook says of a part.
	out, code = l.ctl(1, "cluster", "join", l.name(0))
	assert.Equal(t, code, 0, out)
	for i := range 3 {
		l.wantCluster(i, []int{0, 1, 2}, nil)
	}
}
