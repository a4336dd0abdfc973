package cloud

import (
	"context"
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

func TestPoolLaunchesItsInstance(t *testing.T) {
	l := newLab(t)
	pool := l.pool(1)
	out, err := l.Read(context.Background(), typePool, pool)
	assert.NilError(t, err)
	assert.Equal(t, out["state"], "RUNNING")
	assert.Equal(t, out["size"], 1.0)
	assert.Equal(t, out["actualSize"], 1.0)
	i := l.instanceOf(pool)
	assert.Equal(t, i.State, running)
	assert.Equal(t, i.Name, "emqx-lab-1")
	assert.Equal(t, i.AD, "LAB:AD-2")
	assert.Equal(t, i.Address, "10.80.1.100")
	assert.Equal(t, i.Tags["group-index"], "1")
	same(t, l.m.alive[i.ID], InstanceSpec{ID: i.ID, Name: "emqx-lab-1", Address: netip.MustParseAddr("10.80.1.100")})
	same(t, l.m.firewall(i.ID).Addresses, []netip.Addr{netip.MustParseAddr("10.80.1.100")})
}

func TestPoolNamesAsOCIDoes(t *testing.T) {
	l := newLab(t)
	cfg, _ := l.create(typeConfiguration, configurationArgs(0))
	// The configuration's own displayName is ignored.
	id, _ := l.create(typePool, with(poolArgs(0, cfg), "instanceDisplayNameFormatter", nil))
	assert.Assert(t, regexp.MustCompile(`^inst-[a-z2-7]{5}-emqx-lab-0$`).MatchString(l.instanceOf(id).Name), l.instanceOf(id).Name)
	id, _ = l.create(typePool, with(poolArgs(0, cfg), "instanceDisplayNameFormatter", "n-${launchCount}"))
	assert.Equal(t, l.instanceOf(id).Name, "n-1")
}

func TestPoolSpreadsOverAvailabilityDomains(t *testing.T) {
	l := newLab(t)
	cfg, _ := l.create(typeConfiguration, configurationArgs(0))
	in := poolArgs(0, cfg)
	in["size"] = 4
	in["placementConfigurations"] = []any{
		Props{"availabilityDomain": "LAB:AD-1", "primarySubnetId": PrivateSubnet},
		Props{"availabilityDomain": "LAB:AD-3", "primaryVnicSubnets": Props{"subnetId": PrivateSubnet}},
	}
	id, out := l.create(typePool, in)
	assert.Equal(t, out["actualSize"], 4.0)
	count := map[string]int{}
	for _, i := range l.Snapshot().Instances {
		count[i.AvailabilityDomain]++
	}
	assert.DeepEqual(t, count, map[string]int{"LAB:AD-1": 2, "LAB:AD-3": 2})

	out, err := l.Update(context.Background(), typePool, id, with(in, "size", 1))
	assert.NilError(t, err)
	assert.Equal(t, out["actualSize"], 1.0)
	assert.Equal(t, len(l.m.alive), 1)
	assert.Equal(t, l.instanceOf(id).Seq, maxSeq(l), "the oldest ended first")
}

func maxSeq(l *lab) (n int) {
	l.read(func(s *state) {
		for _, i := range s.Instances {
			n = max(n, i.Seq)
		}
	})
	return n
}

func TestPoolRefusals(t *testing.T) {
	l := newLab(t)
	cfg, _ := l.create(typeConfiguration, configurationArgs(0))
	in := poolArgs(0, cfg)
	l.refused(typePool, with(in, "instanceConfigurationId", "ocid1.instanceconfiguration.oc1.lab-1.no"), 404, "lab-1.no")
	l.refused(typePool, with(in, "size", nil), 400, "size is required")
	l.refused(typePool, with(in, "size", 1.5), 400, "whole number")
	l.refused(typePool, with(in, "placementConfigurations", []any{}), 400, "placementConfigurations")
	l.refused(typePool, with(in, "placementConfigurations", []any{Props{"availabilityDomain": "AD-1"}}), 400, "AD-1")
	l.refused(typePool, with(in, "placementConfigurations",
		[]any{Props{"availabilityDomain": "LAB:AD-1", "primarySubnetId": "ocid1.subnet.oc1.lab-1.no"}}), 404, "lab-1.no")
	assert.Equal(t, l.m.calls["launch"], 0)
}

func TestConfigurationIsImmutableAndHeldByItsPool(t *testing.T) {
	l := newLab(t)
	ctx := context.Background()
	cfg, out := l.create(typeConfiguration, configurationArgs(0))
	details := sub(clone(configurationArgs(0)), "instanceDetails")
	sub(sub(details, "launchDetails"), "createVnicDetails")["assignPrivateDnsRecord"] = true // OCI's default, which it answers
	assert.DeepEqual(t, out["instanceDetails"], details)
	pool, _ := l.create(typePool, poolArgs(0, cfg))
	_, err := l.Update(ctx, typeConfiguration, cfg, configurationArgs(1))
	l.isError(err, 400, "cannot be changed")
	l.isError(l.Delete(ctx, typeConfiguration, cfg), 409, "in use by instance pool "+pool)

	// A new configuration for the pool leaves what runs alone.
	before := l.instanceOf(pool)
	next, _ := l.create(typeConfiguration, configurationArgs(0))
	_, err = l.Update(ctx, typePool, pool, poolArgs(0, next))
	assert.NilError(t, err)
	assert.Equal(t, l.instanceOf(pool).ID, before.ID)
	assert.Equal(t, l.instanceOf(pool).Config, cfg)
	assert.NilError(t, l.Delete(ctx, typeConfiguration, cfg))
}

func TestConfigurationRefusals(t *testing.T) {
	l := newLab(t)
	launch := func(kv ...any) Props {
		in := clone(configurationArgs(0))
		d := sub(in, "instanceDetails")
		d["launchDetails"] = with(sub(d, "launchDetails"), kv...)
		return in
	}
	l.refused(typeConfiguration, with(configurationArgs(0), "instanceDetails", nil), 400, "instanceDetails is required")
	l.refused(typeConfiguration, launch("shape", nil), 400, "shape is required")
	l.refused(typeConfiguration, launch("sourceDetails", Props{"sourceType": "image", "imageId": "ocid1.image.oc1..no"}), 404, "image")
	l.refused(typeConfiguration, launch("metadata", Props{"user_data": "#!/bin/bash"}), 400, "base64")
	l.refused(typeConfiguration, launch("metadata", Props{"user_data": strings.Repeat("AAAA", 8100)}), 400, "32000 bytes")
	l.refused(typeConfiguration, launch("createVnicDetails", Props{"nsgIds": []any{"ocid1.networksecuritygroup.oc1.lab-1.no"}}), 404, "no")
	l.refused(typeConfiguration, launch("createVnicDetails", Props{"subnetId": PrivateSubnet, "assignPublicIp": true}), 400, "prohibits public")
}

func TestDeadInstanceIsRelaunchedElsewhere(t *testing.T) {
	l := newLab(t)
	pool := l.pool(0)
	l.run()
	old := l.instanceOf(pool)
	l.m.kill(old.ID)
	l.eventually("another instance runs", func() bool {
		s := l.Snapshot()
		return len(s.Instances) == 1 && s.Instances[0].ID != old.ID && s.Instances[0].State == running
	})
	now := l.instanceOf(pool)
	assert.Equal(t, now.Name, old.Name)
	assert.Assert(t, now.Address != old.Address, "the primary address is a new one")
	assert.Assert(t, now.VNIC != old.VNIC && now.PrivateIP != old.PrivateIP)
	same(t, l.m.ended, []string{old.ID}) // what was left of it is cleaned up
}

func TestDeadInstancesAreRelaunchedAfterARestart(t *testing.T) {
	l := newLab(t)
	pool := l.pool(0)
	old := l.instanceOf(pool)
	l = l.restart()
	l.m.kill(old.ID)
	l.run()
	l.eventually("another instance runs", func() bool {
		s := l.Snapshot()
		return len(s.Instances) == 1 && s.Instances[0].ID != old.ID && s.Instances[0].State == running
	})
}

func TestLiveInstancesAreKeptOverARestart(t *testing.T) {
	l := newLab(t)
	g := l.group("nodes")
	l.create(typeRule, ingress(g, "10.80.9.0/24", 22, 22))
	pool := l.pool(0, g)
	old := l.instanceOf(pool)
	l = l.restart()
	l.m.set(func() { l.m.firewalls = map[string]Firewall{}; l.m.balancers = nil })
	l.run()
	l.eventually("the firewall is asserted again", func() bool { return len(l.m.firewall(old.ID).Ingress) == 1 })
	time.Sleep(2 * poolTick)
	assert.Equal(t, l.instanceOf(pool).ID, old.ID)
	assert.Equal(t, l.m.calls["launch"], 1)
}

func TestFailedLaunchIsSaidAndTakenOver(t *testing.T) {
	l := newLab(t)
	cfg, _ := l.create(typeConfiguration, configurationArgs(0))
	l.m.set(func() { l.m.fail["launch"] = errors.New("no memory left") })
	l.refused(typePool, poolArgs(0, cfg), 500, "no memory left")
	assert.Equal(t, len(l.Snapshot().Unclaimed), 1)
	l.m.set(func() { l.m.fail = map[string]error{} })
	id, out := l.create(typePool, poolArgs(0, cfg))
	assert.Equal(t, out["state"], "RUNNING")
	assert.Equal(t, l.instanceOf(id).State, running)
	assert.Equal(t, len(l.m.alive), 1)
}

// Killed while LaunchInstance ran: the record is there, so the next Run completes
// the launch, and the next try of that Create gets the pool.
func TestCutOffLaunchIsFinished(t *testing.T) {
	l := newLab(t)
	cfg, _ := l.create(typeConfiguration, configurationArgs(0))
	l.m.block["launch"] = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { _, _, err := l.Create(WithRetryToken(ctx, "one"), typePool, poolArgs(0, cfg)); done <- err }()
	l.eventually("the launch began", func() bool { l.m.mu.Lock(); defer l.m.mu.Unlock(); return l.m.calls["launch"] == 1 })
	cancel()
	assert.Assert(t, <-done != nil)
	l = l.restart()
	l.m.set(func() { l.m.block = map[string]chan struct{}{} })
	l.run()
	l.eventually("the instance runs", func() bool { s := l.Snapshot(); return len(s.Instances) == 1 && s.Instances[0].State == running })
	id, _, err := l.Create(WithRetryToken(context.Background(), "one"), typePool, poolArgs(0, cfg))
	assert.NilError(t, err)
	assert.Equal(t, len(l.Snapshot().Instances), 1)
	assert.Equal(t, l.instanceOf(id).Seq, maxSeq(l))
}

func TestPoolDeleteEndsItsInstances(t *testing.T) {
	l := newLab(t)
	pool := l.pool(0)
	vol, _ := l.create(typeVolume, volumeArgs(0))
	i := l.instanceOf(pool)
	_, err := l.attach(context.Background(), i.ID, vol, "", "paravirtualized", "")
	assert.NilError(t, err)
	l.isError(l.Delete(context.Background(), typeVolume, vol), 409, "attached to instance "+i.ID)

	assert.NilError(t, l.Delete(context.Background(), typePool, pool))
	assert.Equal(t, len(l.m.alive), 0)
	assert.Equal(t, len(l.m.tied), 0)
	assert.Equal(t, len(l.Snapshot().Instances), 0)
	out, err := l.Read(context.Background(), typePool, pool)
	assert.NilError(t, err)
	assert.Equal(t, out["state"], "TERMINATED")
	assert.NilError(t, l.Delete(context.Background(), typeVolume, vol))
	assert.Equal(t, len(l.m.volumes), 0)
}

func TestCutOffPoolDeleteIsFinishedByRun(t *testing.T) {
	l := newLab(t)
	pool := l.pool(0)
	l.m.set(func() { l.m.fail["terminate"] = errors.New("busy") })
	assert.ErrorContains(t, l.Delete(context.Background(), typePool, pool), "busy")
	l = l.restart()
	l.m.set(func() { l.m.fail = map[string]error{} })
	l.run()
	l.eventually("the instance is gone", func() bool { l.m.mu.Lock(); defer l.m.mu.Unlock(); return len(l.m.alive) == 0 })
	l.eventually("the pool is gone", func() bool {
		gone := false
		l.read(func(s *state) { gone = s.Resources[pool] == nil })
		return gone
	})
	assert.Equal(t, l.m.calls["launch"], 1, "nothing was relaunched")
}

func TestGetInstancePoolInstances(t *testing.T) {
	l := newLab(t)
	pool := l.pool(0)
	out, err := l.Invoke(context.Background(), getInstancePoolInstances, Props{"compartmentId": CompartmentID, "instancePoolId": pool})
	assert.NilError(t, err)
	instances := subs(out, "instances")
	assert.Equal(t, len(instances), 1)
	assert.Equal(t, instances[0]["id"], l.instanceOf(pool).ID)
	assert.Equal(t, instances[0]["state"], "Running")
	_, err = l.Invoke(context.Background(), getInstancePoolInstances, Props{"compartmentId": CompartmentID, "instancePoolId": "x"})
	l.isError(err, 404, "x")
}
