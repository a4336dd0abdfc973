package cloud

import (
	"context"
	"net/netip"
	"reflect"
	"testing"

	"gotest.tools/v3/assert"
)

// same compares values with addresses in them, which assert.DeepEqual cannot.
func same(t *testing.T, got, want any) {
	t.Helper()
	assert.Assert(t, reflect.DeepEqual(got, want), "got:  %+v\nwant: %+v", got, want)
}

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

func TestRuleRefusals(t *testing.T) {
	l := newLab(t)
	g := l.group("nodes")
	ok := ingress(g, "10.80.0.0/24", 1883, 1883)
	ports := func(low, high any) Props { return Props{"destinationPortRange": Props{"min": low, "max": high}} }
	for _, c := range []struct {
		in      Props
		status  int
		message string
	}{
		{with(ok, "protocol", "TCP"), 400, `"6" (TCP)`},
		{with(ok, "protocol", "300"), 400, "protocol number"},
		{with(ok, "protocol", "47", "tcpOptions", nil), 501, "does not simulate"},
		{with(ok, "direction", "INBOUND"), 400, "INGRESS, EGRESS"},
		{with(ok, "source", nil), 400, "source is required"},
		{with(ok, "direction", "EGRESS"), 400, "destination is required"},
		{with(ok, "destination", "0.0.0.0/0"), 400, "must not be set"},
		{with(ok, "source", "10.80.0.1/24"), 400, "not a valid CIDR"},
		{with(ok, "source", "10.80.0.0"), 400, "not a valid CIDR"},
		{with(ok, "sourceType", "SUBNET"), 400, "sourceType"},
		{with(ok, "sourceType", "NETWORK_SECURITY_GROUP"), 404, "10.80.0.0/24"},
		{with(ok, "networkSecurityGroupId", "ocid1.no"), 404, "ocid1.no"},
		{with(ok, "protocol", "17"), 400, "tcpOptions can be set only"},
		{with(ok, "tcpOptions", ports(0, 1)), 400, "between 1 and 65535"},
		{with(ok, "tcpOptions", ports(1, 65536)), 400, "between 1 and 65535"},
		{with(ok, "tcpOptions", ports(9, 8)), 400, "greater than max"},
		{with(ok, "tcpOptions", ports(9, nil)), 400, "max is required"},
	} {
		l.refused(typeRule, c.in, c.status, c.message)
	}
	id, out := l.create(typeRule, ok)
	assert.Assert(t, len(id) > 0 && out["isValid"] == true)
	assert.Equal(t, out["sourceType"], "CIDR_BLOCK")
}

func TestRulesReachTheMachineResolved(t *testing.T) {
	l := newLab(t)
	nodes, edge := l.group("nodes"), l.group("edge")
	l.create(typeRule, ingress(nodes, nodes, 4370, 4370))
	l.create(typeRule, ingress(nodes, edge, 8080, 8080))
	l.create(typeRule, Props{"networkSecurityGroupId": nodes, "direction": "EGRESS", "protocol": "all", "destination": "0.0.0.0/0"})
	a := l.instanceOf(l.pool(0, nodes))
	same(t, l.m.firewall(a.ID), Firewall{
		Addresses: []netip.Addr{netip.MustParseAddr(a.Address)},
		Ingress:   []Rule{{Protocol: "tcp", CIDRs: prefixes(a.Address + "/32"), PortMin: 4370, PortMax: 4370}},
		Egress:    []Rule{{Protocol: "all", CIDRs: prefixes("0.0.0.0/0")}},
	})

	// A second member and a balancer in the other group: the first one's rules follow.
	b := l.instanceOf(l.pool(1, nodes))
	nlb, _ := l.create(typeBalancer, balancerArgs(edge))
	out, err := l.Read(context.Background(), typeBalancer, nlb)
	assert.NilError(t, err)
	private := str(subs(out, "ipAddresses")[1], "ipAddress")
	for _, i := range []instance{a, b} {
		same(t, l.m.firewall(i.ID).Ingress, []Rule{
			{Protocol: "tcp", CIDRs: prefixes(a.Address+"/32", b.Address+"/32"), PortMin: 4370, PortMax: 4370},
			{Protocol: "tcp", CIDRs: prefixes(private + "/32"), PortMin: 8080, PortMax: 8080},
		})
	}
}

func TestRuleChangesReachRunningInstances(t *testing.T) {
	l := newLab(t)
	ctx := context.Background()
	g := l.group("nodes")
	i := l.instanceOf(l.pool(0, g))
	assert.Equal(t, len(l.m.firewall(i.ID).Ingress), 0)
	id, _ := l.create(typeRule, ingress(g, "10.80.0.0/24", 1883, 1884))
	assert.Equal(t, l.m.firewall(i.ID).Ingress[0].PortMax, 1884)
	_, err := l.Update(ctx, typeRule, id, ingress(g, "10.80.0.0/24", 1883, 1883))
	assert.NilError(t, err)
	assert.Equal(t, l.m.firewall(i.ID).Ingress[0].PortMax, 1883)
	assert.NilError(t, l.Delete(ctx, typeRule, id))
	assert.Equal(t, len(l.m.firewall(i.ID).Ingress), 0)
}

func TestGroupInUseIsKept(t *testing.T) {
	l := newLab(t)
	ctx := context.Background()
	nodes, other := l.group("nodes"), l.group("other")
	rule, _ := l.create(typeRule, ingress(other, nodes, 1, 2))
	pool := l.pool(0, nodes)
	l.isError(l.Delete(ctx, typeGroup, nodes), 409, "in use by 1 VNICs")
	assert.NilError(t, l.Delete(ctx, typePool, pool))
	assert.NilError(t, l.Delete(ctx, typeGroup, nodes))
	out, err := l.Read(ctx, typeRule, rule)
	assert.NilError(t, err)
	assert.Equal(t, out["isValid"], false)
}

func TestGroupTakesItsRulesAlong(t *testing.T) {
	l := newLab(t)
	g := l.group("nodes")
	rule, _ := l.create(typeRule, ingress(g, "10.80.0.0/24", 1, 2))
	assert.NilError(t, l.Delete(context.Background(), typeGroup, g))
	_, err := l.Read(context.Background(), typeRule, rule)
	l.isError(err, 404, rule)
	l.refused(typeGroup, Props{"compartmentId": CompartmentID, "vcnId": "ocid1.vcn.oc1.lab-1.no"}, 404, "vcn")
}
