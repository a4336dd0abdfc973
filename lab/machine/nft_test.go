package machine

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

func prefixes(in ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range in {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestPrefixSet(t *testing.T) {
	for _, c := range []struct {
		in   []netip.Prefix
		want string
		any  bool
	}{
		{nil, "", false},
		{prefixes("10.80.1.9/32"), "{ 10.80.1.9 }", false},
		// nft refuses overlaps.
		{prefixes("10.80.9.10/32", "10.80.9.0/24", "10.80.9.0/24"), "{ 10.80.9.0/24 }", false},
		{prefixes("10.0.0.0/8", "0.0.0.0/0"), "", true},
		{prefixes("10.80.1.3/24"), "{ 10.80.1.0/24 }", false},
		// IPv6 peers do not exist here, and must not widen a rule.
		{prefixes("::/0"), "", false},
	} {
		got, any := prefixSet(c.in)
		assert.Equal(t, got, c.want)
		assert.Equal(t, any, c.any)
	}
}

func TestFirewallRules(t *testing.T) {
	got := firewallRules(cloud.Firewall{
		Addresses: []netip.Addr{netip.MustParseAddr("10.80.1.100"), netip.MustParseAddr("10.80.1.10")},
		Ingress: []cloud.Rule{
			{Protocol: "tcp", CIDRs: prefixes("10.80.0.0/24"), PortMin: 8080, PortMax: 8080},
			{Protocol: "tcp", CIDRs: prefixes("10.80.1.0/24"), PortMin: 21000, PortMax: 21999},
			{Protocol: "udp", PortMin: 53, PortMax: 53},
			{Protocol: "icmp", CIDRs: prefixes("0.0.0.0/0")},
			{Protocol: "tcp", CIDRs: prefixes("10.9.0.0/16"), Stateless: true},
		},
		Egress: []cloud.Rule{{Protocol: "all", CIDRs: prefixes("0.0.0.0/0")}},
	})
	want := `table inet nsg {}
delete table inet nsg
table inet nsg {
  chain untracked {
    type filter hook prerouting priority raw; policy accept;
    ip saddr { 10.9.0.0/16 } meta l4proto tcp notrack
  }
  chain untracked_out {
    type filter hook output priority raw; policy accept;
  }
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    ip daddr != { 10.80.1.10, 10.80.1.100 } drop
    ct state established,related accept
    ip saddr { 10.80.0.0/24 } tcp dport 8080 accept
    ip saddr { 10.80.1.0/24 } tcp dport 21000-21999 accept
    meta nfproto ipv4 meta l4proto icmp accept
    ip saddr { 10.9.0.0/16 } meta l4proto tcp accept
  }
  chain output {
    type filter hook output priority filter; policy drop;
    oifname "lo" accept
    ip saddr != { 10.80.1.10, 10.80.1.100 } drop
    ct state established,related accept
    meta nfproto ipv4 accept
  }
}
`
	assert.Equal(t, got, want)
}

func TestBalancerRules(t *testing.T) {
	b := cloud.Balancer{
		Public: netip.MustParseAddr("198.51.100.1"), Private: netip.MustParseAddr("10.80.0.2"),
		Ingress: []cloud.Rule{{Protocol: "tcp", CIDRs: prefixes("203.0.113.0/24"), PortMin: 1883, PortMax: 1883}},
		Listeners: []cloud.Listener{
			{Port: 1883, PreserveSource: true, IdleTimeout: 900 * time.Second, Backends: []netip.AddrPort{
				netip.MustParseAddrPort("10.80.1.11:1883"), netip.MustParseAddrPort("10.80.1.10:1883"),
			}, Reset: []netip.AddrPort{netip.MustParseAddrPort("10.80.1.12:1883")}},
			{Port: 8083, IdleTimeout: 900 * time.Second, Backends: []netip.AddrPort{netip.MustParseAddrPort("10.80.1.10:8083")}},
			{Port: 8084, PreserveSource: true},
		},
	}
	got := balancerRules([]cloud.Balancer{b})
	assert.Assert(t, strings.Contains(got, "ip daddr 198.51.100.1 tcp dport 1883 ip saddr { 203.0.113.0/24 } dnat to jhash ip saddr . tcp sport . ip daddr . tcp dport mod 2 seed 0x6f6369 "+
		"map { 0 : 10.80.1.10 . 1883, 1 : 10.80.1.11 . 1883 }\n"), got)
	// Its security group admits no 8083, and 8084 has no healthy backend.
	assert.Assert(t, !strings.Contains(got, "dnat to 10.80.1.10:8083"), got)
	assert.Assert(t, !strings.Contains(got, "8084"), got)
	assert.Assert(t, strings.Contains(got, "ct original proto-dst 8083 snat to 10.80.0.2"), got)
	assert.Assert(t, !strings.Contains(got, "proto-dst 1883 snat"), got)
	assert.Assert(t, strings.Contains(got, "ct original ip daddr 198.51.100.1 ct original proto-dst 1883 ct reply ip saddr 10.80.1.12 reject with tcp reset\n"), got)
	assert.Assert(t, strings.Contains(got, "ip daddr { 198.51.100.1 } drop"), got)
	times := timeoutRules([]cloud.Balancer{b})
	assert.Equal(t, strings.Count(times, "ct timeout idle_900 {"), 1, times)
	assert.Equal(t, strings.Count(times, `ct timeout set "idle_900"`), 2, times)
}

// A private balancer serves those inside, and its health checks get their answers.
func TestRulesOfAPrivateBalancer(t *testing.T) {
	b := cloud.Balancer{
		Private: netip.MustParseAddr("10.80.0.10"), Ingress: []cloud.Rule{{Protocol: "tcp", CIDRs: prefixes("10.80.0.0/16"), PortMin: 1883, PortMax: 1883}},
		Listeners: []cloud.Listener{{Port: 1883, PreserveSource: true, IdleTimeout: 900 * time.Second, Backends: []netip.AddrPort{netip.MustParseAddrPort("10.80.1.10:1883")}}},
	}
	got := balancerRules([]cloud.Balancer{b})
	assert.Assert(t, strings.Contains(got, "ip daddr 10.80.0.10 tcp dport 1883 ip saddr { 10.80.0.0/16 } dnat to 10.80.1.10:1883\n"), got)
	assert.Assert(t, !strings.Contains(got, "drop"), got)
	assert.Assert(t, strings.Contains(timeoutRules([]cloud.Balancer{b}), "ip daddr 10.80.0.10 tcp dport 1883 ct timeout"))
}

func TestConfigFaults(t *testing.T) {
	good := Config{Dir: "/var/lib/x"}
	c, err := good.withDefaults()
	assert.NilError(t, err)
	assert.Equal(t, c.Name+" "+c.Door.String(), "emqxlab 127.0.77.1")
	for _, bad := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Name = "my-lab" }, `lab name "my-lab"`},
		{func(c *Config) { c.Dir = "/" }, "state folder"},
		{func(c *Config) { c.Dir = "here" }, "must be an absolute path"},
		{func(c *Config) { c.Door = netip.MustParseAddr("10.0.0.1") }, "must be an IPv4 loopback address"},
	} {
		c := good
		bad.change(&c)
		_, err := c.withDefaults()
		assert.ErrorContains(t, err, bad.want)
	}
}

func TestCutRules(t *testing.T) {
	a, b := []netip.Addr{netip.MustParseAddr("10.80.1.100"), netip.MustParseAddr("10.80.1.10")}, []netip.Addr{netip.MustParseAddr("10.80.1.101")}
	got := cutRules([]Cut{{A: a, B: b}, {A: a}, {A: b, B: []netip.Addr{serverAddress}, Ports: []int{8300, 8301}}})
	assert.Equal(t, got, `table ip lab_fault {}
delete table ip lab_fault
table ip lab_fault {
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    ip saddr { 10.80.1.10, 10.80.1.100 } ip daddr { 10.80.1.101 } drop
    ip saddr { 10.80.1.101 } ip daddr { 10.80.1.10, 10.80.1.100 } drop
    ip saddr { 10.80.1.101 } ip daddr { 10.80.2.10 } meta l4proto { tcp, udp } th sport { 8300, 8301 } drop
    ip saddr { 10.80.1.101 } ip daddr { 10.80.2.10 } meta l4proto { tcp, udp } th dport { 8300, 8301 } drop
    ip saddr { 10.80.2.10 } ip daddr { 10.80.1.101 } meta l4proto { tcp, udp } th sport { 8300, 8301 } drop
    ip saddr { 10.80.2.10 } ip daddr { 10.80.1.101 } meta l4proto { tcp, udp } th dport { 8300, 8301 } drop
  }
}
`)
}
