package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// SetFirewall replaces the instance's whole rule set atomically, and routes its
// addresses to it. For an instance that is not launched yet it is kept until then.
func (m *Machine) SetFirewall(ctx context.Context, instanceID string, f cloud.Firewall) error {
	job := m.job(instanceID)
	job.Lock()
	defer job.Unlock()
	i := m.get(instanceID)
	if i == nil {
		m.mu.Lock()
		m.pending[instanceID] = f
		m.mu.Unlock()
		return nil
	}
	return m.applyFirewall(ctx, i.get(), f)
}

func (m *Machine) applyFirewall(ctx context.Context, r record, f cloud.Firewall) error {
	if err := nft(ctx, m.ns(r.Short), firewallRules(f)); err != nil {
		return err
	}
	gw, err := openLinks(m.ns(nsGateway))
	if err != nil {
		return err
	}
	defer gw.close()
	want := map[netip.Addr]bool{}
	for _, a := range f.Addresses {
		want[a] = true
		if err := gw.route(netip.PrefixFrom(a, 32), r.veth(), netip.Addr{}); err != nil {
			return err
		}
	}
	have, err := gw.routesOver(r.veth())
	if err != nil {
		return err
	}
	for _, a := range have {
		if !want[a] {
			if err := gw.removeRoute(a, r.veth()); err != nil {
				return err
			}
		}
	}
	return nil
}

// SetBalancers replaces all balancers on the gateway.
func (m *Machine) SetBalancers(ctx context.Context, bs []cloud.Balancer) error {
	m.gateway.Lock()
	defer m.gateway.Unlock()
	gw, err := openLinks(m.ns(nsGateway))
	if err != nil {
		return err
	}
	defer gw.close()
	want := map[netip.Addr]bool{}
	for _, b := range bs {
		if b.Private.IsValid() {
			want[b.Private] = true
			if err := gw.address("lo", netip.PrefixFrom(b.Private, 32)); err != nil {
				return err
			}
		}
	}
	have, err := gw.addresses("lo", publicNet)
	if err != nil {
		return err
	}
	for _, a := range have {
		if !want[a] && a != gatewayOf(publicNet) {
			if err := gw.removeAddress("lo", netip.PrefixFrom(a, 32)); err != nil {
				return err
			}
		}
	}
	t := timeoutRules(bs)
	loaded, err := os.ReadFile(m.path("timeouts.nft"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if t != string(loaded) {
		if err := nft(ctx, m.ns(nsGateway), t); err != nil {
			return err
		}
		if err := writeText(m.path("timeouts.nft"), t); err != nil {
			return err
		}
	}
	if err := nft(ctx, m.ns(nsGateway), balancerRules(bs)); err != nil {
		return err
	}
	if err := m.setProxied(ctx, bs); err != nil {
		return err
	}
	m.openMQTT(ctx, bs)
	return nil
}

// CheckHTTP performs one health check (GET url) with from, a balancer's private
// address, as its source. It does not follow redirects.
func (m *Machine) CheckHTTP(ctx context.Context, from netip.Addr, url string) (int, error) {
	client := http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dialIn(ctx, m.ns(nsGateway), &net.TCPAddr{IP: from.AsSlice()}, "tcp4", address)
			},
		},
		Timeout: 10 * time.Second,
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, fmt.Errorf("checking %s: %w", url, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("checking from %s: %w", from, err)
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}
