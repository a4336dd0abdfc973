package machine

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// replaceTable wraps a table so that one `nft -f` replaces it atomically: the
// empty declaration makes the delete succeed where there is none yet.
func replaceTable(family, name, body string) string {
	return fmt.Sprintf("table %[1]s %[2]s {}\ndelete table %[1]s %[2]s\ntable %[1]s %[2]s {\n%[3]s}\n", family, name, body)
}

// firewallRules renders the security groups of one instance.
func firewallRules(f cloud.Firewall) string {
	var b strings.Builder
	own := addressSet(f.Addresses)
	b.WriteString("  chain untracked {\n    type filter hook prerouting priority raw; policy accept;\n")
	for _, r := range f.Ingress {
		if r.Stateless {
			writeRule(&b, "saddr", r, "notrack")
		}
	}
	b.WriteString("  }\n  chain untracked_out {\n    type filter hook output priority raw; policy accept;\n")
	for _, r := range f.Egress {
		if r.Stateless {
			writeRule(&b, "daddr", r, "notrack")
		}
	}
	b.WriteString("  }\n  chain input {\n    type filter hook input priority filter; policy drop;\n    iifname \"lo\" accept\n")
	fmt.Fprintf(&b, "    ip daddr != %s drop\n    ct state established,related accept\n", own)
	for _, r := range f.Ingress {
		writeRule(&b, "saddr", r, "accept")
	}
	b.WriteString("  }\n  chain output {\n    type filter hook output priority filter; policy drop;\n    oifname \"lo\" accept\n")
	fmt.Fprintf(&b, "    ip saddr != %s drop\n    ct state established,related accept\n", own)
	for _, r := range f.Egress {
		writeRule(&b, "daddr", r, "accept")
	}
	b.WriteString("  }\n")
	return replaceTable("inet", "nsg", b.String())
}

// writeRule writes one line; a rule without peers matches nobody and gets none.
func writeRule(b *strings.Builder, side string, r cloud.Rule, verdict string) {
	peers, any := prefixSet(r.CIDRs)
	if peers == "" && !any {
		return
	}
	var m []string
	if any {
		m = append(m, "meta nfproto ipv4")
	} else {
		m = append(m, "ip "+side+" "+peers)
	}
	switch r.Protocol {
	case "tcp", "udp":
		if r.PortMin == 0 && r.PortMax == 0 {
			m = append(m, "meta l4proto "+r.Protocol)
		} else {
			m = append(m, r.Protocol+" dport "+portRange(r.PortMin, r.PortMax))
		}
	case "icmp":
		m = append(m, "meta l4proto icmp")
	}
	fmt.Fprintf(b, "    %s %s\n", strings.Join(m, " "), verdict)
}

func portRange(lo, hi int) string {
	if lo == hi || hi == 0 {
		return fmt.Sprint(lo)
	}
	return fmt.Sprintf("%d-%d", lo, hi)
}

// prefixSet renders prefixes as a set without overlaps, which nft refuses. any is
// true when one of them is the whole of IPv4.
func prefixSet(in []netip.Prefix) (set string, any bool) {
	var keep []netip.Prefix
	sorted := append([]netip.Prefix(nil), in...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Bits() < sorted[j].Bits() })
next:
	for _, p := range sorted {
		if !p.Addr().Is4() {
			continue // the lab's network has no IPv6
		}
		if p.Bits() == 0 {
			return "", true
		}
		for _, k := range keep {
			if k.Contains(p.Addr()) {
				continue next
			}
		}
		keep = append(keep, p.Masked())
	}
	if len(keep) == 0 {
		return "", false
	}
	sort.Slice(keep, func(i, j int) bool { return keep[i].Addr().Less(keep[j].Addr()) })
	words := make([]string, len(keep))
	for i, p := range keep {
		words[i] = p.String()
		if p.IsSingleIP() {
			words[i] = p.Addr().String()
		}
	}
	return "{ " + strings.Join(words, ", ") + " }", false
}

// addressSet renders addresses; no address at all becomes one that nobody has.
func addressSet(in []netip.Addr) string {
	if len(in) == 0 {
		return "0.0.0.0"
	}
	ps := make([]netip.Prefix, len(in))
	for i, a := range in {
		ps[i] = netip.PrefixFrom(a, a.BitLen())
	}
	s, _ := prefixSet(ps)
	return s
}

// gatewayRules are the fixed ones: what may cross the border to the internet.
func gatewayRules(inet string) string {
	return replaceTable("ip", "lab_gateway", fmt.Sprintf(`  chain input {
    type filter hook input priority filter; policy accept;
    iifname "%[1]s" udp dport 53 accept
    iifname "%[1]s" tcp dport 53 accept
    iifname "%[1]s" ct status dnat accept
    iifname "%[1]s" drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "%[1]s" ct status dnat accept
    oifname "%[1]s" ct state established,related accept
    iifname "%[1]s" drop
    oifname "%[1]s" drop
  }
`, inet))
}

// front is where clients find a balancer: a private one has no address but its own,
// which the internet does not reach.
func front(b cloud.Balancer) netip.Addr {
	if b.Public.IsValid() {
		return b.Public
	}
	return b.Private
}

// balancerRules render all balancers: the security group, then a destination
// picked by a hash of the five-tuple, which conntrack keeps for the connection's
// life. A connection to a failing backend is reset at the client's next packet.
// Whatever is left that goes to a balancer's public address is dropped: at its own come
// the answers to its health checks.
func balancerRules(bs []cloud.Balancer) string {
	var pre, post, reset, taken strings.Builder
	var public []netip.Addr
	for _, b := range bs {
		if b.Public.IsValid() {
			public = append(public, b.Public)
		}
		for _, l := range b.Listeners {
			if l.Proxied != nil {
				takenRules(&pre, &taken, b, l)
				continue
			}
			if len(l.Backends) == 0 || !front(b).IsValid() {
				continue
			}
			for _, r := range l.Reset {
				fmt.Fprintf(&reset, "    ct status dnat ct direction original meta l4proto tcp ct original ip daddr %s ct original proto-dst %d ct reply ip saddr %s reject with tcp reset\n", front(b), l.Port, r.Addr())
			}
			for _, match := range admitted(b, l, front(b)) {
				fmt.Fprintf(&pre, "    %s dnat to %s\n", match, destination(l.Backends))
			}
			if !l.PreserveSource && b.Private.IsValid() {
				fmt.Fprintf(&post, "    ct status dnat meta l4proto tcp ct original ip daddr %s ct original proto-dst %d snat to %s\n", front(b), l.Port, b.Private)
			}
		}
	}
	var t strings.Builder
	fmt.Fprintf(&t, "  chain prerouting {\n    type nat hook prerouting priority dstnat; policy accept;\n%s  }\n", pre.String())
	fmt.Fprintf(&t, "  chain postrouting {\n    type nat hook postrouting priority srcnat; policy accept;\n%s  }\n", post.String())
	if reset.Len() > 0 {
		fmt.Fprintf(&t, "  chain failover {\n    type filter hook forward priority filter; policy accept;\n%s  }\n", reset.String())
	}
	if taken.Len() > 0 {
		fmt.Fprintf(&t, "  chain taken {\n    type filter hook input priority filter; policy accept;\n%s  }\n", taken.String())
	}
	if len(public) > 0 {
		fmt.Fprintf(&t, "  chain closed {\n    type filter hook prerouting priority dstnat + 10; policy accept;\n    ip daddr %s drop\n  }\n", addressSet(public))
	}
	return replaceTable("ip", "lab_balancer", t.String())
}

// admitted are the matches of what a balancer's security groups let in to a listener, at one of its addresses.
func admitted(b cloud.Balancer, l cloud.Listener, at netip.Addr) []string {
	var matches []string
	for _, r := range b.Ingress {
		if r.Protocol != "tcp" && r.Protocol != "all" {
			continue
		}
		if r.Protocol == "tcp" && r.PortMin != 0 && (l.Port < r.PortMin || l.Port > max(r.PortMin, r.PortMax)) {
			continue
		}
		peers, any := prefixSet(r.CIDRs)
		if peers == "" && !any {
			continue
		}
		match := fmt.Sprintf("ip daddr %s tcp dport %d", at, l.Port)
		if !any {
			match += " ip saddr " + peers
		}
		matches = append(matches, match)
	}
	return matches
}

// takenRules lead to a listener whose connections the balancer takes itself, at its private address: those of its
// public address by a translation, and nobody else past that.
func takenRules(pre, taken *strings.Builder, b cloud.Balancer, l cloud.Listener) {
	if b.Public.IsValid() {
		for _, match := range admitted(b, l, b.Public) {
			fmt.Fprintf(pre, "    %s dnat to %s:%d\n", match, b.Private, l.Port)
		}
		fmt.Fprintf(taken, "    ip daddr %s tcp dport %d ct status dnat accept\n", b.Private, l.Port)
	} else {
		for _, match := range admitted(b, l, b.Private) {
			fmt.Fprintf(taken, "    %s accept\n", match)
		}
	}
	fmt.Fprintf(taken, "    ip daddr %s tcp dport %d ct state new drop\n", b.Private, l.Port)
}

func destination(backends []netip.AddrPort) string {
	bs := append([]netip.AddrPort(nil), backends...)
	sort.Slice(bs, func(i, j int) bool { return bs[i].Compare(bs[j]) < 0 })
	if len(bs) == 1 {
		return bs[0].String()
	}
	parts := make([]string, len(bs))
	for i, b := range bs {
		parts[i] = fmt.Sprintf("%d : %s . %d", i, b.Addr(), b.Port())
	}
	return fmt.Sprintf("jhash ip saddr . tcp sport . ip daddr . tcp dport mod %d seed 0x6f6369 map { %s }", len(bs), strings.Join(parts, ", "))
}

// timeoutRules set each listener's idle timeout on its connections. They are a
// table of their own: replacing a timeout object takes it off living connections,
// so the table is replaced only when a timeout changes, not with every backend.
func timeoutRules(bs []cloud.Balancer) string {
	var objects, rules strings.Builder
	seen := map[int]bool{}
	for _, b := range bs {
		for _, l := range b.Listeners {
			s := int(l.IdleTimeout / time.Second)
			if s <= 0 || l.Proxied != nil || !front(b).IsValid() {
				continue
			}
			if !seen[s] {
				seen[s] = true
				fmt.Fprintf(&objects, "  ct timeout idle_%[1]d {\n    protocol tcp;\n    l3proto ip;\n    policy = { established : %[1]d }\n  }\n", s)
			}
			fmt.Fprintf(&rules, "    ip daddr %s tcp dport %d ct timeout set \"idle_%d\"\n", front(b), l.Port, s)
		}
	}
	return replaceTable("ip", "lab_timeout", fmt.Sprintf("%s  chain prerouting {\n    type filter hook prerouting priority -150; policy accept;\n%s  }\n", objects.String(), rules.String()))
}

// Cut is a path on which packets are dropped, both ways.
type Cut struct {
	A, B  []netip.Addr
	Ports []int // of either end, TCP and UDP; none means all packets
}

// cutRules drop what passes between two sets of addresses; every packet between
// two instances, or an instance and the servers, is forwarded by the gateway.
func cutRules(cuts []Cut) string {
	var b strings.Builder
	b.WriteString("  chain forward {\n    type filter hook forward priority filter - 10; policy accept;\n")
	for _, c := range cuts {
		if len(c.A) == 0 || len(c.B) == 0 {
			continue
		}
		for _, way := range [][2]string{{addressSet(c.A), addressSet(c.B)}, {addressSet(c.B), addressSet(c.A)}} {
			match := fmt.Sprintf("    ip saddr %s ip daddr %s", way[0], way[1])
			if len(c.Ports) == 0 {
				b.WriteString(match + " drop\n")
				continue
			}
			words := make([]string, len(c.Ports))
			for i, p := range c.Ports {
				words[i] = fmt.Sprint(p)
			}
			for _, end := range []string{"sport", "dport"} {
				fmt.Fprintf(&b, "%s meta l4proto { tcp, udp } th %s { %s } drop\n", match, end, strings.Join(words, ", "))
			}
		}
	}
	b.WriteString("  }\n")
	return replaceTable("ip", "lab_fault", b.String())
}
