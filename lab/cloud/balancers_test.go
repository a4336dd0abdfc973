package cloud

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

func balancerArgs(groups ...any) Props {
	return Props{"compartmentId": CompartmentID, "displayName": "emqx-lab", "subnetId": PublicSubnet, "networkSecurityGroupIds": groups}
}

func setArgs(nlb, name string) Props {
	return Props{
		"networkLoadBalancerId": nlb, "name": name, "policy": "FIVE_TUPLE", "isPreserveSource": true,
		"isInstantFailoverEnabled": true, "isInstantFailoverTcpResetEnabled": true,
		"healthChecker": Props{
			"protocol": "HTTP", "port": 8080, "urlPath": "/haproxy_health", "returnCode": 200, "intervalInMillis": 1000, "retries": 2,
		},
	}
}

func backendArgs(nlb, set, address string) Props {
	return Props{"networkLoadBalancerId": nlb, "backendSetName": set, "name": "emqx-lab-" + address[len(address)-1:], "ipAddress": address, "port": 1883}
}

func listenerArgs(nlb, set string, port int) Props {
	return Props{
		"networkLoadBalancerId": nlb, "name": fmt.Sprint("p", port), "defaultBackendSetName": set, "port": port, "protocol": "TCP",
		"tcpIdleTimeout": 600,
	}
}

// edge is a balancer with one set of two backends and a listener.
func (l *lab) edge() (nlb string) {
	l.t.Helper()
	nlb, _ = l.create(typeBalancer, balancerArgs())
	l.create(typeBackendSet, setArgs(nlb, "mqtt"))
	l.create(typeBackend, backendArgs(nlb, "mqtt", "10.80.1.10"))
	l.create(typeBackend, backendArgs(nlb, "mqtt", "10.80.1.11"))
	l.create(typeListener, listenerArgs(nlb, "mqtt", 1883))
	return nlb
}

func TestBalancerHasBothAddresses(t *testing.T) {
	l := newLab(t)
	g := l.group("edge")
	l.create(typeRule, ingress(g, "0.0.0.0/0", 1883, 1883))
	id, out := l.create(typeBalancer, balancerArgs(g))
	assert.Assert(t, ocidForm.MatchString(id))
	assert.Equal(t, out["state"], "ACTIVE")
	addresses := subs(out, "ipAddresses")
	assert.Equal(t, addresses[0]["ipAddress"], "198.51.100.10")
	assert.Equal(t, addresses[0]["isPublic"], true)
	assert.Equal(t, addresses[1]["ipAddress"], "10.80.0.10")
	assert.Equal(t, addresses[1]["isPublic"], false)
	same(t, l.m.balancers, []Balancer{{
		ID: id, Public: netip.MustParseAddr("198.51.100.10"), Private: netip.MustParseAddr("10.80.0.10"),
		Ingress: []Rule{{Protocol: "tcp", CIDRs: prefixes("0.0.0.0/0"), PortMin: 1883, PortMax: 1883}},
	}})
}

func TestBalancerRefusals(t *testing.T) {
	l := newLab(t)
	l.refused(typeBalancer, with(balancerArgs(), "subnetId", "ocid1.no"), 404, "ocid1.no")
	l.refused(typeBalancer, with(balancerArgs(), "subnetId", PrivateSubnet), 400, "isPrivate")
	l.refused(typeBalancer, with(balancerArgs(), "displayName", nil), 400, "displayName")
	l.refused(typeBalancer, balancerArgs("ocid1.networksecuritygroup.no"), 404, "no")
	nlb := l.edge()
	set := setArgs(nlb, "tls")
	checker := func(kv ...any) Props {
		return with(set, "healthChecker", with(sub(clone(set), "healthChecker"), kv...))
	}
	for _, c := range []struct {
		token   string
		in      Props
		status  int
		message string
	}{
		{typeBackendSet, with(set, "networkLoadBalancerId", "ocid1.no"), 404, "ocid1.no"},
		{typeBackendSet, with(set, "policy", "ROUND_ROBIN"), 400, "FIVE_TUPLE"},
		{typeBackendSet, setArgs(nlb, "mqtt"), 0, ""}, // replaced below: names are unique
		{typeBackendSet, with(set, "healthChecker", nil), 400, "healthChecker is required"},
		{typeBackendSet, checker("protocol", "MQTT"), 400, "protocol"},
		{typeBackendSet, checker("protocol", "DNS"), 501, "DNS"},
		{typeBackendSet, checker("urlPath", nil), 400, "urlPath"},
		{typeBackendSet, checker("intervalInMillis", 10), 400, "intervalInMillis"},
		{typeBackendSet, checker("port", 80800), 400, "port"},
		{typeBackend, backendArgs(nlb, "nowhere", "10.80.1.12"), 404, "nowhere"},
		{typeBackend, with(backendArgs(nlb, "mqtt", "10.80.1.12"), "targetId", "ocid1.x"), 400, "not both"},
		{typeBackend, with(backendArgs(nlb, "mqtt", "10.80.1.12"), "ipAddress", nil), 400, "either"},
		{typeBackend, with(backendArgs(nlb, "mqtt", "10.80.1.12"), "ipAddress", "8.8.8.8"), 400, "VCN"},
		{typeBackend, with(backendArgs(nlb, "mqtt", "10.80.1.12"), "port", 80800), 400, "port"},
		{typeBackend, with(backendArgs(nlb, "mqtt", "10.80.1.12"), "name", "emqx-lab-1"), 409, "taken"},
		{typeBackend, with(backendArgs(nlb, "mqtt", "10.80.1.10"), "name", "again"), 409, "Duplicate backend"},
		{typeListener, listenerArgs(nlb, "nowhere", 1), 404, "nowhere"},
		{typeListener, with(listenerArgs(nlb, "mqtt", 1), "protocol", "HTTPX"), 400, "protocol"},
		{typeListener, with(listenerArgs(nlb, "mqtt", 1), "protocol", "UDP"), 501, "TCP only"},
		{typeListener, with(listenerArgs(nlb, "mqtt", 1), "tcpIdleTimeout", 1801), 400, "tcpIdleTimeout"},
		{typeListener, with(listenerArgs(nlb, "mqtt", 1883), "name", "other"), 409, "used by listener"},
		{typeListener, with(listenerArgs(nlb, "mqtt", 1), "name", "p1883"), 409, "taken"},
	} {
		if c.status == 0 {
			c.in = with(c.in, "policy", "TWO_TUPLE")
			c.status, c.message = 409, "taken"
		}
		l.refused(c.token, c.in, c.status, c.message)
	}
}

func TestChildrenHaveNamesAndComposedIDs(t *testing.T) {
	l := newLab(t)
	nlb := l.edge()
	id, out := l.create(typeBackend, with(backendArgs(nlb, "mqtt", "10.80.1.12"), "name", nil))
	assert.Assert(t, regexp.MustCompile(`^backend-[a-z2-7]{7}$`).MatchString(str(out, "name")), out["name"])
	assert.Equal(t, id, "networkLoadBalancers/"+nlb+"/backendSets/mqtt/backends/"+str(out, "name"))
	set, err := l.Read(context.Background(), typeBackendSet, "networkLoadBalancers/"+nlb+"/backendSets/mqtt")
	assert.NilError(t, err)
	assert.Equal(t, len(list(set, "backends")), 3)
	assert.Equal(t, sub(set, "healthChecker")["timeoutInMillis"], 3000.0)
}

// terraform-provider-oci#1456: children created in parallel fail.
func TestParallelChildrenGetConflicts(t *testing.T) {
	l := newLab(t)
	nlb, _ := l.create(typeBalancer, balancerArgs())
	other, _ := l.create(typeBalancer, with(balancerArgs(), "displayName", "other"))
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for n := range errs {
		wg.Go(func() {
			on := nlb
			if n == 3 {
				on = other // another balancer is not disturbed
			}
			_, _, errs[n] = l.Create(context.Background(), typeBackendSet, setArgs(on, fmt.Sprint("set", n)))
		})
	}
	wg.Wait()
	failed := 0
	for _, err := range errs[:3] {
		if err != nil {
			l.isError(err, 409, "Invalid State Transition of NLB lifeCycle state from Updating to Updating")
			failed++
		}
	}
	assert.Equal(t, failed, 2)
	assert.NilError(t, errs[3])
	// One after another all is well.
	for n := range 3 {
		_, _, err := l.Create(context.Background(), typeBackendSet, setArgs(nlb, fmt.Sprint("again", n)))
		assert.NilError(t, err)
	}
}

func TestOnlyHealthyBackendsGetTraffic(t *testing.T) {
	l := newLab(t)
	nlb := l.edge()
	ask := func() Props {
		out, err := l.Invoke(context.Background(), getBackendSetHealth, Props{"networkLoadBalancerId": nlb, "backendSetName": "mqtt"})
		assert.NilError(t, err)
		return out
	}
	served := func() []netip.AddrPort {
		l.m.mu.Lock()
		defer l.m.mu.Unlock()
		return l.m.balancers[0].Listeners[0].Backends
	}
	out := ask()
	assert.Equal(t, out["status"], "UNKNOWN")
	assert.Equal(t, out["totalBackendCount"], 2.0)
	assert.DeepEqual(t, strs(out, "unknownStateBackendNames"), []string{"10.80.1.10:1883", "10.80.1.11:1883"})
	assert.Equal(t, len(served()), 0)

	l.m.set(func() {
		l.m.healthy["http://10.80.1.10:8080/haproxy_health"] = 200
		l.m.healthy["http://10.80.1.11:8080/haproxy_health"] = 503
	})
	l.run()
	// Each backend has its own first result: one healthy and one unknown is a warning too.
	l.eventually("both backends are known", func() bool { return len(strs(ask(), "unknownStateBackendNames")) == 0 })
	assert.Equal(t, ask()["status"], "WARNING")
	assert.DeepEqual(t, strs(ask(), "criticalStateBackendNames"), []string{"10.80.1.11:1883"})
	// What is known reaches the machine a moment later.
	reset := func() []netip.AddrPort {
		l.m.mu.Lock()
		defer l.m.mu.Unlock()
		return l.m.balancers[0].Listeners[0].Reset
	}
	l.eventually("one gets traffic, the other is reset", func() bool {
		return fmt.Sprint(served(), reset()) == "[10.80.1.10:1883] [10.80.1.11:1883]"
	})
	b, err := l.Invoke(context.Background(), getBackendHealth,
		Props{"networkLoadBalancerId": nlb, "backendSetName": "mqtt", "backendName": "emqx-lab-1"})
	assert.NilError(t, err)
	assert.Equal(t, b["status"], "CRITICAL")
	assert.Equal(t, subs(b, "healthCheckResults")[0]["healthCheckStatus"], "INVALID_STATUS_CODE")

	l.m.set(func() { l.m.healthy["http://10.80.1.11:8080/haproxy_health"] = 200 })
	l.eventually("all are healthy", func() bool { return ask()["status"] == "OK" })
	l.eventually("both get traffic", func() bool { return len(served()) == 2 && len(reset()) == 0 })
	assert.Equal(t, l.m.balancers[0].Listeners[0].IdleTimeout, 10*time.Minute)
	assert.Equal(t, l.m.balancers[0].Listeners[0].PreserveSource, true)
}

// The first result decides; later it takes as many contradicting results in a row
// as the checker has retries, down and up alike.
func TestHealthChangesAfterRetries(t *testing.T) {
	l := newLab(t)
	id := "networkLoadBalancers/" + l.edge() + "/backendSets/mqtt/backends/emqx-lab-0"
	const bad = "CONNECT_FAILED"
	for n, c := range []struct {
		result  string
		changed bool
		health  string
	}{
		{bad, true, healthCritical},
		{healthOK, false, healthCritical},
		{bad, false, healthCritical},
		{healthOK, false, healthCritical},
		{healthOK, true, healthOK},
		{bad, false, healthOK},
		{healthOK, false, healthOK},
		{bad, false, healthOK},
		{bad, true, healthCritical},
	} {
		changed, err := l.record(probe{backend: id, retries: 2}, c.result)
		assert.NilError(t, err)
		assert.Equal(t, changed, c.changed, "result %d", n)
		l.read(func(s *state) { assert.Equal(t, s.Resources[id].Health, c.health, "result %d", n) })
	}
}

func TestHealthSurvivesARestart(t *testing.T) {
	l := newLab(t)
	l.edge()
	assert.NilError(t, l.change(func(s *state) error {
		for _, b := range s.of(typeBackend) {
			b.Health = healthOK
		}
		return nil
	}))
	l = l.restart()
	l.m.set(func() { l.m.balancers = nil })
	assert.NilError(t, l.push(context.Background()))
	assert.Equal(t, len(l.m.balancers[0].Listeners[0].Backends), 2, "a restart takes nobody out")
}

func TestDrainedBackendsGetNoTraffic(t *testing.T) {
	l := newLab(t)
	nlb := l.edge()
	assert.NilError(t, l.change(func(s *state) error {
		for _, b := range s.of(typeBackend) {
			b.Health = healthOK
		}
		return nil
	}))
	id := "networkLoadBalancers/" + nlb + "/backendSets/mqtt/backends/emqx-lab-0"
	_, err := l.Update(context.Background(), typeBackend, id, with(backendArgs(nlb, "mqtt", "10.80.1.10"), "isDrain", true))
	assert.NilError(t, err)
	assert.Equal(t, l.m.balancers[0].Listeners[0].Backends[0].String(), "10.80.1.11:1883")
	assert.Equal(t, len(l.m.balancers[0].Listeners[0].Backends), 1)
	_, err = l.Update(context.Background(), typeBackend, id, with(backendArgs(nlb, "mqtt", "10.80.1.10"), "port", 8883))
	l.isError(err, 400, "cannot be changed")
}

// The provider's unified set is the same thing, written whole.
func TestASetWithItsBackends(t *testing.T) {
	l := newLab(t)
	ctx := context.Background()
	nlb, _ := l.create(typeBalancer, balancerArgs())
	backend := func(n, port int) Props {
		return Props{
			"name": fmt.Sprintf("emqx-lab-%d", n), "ipAddress": fmt.Sprintf("10.80.1.1%d", n), "port": port, "weight": 1,
			"isBackup": false, "isDrain": false, "isOffline": false,
		}
	}
	set := func(backends ...any) Props { return with(setArgs(nlb, "mqtt"), "backends", backends) }
	l.refused(typeUnifiedSet, set(with(backend(0, 1883), "port", nil)), 400, "backends[0].port is required")
	l.refused(typeUnifiedSet, set(backend(0, 1883), with(backend(0, 1883), "name", "again")), 409, "Duplicate backend")
	l.refused(typeUnifiedSet, set(backend(0, 1883), with(backend(1, 1883), "name", "emqx-lab-0")), 400, "taken already")
	l.refused(typeUnifiedSet, set(with(backend(0, 1883), "targetId", "ocid1.x")), 400, "not both")
	id, out := l.create(typeUnifiedSet, set(backend(0, 1883), with(backend(1, 1883), "name", nil)))
	assert.Equal(t, id, "networkLoadBalancers/"+nlb+"/backendSets/mqtt")
	want := clone(with(backend(0, 1883), "targetId", ""))
	assert.DeepEqual(t, subs(out, "backends")[0], want)
	assert.Equal(t, subs(out, "backends")[1]["name"], "10.80.1.11:1883")

	names := func() (all []string) {
		for _, set := range l.Snapshot().Balancers[0].Sets {
			for _, b := range set.Backends {
				all = append(all, fmt.Sprintf("%s %d %s", b.Name, b.Port, b.Health))
			}
		}
		return all
	}
	assert.NilError(t, l.change(func(s *state) error { s.Resources[id+"/backends/emqx-lab-0"].Health = healthOK; return nil }))
	_, err := l.Update(ctx, typeUnifiedSet, id, set(backend(0, 1883), backend(2, 1883)))
	assert.NilError(t, err)
	assert.DeepEqual(t, names(), []string{"emqx-lab-0 1883 OK", "emqx-lab-2 1883 UNKNOWN"})
	l = l.restart()
	_, err = l.Update(ctx, typeUnifiedSet, id, set(backend(0, 8883), backend(2, 1883)))
	assert.NilError(t, err)
	assert.DeepEqual(t, names(), []string{"emqx-lab-2 1883 UNKNOWN", "emqx-lab-0 8883 UNKNOWN"})
	_, err = l.Update(ctx, typeUnifiedSet, id, set(with(backend(0, 8883), "port", nil)))
	l.isError(err, 400, "backends[0].port is required")
	assert.Equal(t, len(names()), 2)
	assert.NilError(t, l.Delete(ctx, typeUnifiedSet, id))
	assert.NilError(t, l.Delete(ctx, typeBalancer, nlb))
	l.read(func(s *state) { assert.Equal(t, len(s.Resources), 0) })
}

func TestDeletingABalancerPartByPart(t *testing.T) {
	l := newLab(t)
	ctx := context.Background()
	nlb := l.edge()
	set := "networkLoadBalancers/" + nlb + "/backendSets/mqtt"
	l.isError(l.Delete(ctx, typeBackendSet, set), 409, "used by listener")
	assert.NilError(t, l.Delete(ctx, typeListener, "networkLoadBalancers/"+nlb+"/listeners/p1883"))
	assert.Equal(t, len(l.m.balancers[0].Listeners), 0)
	assert.NilError(t, l.Delete(ctx, typeBackend, set+"/backends/emqx-lab-0"))
	assert.NilError(t, l.Delete(ctx, typeBackendSet, set))
	assert.NilError(t, l.Delete(ctx, typeBalancer, nlb))
	assert.Equal(t, len(l.m.balancers), 0)
	assert.NilError(t, l.Delete(ctx, typeBackend, set+"/backends/emqx-lab-1"), "its parts went with it")
	l.read(func(s *state) { assert.Equal(t, len(s.Resources), 0) })
}

func TestZoneAndRecordSets(t *testing.T) {
	l := newLab(t)
	ctx := context.Background()
	in := Props{
		"zoneNameOrId": ZoneName, "domain": "mqtt.lab.test", "rtype": "A",
		"items": []any{Props{"domain": "mqtt.lab.test", "rtype": "A", "rdata": "198.51.100.10", "ttl": 60}},
	}
	item := func(kv ...any) Props { return with(in, "items", []any{with(subs(clone(in), "items")[0], kv...)}) }
	l.refused(typeRrset, with(in, "zoneNameOrId", "example.com"), 404, "example.com")
	l.refused(typeRrset, with(in, "domain", "mqtt.example.com"), 400, "not in zone")
	l.refused(typeRrset, item("rdata", "nowhere"), 400, "no IPv4 address")
	l.refused(typeRrset, item("domain", "other.lab.test"), 400, "does not belong")
	l.refused(typeRrset, item("ttl", nil), 400, "ttl is required")
	id, out := l.create(typeRrset, in)
	assert.Equal(t, id, "zoneNameOrId/lab.test/domain/mqtt.lab.test/rtype/A")
	assert.Equal(t, subs(out, "items")[0]["isProtected"], false)
	assert.DeepEqual(t, l.m.records, []Record{{Name: "mqtt.lab.test", Type: "A", Data: "198.51.100.10", TTL: 60}})
	_, err := l.Update(ctx, typeRrset, id, item("rdata", "198.51.100.11"))
	assert.NilError(t, err)
	assert.Equal(t, l.m.records[0].Data, "198.51.100.11")
	assert.NilError(t, l.Delete(ctx, typeRrset, id))
	assert.Equal(t, len(l.m.records), 0)
}

func TestInvokes(t *testing.T) {
	l := newLab(t)
	ctx := context.Background()
	out, err := l.Invoke(ctx, getAvailabilityDomains, Props{"compartmentId": CompartmentID})
	assert.NilError(t, err)
	var names []string
	for _, ad := range subs(out, "availabilityDomains") {
		names = append(names, str(ad, "name"))
	}
	assert.DeepEqual(t, names, AvailabilityDomains)
	out, err = l.Invoke(ctx, getAvailabilityDomains,
		Props{"compartmentId": CompartmentID, "filters": []any{Props{"name": "name", "values": []any{"LAB:AD-2"}}}})
	assert.NilError(t, err)
	assert.Equal(t, len(subs(out, "availabilityDomains")), 1)
	out, err = l.Invoke(ctx, getSubnet, Props{"subnetId": PrivateSubnet})
	assert.NilError(t, err)
	assert.Equal(t, out["cidrBlock"], "10.80.1.0/24")
	assert.Equal(t, out["virtualRouterIp"], "10.80.1.1")
	assert.Equal(t, out["prohibitPublicIpOnVnic"], true)
	out, err = l.Invoke(ctx, getVcns, Props{"compartmentId": CompartmentID, "displayName": VCNName, "state": "available"})
	assert.NilError(t, err)
	assert.Equal(t, str(subs(out, "virtualNetworks")[0], "id"), VCNID)
	assert.Equal(t, out["displayName"], VCNName)
	for name, want := range map[string]int{"": 2, "private": 1, "Private": 0} {
		out, err = l.Invoke(ctx, getSubnets, Props{"compartmentId": CompartmentID, "vcnId": VCNID, "displayName": name})
		assert.NilError(t, err)
		assert.Equal(t, len(subs(out, "subnets")), want, name)
	}
	_, err = l.Invoke(ctx, getVcns, Props{"compartmentId": "ocid1.compartment.oc1..other"})
	l.isError(err, 404, "ocid1.compartment.oc1..other")
	_, err = l.Invoke(ctx, getSubnets, Props{"compartmentId": CompartmentID, "vcnId": "ocid1.vcn.oc1..other"})
	l.isError(err, 404, "ocid1.vcn.oc1..other")
	_, err = l.Invoke(ctx, "oci:Core/getVcn:getVcn", Props{})
	l.isError(err, 501, "getVcn")
}
