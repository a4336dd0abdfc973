package cloud

import (
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
		ip, target := str(in, "ipAddress"), str(in, "targetId")
		if (ip == "") == (target == "") {
			return invalid("a backend needs either ipAddress or targetId, and not both")
		}
		if ip != "" {
			addr, err := netip.ParseAddr(ip)
			if err != nil || !vcnPrefix.Contains(addr) {
				return invalid("ipAddress %q is not an address of the balancer's VCN (%s)", ip, vcnPrefix)
			}
		} else if _, ok := s.target(target); !ok {
			return notFound(target)
		}
		if _, present, err := whole(in, "port"); err != nil {
			return err
		} else if !present {
			return &Error{400, "MissingParameter", "port is required"}
		}
		if err := within(in, "port", 1, 65535); err != nil {
			return err
		}
		if err := within(in, "weight", 0, 100); err != nil {
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
			if b.ID != id && str(b.In, "ipAddress") == ip && str(b.In, "targetId") == target && wholeOr(b.In, "port", 0) == wholeOr(in, "port", 0) {
				// As in terraform-provider-oci#1593.
				return &Error{
					409, "NotAuthorizedOrResourceAlreadyExists",
					"Conflict. For nlb-id " + nlb + " Duplicate backend IP/id + port combinations not allowed: " + ip + target,
				}
			}
		}
		return nil
	},
	record: func(_ *state, r *resource) error { randomName(r, "backend"); return nil },
	view:   func(s *state, r *resource) Props { return viewBackend(s, r) },
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
	for _, r := range s.of(typeBackend) {
		if parentOf(r) == nlb && str(r.In, "backendSetName") == set && r.State != terminating {
			out = append(out, r)
		}
	}
	return out
}

// eligible are the backends of a set that get new connections.
func (s *state) eligible(set *resource) []netip.AddrPort {
	var usual, spare, all []netip.AddrPort
	for _, b := range s.backends(parentOf(set), childName(set)) {
		addr, ok := s.backendAddress(b)
		if !ok || b.State != active || flag(b.In, "isOffline", false) || flag(b.In, "isDrain", false) {
			continue
		}
		to := netip.AddrPortFrom(addr, uint16(wholeOr(b.In, "port", 0))) //nolint:gosec // checked to be a port
		all = append(all, to)
		switch {
		case b.Health != healthOK:
		case flag(b.In, "isBackup", false):
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
