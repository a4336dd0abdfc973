package preflight

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

// clientPath follows each protocol from the balancer to EMQX: the ports are
// written down in the balancer, its backends, the rules and the proxies' job.
func clientPath(in *program, r *Report) {
	fixed, admitted := in.haproxy.ports(), in.admitted()
	for _, l := range in.Kind(listenerType) {
		port, set := NumberAt(l, "port"), TextAt(l, "defaultBackendSetName")
		if !admitted(port) {
			r.Errorf(Path(l, "port"), "must be a port that a security rule admits, got %d", port)
		}
		ends := 0
		for _, s := range in.Kind(backendSetType) {
			if TextAt(s, "name") != set {
				continue
			}
			for i, b := range backends(s) {
				ends++
				at := Path(s, fmt.Sprintf("backends[%d].port", i))
				if got := Number(Open(b["port"])); !slices.Contains(slices.Collect(maps.Values(fixed)), got) {
					r.Errorf(at, "must be a port of the HAProxy job (%s), got %d", list(fixed), got)
				} else if fixed[set] != got {
					r.Errorf(at, "must be HAProxy's own port for %s, %d, got %d", set, fixed[set], got)
				} else if !admitted(got) {
					r.Errorf(at, "must be a port that a security rule admits, got %d", got)
				}
			}
		}
		if ends == 0 {
			r.Errorf(Path(l, "defaultBackendSetName"), "must name a set with backends, got %q", set)
		}
	}
	for _, set := range in.Kind(backendSetType) {
		switch got := NumberAt(set, "healthChecker.port"); {
		case got != fixed["admin"]:
			r.Errorf(Path(set, "healthChecker.port"), "must be HAProxy's admin port %d, got %d", fixed["admin"], got)
		case !admitted(got):
			r.Errorf(Path(set, "healthChecker.port"), "must be a port that a security rule admits, got %d", got)
		}
	}
	in.proxyToBroker(r, admitted)
}

// proxyToBroker: HAProxy sends a PROXY header, and EMQX drops every connection
// without one, or hangs on one that it does not expect. EMQX's members share what
// they know of their listeners, so each binds all addresses, at one port.
func (in *program) proxyToBroker(r *Report, admitted func(port int) bool) {
	sends := false
	for _, line := range in.proxy.section("defaults").lines {
		sends = sends || line[0] == "default-server" && (slices.Contains(line, "send-proxy-v2") || slices.Contains(line, "send-proxy"))
	}
	for _, l := range cluster.Listeners(in.Settings.Ports.Cluster(), true) {
		port, offered := in.emqx.ports()[l.Name]
		if !offered {
			continue
		}
		prefix := "EMQX_LISTENERS__" + strings.ToUpper(l.EMQX) + "__DEFAULT__"
		if got, want := in.emqx.env[prefix+"BIND"], fmt.Sprintf("0.0.0.0:%d", port); strings.Trim(got, `"`) != want {
			r.Errorf(in.emqx.path("env."+prefix+"BIND"), "must be %s, the same on every node and where HAProxy looks for it, got %s", want, got)
		} else if !admitted(port) {
			r.Errorf(in.emqx.path("env."+prefix+"BIND"), "must be a port that a security rule admits, got %d", port)
		}
		if got := in.emqx.env[prefix+"PROXY_PROTOCOL"]; (got == "true") != sends {
			r.Errorf(in.emqx.path("env."+prefix+"PROXY_PROTOCOL"), "must be %t, as HAProxy's default-server says, got %q", sends, got)
		}
	}
}

// admitted tells whether any ingress rule for TCP has a port.
func (in *program) admitted() func(port int) bool {
	rules := in.Kind(securityRuleType)
	return func(port int) bool {
		return slices.ContainsFunc(rules, func(x recorder.Resource) bool {
			ports := Property(x, "tcpOptions.destinationPortRange")
			return TextAt(x, "direction") == "INGRESS" && ports.IsObject() &&
				NumberAt(x, "tcpOptions.destinationPortRange.min") <= port && port <= NumberAt(x, "tcpOptions.destinationPortRange.max")
		})
	}
}

// list prints a job's fixed ports by their labels.
func list(ports map[string]int) string {
	words := make([]string, 0, len(ports))
	for _, label := range slices.Sorted(maps.Keys(ports)) {
		words = append(words, fmt.Sprintf("%s %d", label, ports[label]))
	}
	return strings.Join(words, ", ")
}
