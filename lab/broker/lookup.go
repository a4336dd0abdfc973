package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	resolvConf = "/etc/resolv.conf"
	// lookupRounds and lookupTime are inet_res's retry and timeout: a round waits its
	// share of the time at each server, the next one twice as long.
	lookupRounds = 3
	lookupTime   = 2 * time.Second
)

// lookup asks for records as inet_res of OTP 26 does, which knows no better for EMQX:
// by UDP without EDNS, so in 512 bytes, and by TCP only when an answer says that it is
// cut short (query_ns in inet_res.erl). A server that leaves records out and does not
// say so is believed. Go's own resolver would ask for more.
func (n *node) lookup(name string, qtype uint16) ([]dns.RR, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	servers, err := n.nameServers()
	if err != nil {
		return nil, fmt.Errorf("looking up %s: %w", name, err)
	}
	var last error
	for round := range lookupRounds {
		wait := lookupTime << round / lookupRounds
		for _, server := range slices.Clone(servers) {
			a, err := n.ask(q, "udp", server, wait)
			if err == nil && a.Truncated {
				a, err = n.ask(q, "tcp", server, 5*lookupTime)
			}
			switch {
			case err != nil:
				last = err
			case a.Rcode == dns.RcodeSuccess, a.Rcode == dns.RcodeNameError:
				return a.Answer, nil
			default: // asked no more, but when the server only failed
				last = fmt.Errorf("%s answers %s", server, dns.RcodeToString[a.Rcode])
				if a.Rcode != dns.RcodeServerFailure {
					servers = slices.DeleteFunc(servers, func(s string) bool { return s == server })
				}
			}
		}
	}
	return nil, fmt.Errorf("looking up %s: %w", name, last)
}

func (n *node) nameServers() ([]string, error) {
	if n.opts.Resolver.Dial != nil { // who dials knows where
		return []string{"the resolver's own"}, nil
	}
	conf, err := dns.ClientConfigFromFile(resolvConf)
	if err != nil {
		return nil, err
	}
	servers := make([]string, len(conf.Servers))
	for i, s := range conf.Servers {
		servers[i] = net.JoinHostPort(s, conf.Port)
	}
	if len(servers) == 0 {
		return nil, errors.New(resolvConf + " names no server")
	}
	return servers, nil
}

func (n *node) ask(q *dns.Msg, network, server string, wait time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(n.ctx, wait)
	defer cancel()
	dial := n.opts.Resolver.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	conn, err := dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	client := &dns.Client{Net: network, Timeout: wait}
	a, _, err := client.ExchangeWithConnContext(ctx, q, &dns.Conn{Conn: conn})
	if a != nil && a.Truncated { // its end may be missing
		return a, nil
	}
	return a, err
}

// hosts are what the discovery's name answers, each once.
func (n *node) hosts() ([]string, error) {
	types := map[string]uint16{"srv": dns.TypeSRV, "a": dns.TypeA, "aaaa": dns.TypeAAAA}
	records, err := n.lookup(n.cfg.dnsName, types[n.cfg.recordType])
	var hosts []string
	for _, r := range records {
		switch r := r.(type) {
		case *dns.SRV:
			hosts = append(hosts, strings.TrimSuffix(r.Target, "."))
		case *dns.A:
			hosts = append(hosts, r.A.String())
		case *dns.AAAA:
			hosts = append(hosts, r.AAAA.String())
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts), err
}
