package broker

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

func startThree(t *testing.T, l *lab) []*proc {
	t.Helper()
	procs := []*proc{l.start(0), l.start(1), l.start(2)}
	l.wantWhole()
	return procs
}

func TestThreeFreshNodesAtOnceFormOneCluster(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	procs := startThree(t, l)
	for _, p := range procs {
		assert.Assert(t, strings.Contains(p.out.String(), "STAND-IN"))
	}
	out, code := l.ctl(1, "status")
	assert.Equal(t, code, 0)
	assert.Equal(t, out, "Node 'emqx@n1.test' 5.8.9 is started")
	out, _ = l.ctl(1, "cluster", "status")
	assert.Equal(t, out, "Cluster status: #{running_nodes => ['emqx@n0.test','emqx@n1.test','emqx@n2.test'],stopped_nodes => []}")
}

func TestMessagesReachSubscribersOnEveryNode(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	startThree(t, l)
	pub := l.mqtt(0, connectOpts{id: "pub", v: 5})
	var subs []*client
	for i := range 3 {
		s := l.mqtt(i, connectOpts{id: fmt.Sprint("sub", i), v: []byte{4, 5, 4}[i]})
		s.subscribe("t/#", 2)
		subs = append(subs, s)
	}
	l.wantRoute(0, "t/#", 0, 1, 2)
	l.wantRoute(2, "t/#", 0, 1, 2)
	for qos := range byte(3) {
		pub.publish("t/x", fmt.Sprint("m", qos), qos, false)
		for _, s := range subs {
			assert.Equal(t, s.wantMessage("t/x", fmt.Sprint("m", qos)).FixedHeader.Qos, qos)
		}
	}
	// A will travels too.
	dying := l.mqtt(2, connectOpts{id: "dying", will: "t/will"})
	_ = dying.conn.Close()
	for _, s := range subs {
		s.wantMessage("t/will", "gone")
	}
}

func TestSharedGroupOverNodesGetsEachMessageOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	startThree(t, l)
	got := make(chan int, 100)
	for i := range 3 {
		s := l.mqtt(i, connectOpts{id: fmt.Sprint("worker", i)})
		s.subscribe("$share/g/job", 1)
		go func() {
			for pk := range s.in {
				if pk.TopicName == "job" {
					got <- i
				}
			}
		}()
	}
	time.Sleep(300 * time.Millisecond) // the groups become known to all
	pub := l.mqtt(1, connectOpts{id: "pub"})
	for range 30 {
		pub.publish("job", "x", 1, false)
	}
	count := map[int]int{}
	for range 30 {
		select {
		case i := <-got:
			count[i]++
		case <-time.After(3 * time.Second):
			t.Fatalf("only %v", count)
		}
	}
	select {
	case <-got:
		t.Fatal("a message came twice")
	case <-time.After(200 * time.Millisecond):
	}
	for i := range 3 {
		assert.Assert(t, count[i] > 0, "%v", count)
	}
}

func TestNodesThatSawOnlyThemselvesStayApart(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.members(1)
	l.start(0).wantSaid(t, discoveryEnds, 1)
	l.dns.set(func() { l.dns.srv["lab.emqx-cluster.test."] = []string{"n1.test."} })
	second := l.start(1)
	second.wantSaid(t, discoveryEnds, 1)
	l.members(2)
	time.Sleep(700 * time.Millisecond) // several retry intervals
	l.wantCluster(0, []int{0}, nil)
	l.wantCluster(1, []int{1}, nil)
	// A restart looks again.
	assert.NilError(t, second.stop(t))
	l.start(1)
	l.wantCluster(0, []int{0, 1}, nil)
	l.wantCluster(1, []int{0, 1}, nil)
}

func TestDiscoveryRetriesWhileMembersAreMissing(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.members(0)
	l.start(0) // an empty answer
	l.wantCluster(0, []int{0}, nil)
	time.Sleep(200 * time.Millisecond)
	l.members(2) // now a member that does not answer yet
	time.Sleep(400 * time.Millisecond)
	l.wantCluster(0, []int{0}, nil)
	l.start(1)
	l.wantCluster(0, []int{0, 1}, nil)
	l.wantCluster(1, []int{0, 1}, nil)
}

func TestJoiningWipesTheJoiner(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.members(1)
	l.start(0).wantSaid(t, discoveryEnds, 1)
	l.wantUp(0)
	l.mqtt(0, connectOpts{id: "a"}).publish("old", "stays", 1, true)
	l.dns.set(func() { l.dns.srv["lab.emqx-cluster.test."] = []string{"n1.test."} })
	p := l.start(1)
	l.wantUp(1)
	l.mqtt(1, connectOpts{id: "b"}).publish("young", "goes", 1, true)
	assert.NilError(t, p.stop(t))
	l.members(2)
	l.start(1)
	l.wantCluster(1, []int{0, 1}, nil)
	l.wantUp(1)
	s := l.mqtt(1, connectOpts{id: "s"})
	s.subscribe("+", 1)
	s.wantMessage("old", "stays")
	s.wantSilence(200 * time.Millisecond)
}

func TestRetainedMessagesAreOnDiskUnderTheNodeName(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	p := l.start(0)
	c := l.mqtt(0, connectOpts{id: "c", v: 5})
	c.publish("keep", "one", 1, true)
	c.publish("keep", "two", 1, true)
	c.publish("clear", "x", 1, true)
	c.publish("clear", "", 1, true)
	assert.NilError(t, p.stop(t))
	_, err := os.Stat(filepath.Join(l.dirs[0], "mnesia", "emqx@n0.test", "retained.log"))
	assert.NilError(t, err)
	p = l.start(0)
	s := l.mqtt(0, connectOpts{id: "s"})
	s.subscribe("+", 1)
	assert.Equal(t, s.wantMessage("keep", "two").FixedHeader.Retain, true)
	s.wantSilence(200 * time.Millisecond)
	assert.NilError(t, p.stop(t))
	// In RAM they are gone after a stop.
	p = l.start(0, "EMQX_RETAINER__BACKEND__STORAGE_TYPE=ram")
	l.mqtt(0, connectOpts{id: "c"}).publish("ram", "x", 1, true)
	assert.NilError(t, p.stop(t))
	l.start(0)
	s = l.mqtt(0, connectOpts{id: "s"})
	s.subscribe("+", 1)
	s.wantSilence(200 * time.Millisecond)
}

func TestAMemberComesBackAsTheSameMember(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	procs := startThree(t, l)
	l.mqtt(0, connectOpts{id: "a"}).publish("k", "before", 1, true)
	assert.NilError(t, procs[1].stop(t))
	l.wantCluster(0, []int{0, 2}, []int{1})
	l.wantCluster(2, []int{0, 2}, []int{1})
	_, body := httpGet(l.url(2, "/api/v5/prometheus/stats"))
	assert.Assert(t, strings.Contains(body, "emqx_cluster_nodes_running 2\n"), body)
	assert.Assert(t, strings.Contains(body, "emqx_cluster_nodes_stopped 1\n"), body)
	l.mqtt(0, connectOpts{id: "a"}).publish("k", "meanwhile", 1, true)
	// With a new address, too: only the name counts.
	l.dns.set(func() { l.dns.a["n1.test."] = l.ip(50) })
	env := strings.Split(strings.ReplaceAll(strings.Join(l.env(1), "\n"), l.ip(1)+":", l.ip(50)+":"), "\n")
	comma := func(s string) string { return strings.ReplaceAll(s, ".", ",") }
	for i := range env {
		env[i] = strings.ReplaceAll(env[i], "{"+comma(l.ip(1))+"}", "{"+comma(l.ip(50))+"}")
		env[i] = strings.ReplaceAll(env[i], "ADDRESS="+l.ip(1), "ADDRESS="+l.ip(50))
	}
	l.start(1, env...)
	l.wantCluster(0, []int{0, 1, 2}, nil)
	l.wantCluster(1, []int{0, 1, 2}, nil)
	c, _ := connect(t, dial(t, l.ip(50)+":1883"), connectOpts{id: "s"})
	c.subscribe("k", 1)
	c.wantMessage("k", "meanwhile")
}

func TestAfterAFullStopAllWaitForTheLastOneStopped(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	procs := startThree(t, l)
	for i, p := range procs { // 2 stops last
		assert.NilError(t, p.stop(t))
		for k := i + 1; k < 3 && i < 2; k++ {
			l.wantCluster(k, []int{0, 1, 2}[i+1:], []int{0, 1, 2}[:i+1])
		}
	}
	l.start(0)
	l.start(1)
	time.Sleep(500 * time.Millisecond)
	for i := range 2 {
		for _, port := range []string{"4370", "5370"} {
			c, err := net.Dial("tcp", l.ip(i)+":"+port)
			assert.NilError(t, err)
			_ = c.Close()
		}
		for _, port := range []string{"1883", "18083"} {
			_, err := net.Dial("tcp", l.ip(i)+":"+port)
			assert.ErrorContains(t, err, "refused")
		}
		out, code := l.ctl(i, "cluster", "status", "--json")
		assert.Equal(t, code, 1)
		assert.Assert(t, strings.Contains(out, "is starting"), out)
	}
	l.start(2)
	for i := range 3 {
		l.wantCluster(i, []int{0, 1, 2}, nil)
		l.wantUp(i)
	}
}

func TestWhenTheLastOneReturnsEmptyTheOthersHang(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	a, b := l.start(0), l.start(1)
	l.wantCluster(0, []int{0, 1}, nil)
	l.wantCluster(1, []int{0, 1}, nil)
	l.mqtt(0, connectOpts{id: "a"}).publish("k", "v", 1, true)
	assert.NilError(t, a.stop(t))
	l.wantCluster(1, []int{1}, []int{0})
	assert.NilError(t, b.stop(t))
	assert.NilError(t, os.RemoveAll(filepath.Join(l.dirs[1], "mnesia")))
	l.start(0)
	l.start(1)
	l.wantCluster(1, []int{1}, nil)
	time.Sleep(500 * time.Millisecond)
	l.wantCluster(1, []int{1}, nil)
	_, code := l.ctl(0, "status")
	assert.Equal(t, code, 1)
	out, code := l.ctl(0, "rescue", "force-load")
	assert.Equal(t, code, 0, out)
	l.wantUp(0)
	s := l.mqtt(0, connectOpts{id: "s"})
	s.subscribe("k", 1)
	s.wantMessage("k", "v")
}

func TestMembersStoppedInTheSameInstantStartTogether(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	procs := startThree(t, l)
	for _, p := range procs {
		go p.end()
	}
	for _, p := range procs {
		assert.NilError(t, p.stop(t))
	}
	for i := range 3 {
		l.start(i)
	}
	for i := range 3 {
		l.wantCluster(i, []int{0, 1, 2}, nil)
	}
}

func TestWrongCookieIsRefusedAndLoggedOnBothSides(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	a := l.start(0)
	l.wantUp(0)
	b := l.start(1, "EMQX_NODE__COOKIE=other")
	l.wantUp(1)
	for _, p := range []*proc{a, b} {
		eventually(t, func() string {
			if strings.Contains(p.out.String(), "invalid challenge reply") {
				return ""
			}
			return "not logged"
		})
	}
	l.wantCluster(0, []int{0}, nil)
	assert.Assert(t, !strings.Contains(a.out.String()+b.out.String(), "secret"))
}

func TestAMemberWithDataWaitsForDNS(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	a, _ := l.start(0), l.start(1)
	l.wantCluster(0, []int{0, 1}, nil)
	l.wantCluster(1, []int{0, 1}, nil)
	assert.NilError(t, a.stop(t))
	l.dns.set(func() { delete(l.dns.a, "n0.test.") })
	l.start(0)
	time.Sleep(400 * time.Millisecond)
	_, err := net.Dial("tcp", l.ip(0)+":1883")
	assert.ErrorContains(t, err, "refused")
	l.dns.set(func() { l.dns.a["n0.test."] = l.ip(0) })
	l.wantCluster(0, []int{0, 1}, nil)
}

func TestLeaveAndForceLeave(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	procs := startThree(t, l)
	assert.NilError(t, procs[2].stop(t))
	l.wantCluster(0, []int{0, 1}, []int{2})
	out, code := l.ctl(0, "cluster", "force-leave", l.name(2))
	assert.Equal(t, code, 0, out)
	assert.Assert(t, strings.HasPrefix(out, "Remove the node from cluster successfully."), out)
	l.wantCluster(0, []int{0, 1}, nil)
	l.wantCluster(1, []int{0, 1}, nil)
	// It comes back with its old data, and dies.
	err := waitEnd(t, l.start(2))
	assert.ErrorContains(t, err, "failed to merge schema")
	assert.NilError(t, os.RemoveAll(filepath.Join(l.dirs[2], "mnesia")))
	l.start(2)
	l.wantCluster(0, []int{0, 1, 2}, nil)

	for i, p := range []*proc{procs[0], procs[1]} { // discovery, which would bring it back
		p.wantSaid(t, discoveryEnds, 1)
		l.wantUp(i)
	}
	out, code = l.ctl(1, "cluster", "leave")
	assert.Equal(t, code, 0, out)
	l.wantCluster(1, []int{1}, nil)
	l.wantCluster(0, []int{0, 2}, nil)
	time.Sleep(400 * time.Millisecond) // leaving switches discovery off
	l.wantCluster(1, []int{1}, nil)
	out, code = l.ctl(1, "cluster", "join", l.name(0))
	assert.Equal(t, code, 0, out)
	l.wantCluster(1, []int{0, 1, 2}, nil)

	// One that left is found by discovery again at its next start.
	out, code = l.ctl(1, "cluster", "leave")
	assert.Equal(t, code, 0, out)
	l.wantCluster(0, []int{0, 2}, nil)
	assert.NilError(t, procs[1].stop(t))
	l.start(1)
	l.wantCluster(0, []int{0, 1, 2}, nil)
	l.wantCluster(1, []int{0, 1, 2}, nil) // joining restarts it, and then it answers

	out, code = l.ctl(0, "rebalance", "start", "--evacuation")
	assert.Equal(t, code, 1, "the open source edition has no such command: %s", out)
}

// Exit codes of the real `emqx ctl` are no verdicts: what is said is.
func TestCtlSaysWhatItsExitCodeDoesNot(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.members(1)
	l.start(0)
	l.wantUp(0)
	for command, want := range map[string]string{
		"cluster leave":                        "Failed to leave the cluster: node_not_in_cluster",
		"cluster join " + l.name(1):            "Failed to join the cluster: ",
		"cluster join " + l.name(0):            "Ignore.",
		"cluster force-leave emqx@nobody.test": "Failed to remove the node from cluster: node_not_in_cluster",
		"cluster force-leave " + l.name(0):     "Ignore.",
		"cluster nonsense":                     "Usage:",
		"data import /none.tar.gz":             "[error] Data import failed, reason: ",
		"clients show nobody":                  "Not Found.",
		"clients kick nobody":                  "ok",
		"clients list":                         "No clients.",
	} {
		out, code := l.ctl(0, strings.Fields(command)...)
		assert.Check(t, code == 0 && strings.Contains(out, want), "%s: exit %d: %s", command, code, out)
	}
	l.mqtt(0, connectOpts{id: "a"})
	out, code := l.ctl(0, "clients", "list")
	assert.Check(t, code == 1 && strings.Contains(out, "Client(a"), "exit %d: %s", code, out)
}

func waitEnd(t *testing.T, p *proc) error {
	t.Helper()
	select {
	case err := <-p.done:
		p.done <- err
		return err
	case <-time.After(8 * time.Second):
		t.Fatal("the node goes on running:\n" + p.out.String())
		return nil
	}
}
