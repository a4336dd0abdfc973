package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sort"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/guest"
)

// zone answers for the lab's one DNS zone. Every other name does not exist: a
// refusal would make resolvers try again and wait.
type zone struct {
	origin string

	mu      sync.RWMutex
	records map[string][]dns.RR // by lower-case name
}

func newZone(name string) *zone {
	return &zone{origin: dns.Fqdn(strings.ToLower(name)), records: map[string][]dns.RR{}}
}

func (z *zone) set(in []cloud.Record) error {
	records := map[string][]dns.RR{}
	var faults []error
	for _, r := range in {
		rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", dns.Fqdn(r.Name), r.TTL, r.Type, r.Data))
		if err == nil && rr == nil {
			err = errors.New("it is empty")
		}
		if err == nil && !dns.IsSubDomain(z.origin, rr.Header().Name) {
			err = fmt.Errorf("it is not in the zone %s", z.origin)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("reading record %s %s %q: %w", r.Name, r.Type, r.Data, err))
			continue
		}
		n := strings.ToLower(rr.Header().Name)
		records[n] = append(records[n], rr)
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records = records
	return nil
}

// ServeDNS implements dns.Handler.
func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	a := new(dns.Msg)
	a.SetReply(q)
	a.Authoritative = true
	if len(q.Question) != 1 {
		a.Rcode = dns.RcodeFormatError
	} else {
		z.answer(a, q.Question[0])
	}
	if udp := w.LocalAddr().Network() == "udp"; udp {
		size := dns.MinMsgSize
		if o := q.IsEdns0(); o != nil {
			size = int(o.UDPSize())
			a.SetEdns0(o.UDPSize(), false)
		}
		a.Truncate(size)
	}
	// A client that has gone does not matter.
	_ = w.WriteMsg(a)
}

func (z *zone) answer(a *dns.Msg, q dns.Question) {
	z.mu.RLock()
	defer z.mu.RUnlock()
	name := strings.ToLower(q.Name)
	for range 8 { // a chain of aliases has an end
		all, ok := z.records[name]
		if !ok {
			if len(a.Answer) == 0 {
				a.Rcode = dns.RcodeNameError
			}
			break
		}
		next := ""
		for _, rr := range all {
			if rr.Header().Rrtype == q.Qtype || q.Qtype == dns.TypeANY {
				a.Answer = append(a.Answer, dns.Copy(rr))
			} else if c, ok := rr.(*dns.CNAME); ok {
				a.Answer = append(a.Answer, dns.Copy(rr))
				next = strings.ToLower(c.Target)
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	if len(a.Answer) == 0 {
		a.Ns = []dns.RR{&dns.SOA{
			Hdr: dns.RR_Header{Name: z.origin, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 1},
			Ns:  "ns." + z.origin, Mbox: "lab." + z.origin, Serial: 1, Refresh: 60, Retry: 10, Expire: 600, Minttl: 1,
		}}
	}
}

// firstA is the name of the first address record, in the order of names.
func (z *zone) firstA() string {
	z.mu.RLock()
	defer z.mu.RUnlock()
	names := make([]string, 0, len(z.records))
	for n, rrs := range z.records {
		for _, rr := range rrs {
			if rr.Header().Rrtype == dns.TypeA {
				names = append(names, n)
				break
			}
		}
	}
	sort.Strings(names)
	if len(names) == 0 {
		return ""
	}
	return strings.TrimSuffix(names[0], ".")
}

// SetZone replaces all records of the lab's zone, and keeps them for the next process.
func (m *Machine) SetZone(_ context.Context, records []cloud.Record) error {
	if err := m.zone.set(records); err != nil {
		return err
	}
	return writeJSON(m.path("zone.json"), records)
}

// serveDNS answers on one address of a namespace.
func (m *Machine) serveDNS(ctx context.Context, ns string, at netip.Addr) (stop func(), err error) {
	address := netip.AddrPortFrom(at, 53).String()
	udp, err := listenPacketIn(ctx, ns, address)
	if err != nil {
		return nil, fmt.Errorf("opening the DNS server: %w", err)
	}
	tcp, err := listenIn(ctx, ns, address)
	if err != nil {
		udp.Close()
		return nil, fmt.Errorf("opening the DNS server: %w", err)
	}
	servers := []*dns.Server{{PacketConn: udp, Handler: m.zone}, {Listener: tcp, Handler: m.zone}}
	for _, s := range servers {
		go func() {
			if err := s.ActivateAndServe(); err != nil && !errors.Is(err, net.ErrClosed) {
				m.cfg.Log("DNS server on %s: %v", address, err)
			}
		}()
	}
	return func() { udp.Close(); tcp.Close() }, nil
}

// resolver asks the lab's DNS server as a program in the internet namespace does.
func (m *Machine) resolver() *net.Resolver {
	server := netip.AddrPortFrom(gatewayOf(internetNet), 53).String()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialIn(ctx, m.ns(nsInternet), nil, strings.TrimRight(network, "46")+"4", server)
	}}
}

// resolverFiles are what a command in a namespace of the lab resolves with.
func (m *Machine) resolverFiles(short string) (map[string]string, error) {
	server := gatewayOf(internetNet).String()
	switch short {
	case nsForeign:
		server = gatewayOf(foreignNet).String()
	case nsServers:
		server = gatewayOf(serverNet).String()
	}
	conf, nss := m.path("resolv", short+".conf"), m.path("resolv", "nsswitch.conf")
	if err := writeText(conf, "nameserver "+server+"\noptions timeout:1 attempts:2\n"); err != nil {
		return nil, err
	}
	if err := writeText(nss, nsswitch); err != nil {
		return nil, err
	}
	return map[string]string{"/etc/resolv.conf": conf, "/etc/nsswitch.conf": nss}, nil
}

// nsswitch leaves out the services that would ask the host (systemd-resolved, mDNS).
const nsswitch = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n"

var metadataAddress = netip.MustParseAddr(guest.MetadataAddress)
