package renew

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// Zone says who is asked whether a record can be seen.
type Zone struct {
	// Name of the zone.
	Name string
	// Resolver is a DNS server, host:port; empty are the zone's own name servers.
	Resolver string
}

// visibleTimeout is how long a zone may take to show a record.
const visibleTimeout = 5 * time.Minute

// Await waits until everybody who is asked shows the TXT records: an authority that looks before they are there refuses the
// order, and counts it.
func (z Zone) Await(ctx context.Context, record string, values []string, report func(string)) error {
	return gates.Wait(ctx, gates.SystemClock(), gates.Gate{
		ID: "DNS", Title: "shows the proof", Timeout: visibleTimeout,
		Next: "the record " + record + " in the zone " + z.Name + ", and tls.acme.resolver where this machine does not see the zone's name servers",
		Check: func(ctx context.Context) (gates.Status, error) {
			servers, err := z.servers(ctx)
			if err != nil {
				return gates.Status{}, err
			}
			for _, server := range servers {
				seen, err := texts(ctx, server, record)
				if missing := slices.DeleteFunc(slices.Clone(values), func(v string) bool { return slices.Contains(seen, v) }); err != nil || len(missing) > 0 {
					return gates.Status{Seen: fmt.Sprintf("%s does not show %s yet", server, record)}, nil
				}
			}
			return gates.Status{Holds: true, Seen: fmt.Sprintf("%s at %s", record, strings.Join(servers, ", "))}, nil
		},
	}, report)
}

// servers are whom to ask, host:port.
func (z Zone) servers(ctx context.Context) ([]string, error) {
	if z.Resolver != "" {
		return []string{z.Resolver}, nil
	}
	found, err := net.DefaultResolver.LookupNS(ctx, z.Name)
	if err != nil {
		return nil, fmt.Errorf("asking for the name servers of %s: %w", z.Name, err)
	}
	servers := make([]string, len(found))
	for i, ns := range found {
		servers[i] = net.JoinHostPort(strings.TrimSuffix(ns.Host, "."), "53")
	}
	return servers, nil
}

// texts asks one server for TXT records.
func texts(ctx context.Context, server, record string) ([]string, error) {
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server)
	}}
	return r.LookupTXT(ctx, record+".")
}
