package cloud

import (
	"fmt"
	"net/netip"
	"slices"
)

var backendKind = kind{
	noun: "backend", starting: creating, ready: active,
	balancer: parentOf,
	id: func(r *resource) string {
		return "networkLoadBalancers/" + parentOf(r) + "/backendSets/" + str(r.In, "backendSetName") + "/backends/" + childName(r)
	},
	check: func(s *state, id string, in, old Props) error {
		if err := checkChild(s, typeBackend, id, in, old); err != nil {
			return err
		}
		if err := need(in, "backendSetName"); err != nil {
			return err
		}
		nlb, set := str(in, "networkLoadBalancerId"), str(in, "backendSetName")
		if _, ok := s.child(typeBackendSet, nlb, "", set); !ok {
			return notFound("backend set " + set + " of " + nlb)
		}
		if err := checkBackend(s, in); err != nil {
			return err
		}
		if old != nil {
			for _, k := range []string{"ipAddress", "targetId", "port"} {
				if in[k] != old[k] {
					return invalid("%s of a backend cannot be changed", k)
				}
			}
		}
		for _, b := range s.backends(nlb, set) {
			if b.ID != id && sameEnd(b.In, in) {
				return duplicateBackend(nlb, in)
			}
		}
		return nil
	},
	record: func(_ *state, r *resource) error { randomName(r, "backend"); return nil },
	view:   func(s *state, r *resource) Props { return viewBackend(s, r) },
}

// checkBackend refuses what OCI refuses of a backend, alone or in its set.
func checkBackend(s *state, in Props) error {
	ip, target := str(in, "ipAddress"), str(in, "targetId")
	if (ip == "") == (target == "") {
		return invalid("ipAddress or targetId must be set: either, and not both")
	}
	if ip != "" {
		addr, err := netip.ParseAddr(ip)
		if err != nil || !vcnPrefix.Contains(addr) {
			return invalid("ipAddress %q is not an address of the balancer's VCN (%s)", ip, vcnPrefix)
		}
	} else if _, ok := s.target(target); !ok {
		return notFound(target)
	}
	if err := checkPort(in); err != nil {
		return err
	}
	return within(in, "weight", 0, 100)
}

// checkPort refuses a backend or a listener without a port, or with one that is none.
func checkPort(in Props) error {
	if _, present, err := whole(in, "port"); err != nil {
		return err
	} else if !present {
		return &Error{400, "MissingParameter", "port is required"}
	}
	return within(in, "port", 1, 65535)
}

// sameEnd tells whether two backends are the same address or target, and port.
func sameEnd(a, b Props) bool {
	return str(a, "ipAddress") == str(b, "ipAddress") && str(a, "targetId") == str(b, "targetId") && wholeOr(a, "port", 0) == wholeOr(b, "port", 0)
}

// duplicateBackend is as in terraform-provider-oci#1593.
func duplicateBackend(nlb string, in Props) error {
	return &Error{
		409, "NotAuthorizedOrResourceAlreadyExists",
		"Conflict. For nlb-id " + nlb + " Duplicate backend IP/id + port combinations not allowed: " + str(in, "ipAddress") + str(in, "targetId"),
	}
}

// endName is what OCI calls a backend that was given no name, and every backend in
// the lists of a set's health: its address, or its target, and its port.
func endName(in Props) string {
	return fmt.Sprintf("%s:%d", strOr(in, "ipAddress", str(in, "targetId")), wholeOr(in, "port", 0))
}

// checkBackends refuses what OCI refuses of the backends that a set is written with. One
// of nulls, as the official provider sends them for backends that are resources of their
// own, has no OCID to OCI (terraform-provider-oci#2267).
func checkBackends(s *state, in Props) error {
	backends := subs(in, "backends")
	names := map[string]bool{}
	for n, b := range backends {
		if str(b, "ipAddress") == "" && str(b, "targetId") == "" {
			return invalid("backends[%d]: Invalid backend OCID", n)
		}
		if err := checkBackend(s, b); err != nil {
			return inside(fmt.Sprintf("backends[%d]", n), err)
		}
		for _, other := range backends[:n] {
			if sameEnd(b, other) {
				return duplicateBackend(str(in, "networkLoadBalancerId"), b)
			}
		}
		name := strOr(b, "name", endName(b))
		if names[name] {
			return invalid("backends[%d].name %q is taken already", n, name)
		}
		names[name] = true
	}
	return nil
}

// fill makes a set's backends those that it was written with; one that stays where it
// is keeps its health. A set that was written without has those that were added to it.
func fill(s *state, set *resource) {
	if set.In["backends"] == nil {
		return
	}
	stay := map[string]bool{}
	for _, in := range subs(set.In, "backends") {
		in = clone(in)
		in["networkLoadBalancerId"], in["backendSetName"] = parentOf(set), childName(set)
		in["name"] = strOr(in, "name", endName(in))
		b := &resource{Token: typeBackend, State: active, Created: set.Updated, Updated: set.Updated, In: in, Acked: true}
		b.ID = backendKind.id(b)
		stay[b.ID] = true
		if old, ok := s.Resources[b.ID]; ok && old.State != terminating && sameEnd(old.In, in) {
			old.In, old.Updated = in, set.Updated
			continue
		}
		b.Seq = s.next()
		s.Resources[b.ID] = b
	}
	for _, b := range s.backends(parentOf(set), childName(set)) {
		if !stay[b.ID] {
			delete(s.Resources, b.ID)
		}
	}
}

func viewBackend(s *state, r *resource) Props {
	out := Props{
		"id": r.ID, "name": childName(r), "networkLoadBalancerId": parentOf(r), "backendSetName": str(r.In, "backendSetName"),
		"port": wholeOr(r.In, "port", 0), "weight": wholeOr(r.In, "weight", 1), "isBackup": flag(r.In, "isBackup", false),
		"isDrain": flag(r.In, "isDrain", false), "isOffline": flag(r.In, "isOffline", false),
		"ipAddress": str(r.In, "ipAddress"), "targetId": str(r.In, "targetId"),
	}
	if addr, ok := s.backendAddress(r); ok {
		out["ipAddress"] = addr.String()
	}
	return out
}

// target resolves an instance's or a private IP's OCID.
func (s *state) target(id string) (netip.Addr, bool) {
	if i, ok := s.Instances[id]; ok && i.live() {
		return netip.MustParseAddr(i.Address), true
	}
	if r, ok := s.get(typePrivateIP, id); ok {
		return netip.MustParseAddr(r.Address), true
	}
	for _, i := range s.Instances {
		if i.PrivateIP == id && i.live() {
			return netip.MustParseAddr(i.Address), true
		}
	}
	return netip.Addr{}, false
}

func (s *state) backendAddress(r *resource) (netip.Addr, bool) {
	if ip := str(r.In, "ipAddress"); ip != "" {
		addr, err := netip.ParseAddr(ip)
		return addr, err == nil
	}
	return s.target(str(r.In, "targetId"))
}

func (s *state) backends(nlb, set string) []*resource {
	var out []*resource
	for _, token := range []string{typeBackend, typeFlexBackend} {
		for _, r := range s.of(token) {
			if parentOf(r) == nlb && setOf(r) == set && r.State != terminating {
				out = append(out, r)
			}
		}
	}
	return out
}

// shut tells whether a backend gets no new connections whatever its health: the two services
// have other names for it.
func shut(b *resource) bool {
	for _, key := range []string{"isOffline", "isDrain", "offline", "drain"} {
		if flag(b.In, key, false) {
			return true
		}
	}
	return false
}

// eligible are the backends of a set that get new connections.
func (s *state) eligible(set *resource) []netip.AddrPort {
	var usual, spare, all []netip.AddrPort
	for _, b := range s.backends(parentOf(set), childName(set)) {
		addr, ok := s.backendAddress(b)
		if !ok || b.State != active || shut(b) {
			continue
		}
		to := netip.AddrPortFrom(addr, uint16(wholeOr(b.In, "port", 0))) //nolint:gosec // checked to be a port
		all = append(all, to)
		switch {
		case b.Health != healthOK:
		case flag(b.In, "isBackup", false), flag(b.In, "backup", false):
			spare = append(spare, to)
		default:
			usual = append(usual, to)
		}
	}
	out := usual
	if len(out) == 0 {
		out = spare
	}
	if len(out) == 0 && flag(set.In, "isFailOpen", false) {
		out = all
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return out
}

// toReset are the failing backends of a set whose connections are reset: those of one
// with instant failover, as long as there is another to go to. What OCI does without
// another its documents do not say.
func (s *state) toReset(set *resource, eligible []netip.AddrPort) []netip.AddrPort {
	if !flag(set.In, "isInstantFailoverEnabled", false) || !flag(set.In, "isInstantFailoverTcpResetEnabled", false) || len(eligible) == 0 {
		return nil
	}
	var out []netip.AddrPort
	for _, b := range s.backends(parentOf(set), childName(set)) {
		addr, ok := s.backendAddress(b)
		if to := netip.AddrPortFrom(addr, uint16(wholeOr(b.In, "port", 0))); ok && b.Health == healthCritical && !slices.Contains(eligible, to) { //nolint:gosec // checked to be a port
			out = append(out, to)
		}
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return out
}
