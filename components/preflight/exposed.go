package preflight

import (
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// WhoMayConnect is the check that a production stack says who may connect.
const WhoMayConnect = "who-may-connect"

// PlainListeners is the check that passwords of a production stack do not cross the internet in clear.
const PlainListeners = "plain-listeners"

// plainListeners: MQTT in clear from the internet.
func plainListeners(s settings.Settings, _ time.Time, r *Report) {
	if !s.Production() || s.Guards.AllowPlainListeners {
		return
	}
	for _, l := range s.PlainFromPublic() {
		r.Errorf(Setting("listeners."+l.Name+".open"), "must be none or vcn in a production stack, whose clients come from %s, unless guards.allowPlainListeners is true: "+
			"MQTT, with its passwords, is in clear there", strings.Join(settings.PublicRanges(l.ClientCIDRs), ", "))
	}
}

// widest is the size of the largest range that somebody may own. What is wider, as
// 0.0.0.0/0 or its two halves, is whoever comes.
const widest = 8

// whoMayConnect: nobody is an error where customers depend on the stack.
func whoMayConnect(s settings.Settings, _ time.Time, r *Report) {
	// Rules without users are what devices may, which are added without an update.
	if s.Auth.Anonymous || len(s.Auth.Users)+len(s.Auth.Authenticators)+len(s.Auth.Rules) > 0 {
		return
	}
	at := Setting("auth.users")
	if s.Production() {
		r.Errorf(at, "must hold at least one, or auth.anonymous be true: nobody could connect but the stack itself")
		return
	}
	r.Warnf(at, "should hold at least one, or auth.anonymous be true: nobody can connect but the stack itself")
}

// serverRanges: the ranges admit more than packets of servers. Gossip without a key: who
// reaches it becomes a member of Consul's cluster.
func serverRanges(s settings.Settings, _ time.Time, r *Report) {
	if s.Consul.AgentSecret != "" { // its key keeps strangers out
		return
	}
	at := Setting("network.serverCidrs")
	for _, cidr := range settings.PublicRanges(s.Network.ServerCIDRs) {
		switch p, err := netip.ParsePrefix(cidr); {
		case err != nil: // a fault of the settings
		case p.Bits() < widest:
			r.Errorf(at, "must be where Consul's servers are, got %s: whoever reaches a node at 8301 joins its gossip, which has no key", cidr)
		default:
			r.Warnf(at, "should be private, got %s: whoever reaches a node at 8301 joins its gossip, which has no key", cidr)
		}
	}
}

// clearAPI: all secrets of the stack go to Nomad, and a token with every call.
func clearAPI(s settings.Settings, _ time.Time, r *Report) {
	if !s.Production() {
		return
	}
	for _, api := range []struct{ key, name, address, carries string }{
		{"nomad.address", "Nomad", s.Nomad.Address, "its token and every secret of the stack go"},
		{"consul.address", "Consul", s.Consul.Address, "its token goes"},
	} {
		u, err := url.Parse(api.address)
		if err != nil || u.Scheme != "http" || here(u.Hostname()) {
			continue
		}
		r.Warnf(Setting(api.key), "should be https in a production stack, got %s: %s to %s in clear text", u.Redacted(), api.carries, api.name)
	}
}

// here tells whether a host is this machine, where a tunnel may begin.
func here(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
