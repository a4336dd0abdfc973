//go:build lab

package e2e

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	"github.com/vishvananda/netns"
	"gotest.tools/v3/assert"
)

// intruders is what whoever reaches the open servers, or gets into a container, tries.
func intruders(t *testing.T, b *bed) {
	t.Run("containers reach neither agents nor metadata", func(t *testing.T) { confined(t, b) })
	t.Run("a service of a stranger's gets no clients", func(t *testing.T) { rogueService(t, b) })
	t.Run("a changed size makes no node leave", func(t *testing.T) { rogueSize(t, b) })
}

// confined asks from inside both containers what root of the node itself is told.
func confined(t *testing.T, b *bed) {
	c := nomadClient(t)
	for _, job := range []string{emqxJob, proxyJob} {
		task := map[string]string{emqxJob: "emqx", proxyJob: "haproxy"}[job]
		stub := running(t, c, job)[0]
		a, _, err := c.Allocations().Info(stub.ID, nil)
		assert.NilError(t, err)
		var node int
		_, err = fmt.Sscanf(stub.NodeName, "emqx-lab-%d", &node)
		assert.NilError(t, err)
		own := instanceNamed(t, b, stub.NodeName).Reserved[0]
		for address, reached := range map[string]bool{
			"169.254.169.254/80": false, "127.0.0.1/8500": false, "127.0.0.1/4646": false, own + "/8301": false,
			"127.0.0.1/8600": true, own + "/18083": true,
		} {
			script := "</dev/tcp/" + address
			var out syncBuffer
			code, err := c.Allocations().Exec(t.Context(), a, task, false, []string{"timeout", "3", "bash", "-c", script}, strings.NewReader(""), &out, &out, nil, nil)
			assert.NilError(t, err)
			assert.Equal(t, code == 0, reached, "%s from inside %s: %s", address, task, out.String())
			assert.Equal(t, b.in(t, node, "timeout 3 bash -c '"+script+"'").code, 0, "%s does not answer the node itself", address)
		}
		assert.Assert(t, b.in(t, node, "timeout 3 bash -c '</dev/tcp/"+own+"/4646'").code != 0, "Nomad's API is on loopback alone")
	}
}

// rogueService registers a stranger's address under every name that leads to brokers, and moves
// the nodes' own addresses there, as Consul without ACLs lets anybody do.
func rogueService(t *testing.T, b *bed) {
	c := consulClient(t).Catalog()
	servers := "srv"
	stranger, came := listenIn(t, servers, 21883, 21983, 21884, 21984, 18083)
	services := []string{"emqx", "emqx-ws", "emqx-tls", "emqx-wss", "emqx-dashboard", "emqx-metrics"}
	var nodes []*consul.CatalogRegistration
	for i := range 3 {
		nodes = append(nodes, &consul.CatalogRegistration{Node: fmt.Sprint("emqx-lab-", i), Address: stranger})
	}
	for n, service := range services {
		tags := []string{"lab"}
		for i := range 3 {
			tags = append(tags, fmt.Sprint("lab--", i))
		}
		nodes = append(nodes, &consul.CatalogRegistration{Node: "stranger", Address: stranger, Service: &consul.AgentService{
			ID: fmt.Sprint("rogue-", n), Service: service, Tags: tags, Address: stranger, Port: []int{21883, 21983, 21884, 21984, 18083, 18083}[n],
		}})
	}
	t.Cleanup(func() {
		_, err := c.Deregister(&consul.CatalogDeregistration{Node: "stranger"}, nil)
		assert.Check(t, err)
	})
	end := time.Now().Add(20 * time.Second)
	for time.Now().Before(end) {
		for _, r := range nodes {
			_, err := c.Register(r, nil)
			assert.NilError(t, err)
		}
		r := b.run(t, "lab", "exec", "--", "sh", "-c", `for i in 1 2 3 4 5 6; do mosquitto_pub -h `+name+` -t intruders -m hello -u somebody -P secret || exit; done`)
		assert.Equal(t, r.code, 0, "%s", r)
	}
	assert.Equal(t, came.Load(), int64(0), "connections to the stranger")
	found, _, err := c.Service("emqx", "lab", nil)
	assert.NilError(t, err)
	rogue := 0
	for _, s := range found {
		if s.Node == "stranger" {
			rogue++
		}
	}
	assert.Equal(t, rogue, 1, "Consul has the stranger, so the test tried something")
}

// listenIn counts who connects to these ports in a namespace of the lab, at the address that it
// returns.
func listenIn(t *testing.T, ns string, ports ...int) (address string, came *atomic.Int64) {
	t.Helper()
	came = &atomic.Int64{}
	var listeners []net.Listener
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			runtime.LockOSThread()
			home, err := netns.Get()
			if err != nil {
				return err
			}
			defer home.Close()
			defer func() {
				if netns.Set(home) == nil {
					runtime.UnlockOSThread()
				}
			}()
			h, err := netns.GetFromName(bedOf(t).labName + "-" + ns)
			if err != nil {
				return fmt.Errorf("opening namespace %s: %w", ns, err)
			}
			defer h.Close()
			if err := netns.Set(h); err != nil {
				return err
			}
			addresses, err := net.InterfaceAddrs()
			if err != nil {
				return err
			}
			for _, a := range addresses {
				if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
					address = n.IP.String()
				}
			}
			for _, port := range ports {
				l, err := net.Listen("tcp4", fmt.Sprintf("%s:%d", address, port))
				if err != nil {
					return err
				}
				listeners = append(listeners, l)
			}
			return nil
		}()
	}()
	assert.NilError(t, <-done)
	for _, l := range listeners {
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				came.Add(1)
				_ = c.Close()
			}
		}()
	}
	return address, came
}

// rogueSize writes another number of nodes into Consul, as anybody may, and has a node stop: it
// asks Nomad, stays a member, and has its data when it is back.
func rogueSize(t *testing.T, b *bed) {
	kv := consulClient(t).KV()
	pair, _, err := kv.Get("emqx/lab/size", nil)
	assert.NilError(t, err)
	was := *pair
	t.Cleanup(func() {
		_, err := kv.Put(&consul.KVPair{Key: was.Key, Value: was.Value, Flags: was.Flags}, nil)
		assert.Check(t, err)
	})
	_, err = kv.Put(&consul.KVPair{Key: pair.Key, Value: []byte("1"), Flags: pair.Flags}, nil)
	assert.NilError(t, err)
	b.must(t, "lab", "exec", "--", "sh", "-c", "mosquitto_pub -h "+name+" -q 1 -r -t intruders/kept -m still-here")
	c := nomadClient(t)
	last := func() *nomad.AllocationListStub {
		for _, a := range running(t, c, emqxJob) {
			if a.NodeName == "emqx-lab-2" {
				return a
			}
		}
		return nil
	}
	stub := last()
	assert.Equal(t, strings.TrimSpace(inBroker(t, c, stub, "cat", "/local/size")), "1")
	a, _, err := c.Allocations().Info(stub.ID, nil)
	assert.NilError(t, err)
	assert.NilError(t, c.Allocations().Restart(a, "emqx", nil))
	eventually(t, 2*time.Minute, "the node back in the cluster", func() error {
		stub := last()
		if stub == nil || stub.TaskStates["emqx"].Restarts == 0 && stub.ID == a.ID {
			return fmt.Errorf("it has not restarted")
		}
		return nil
	})
	eventually(t, time.Minute, "what its script said", func() error {
		r := b.in(t, 2, "cat /opt/nomad/data/alloc/"+a.ID+"/alloc/logs/emqx.stdout.*")
		if !strings.Contains(r.stdout, "stop: Consul says 1 nodes, and Nomad 3: this node stays a member") {
			return fmt.Errorf("%s", r)
		}
		assert.Assert(t, !strings.Contains(r.stdout, "leaving the cluster"), "%s", r)
		return nil
	})
	b.well(t, 3*time.Minute) // it starts, and joins again
	wantMembers(t, c, 3)
	r := b.must(t, "lab", "exec", "--", "sh", "-c", "mosquitto_sub -h "+name+" -t intruders/kept -C 1 -W 10")
	assert.Assert(t, strings.Contains(r.stdout, "still-here"), "%s", r)
	r = b.in(t, 2, "ls -d /mnt/bv/emqx-2/left-* 2>/dev/null")
	assert.Equal(t, r.stdout, "", "nothing was set aside")
}
