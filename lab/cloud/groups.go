package cloud

import (
	"net/netip"
	"slices"
	"strconv"
)

const (
	maxRulesPerGroup = 120 // OCI's limit for one network security group
	maxGroupsPerVNIC = 5   // and for one VNIC
)

var groupKind = kind{
	noun: "networksecuritygroup", starting: provisioning, ready: available,
	check: func(_ *state, _ string, in, old Props) error {
		if err := need(in, "compartmentId", "vcnId"); err != nil {
			return err
		}
		if str(in, "vcnId") != VCNID {
			return notFound(str(in, "vcnId"))
		}
		return nil
	},
	// Only VNICs hold a group. OCI lets go of one that a configuration names, and
	// the next launch fails; so does the lab.
	held: func(s *state, r *resource) error {
		if n := len(s.members(r.ID)); n > 0 {
			return conflict("NetworkSecurityGroup %s is in use by %d VNICs; remove it from them first", r.ID, n)
		}
		return nil
	},
	onDelete: func(s *state, r *resource) {
		for id, o := range s.Resources {
			if o.Token != typeRule {
				continue
			}
			if str(o.In, "networkSecurityGroupId") == r.ID {
				delete(s.Resources, id)
			} else if str(o.In, "source") == r.ID || str(o.In, "destination") == r.ID {
				o.Invalid = true
			}
		}
	},
	view: func(_ *state, r *resource) Props {
		return Props{
			"id": r.ID, "compartmentId": str(r.In, "compartmentId"), "vcnId": str(r.In, "vcnId"), "displayName": nameOf(r),
			"definedTags": orEmptyMap(sub(r.In, "definedTags")), "freeformTags": orEmptyMap(sub(r.In, "freeformTags")),
			"state": r.State, "timeCreated": stamp(r.Created),
		}
	},
}

var ruleKind = kind{
	noun: "securityrule", starting: available, ready: available, whole: true,
	id:    func(r *resource) string { return r.Name },
	check: checkRule,
	record: func(s *state, r *resource) error {
		for r.Name = newRuleID(); s.Resources[r.Name] != nil; r.Name = newRuleID() {
		}
		return nil
	},
	view: func(_ *state, r *resource) Props {
		out := clone(r.In)
		for k, v := range map[string]any{
			"description": "", "destination": "", "destinationType": "", "source": "", "sourceType": "", "stateless": false,
		} {
			if out[k] == nil {
				out[k] = v
			}
		}
		if out["source"] != "" && out["sourceType"] == "" {
			out["sourceType"] = "CIDR_BLOCK"
		}
		if out["destination"] != "" && out["destinationType"] == "" {
			out["destinationType"] = "CIDR_BLOCK"
		}
		out["id"], out["isValid"], out["timeCreated"] = r.ID, !r.Invalid, stamp(r.Created)
		return out
	},
}

// protocols that the lab can filter, by OCI's protocol number.
var protocols = map[string]string{"all": "all", "1": "icmp", "6": "tcp", "17": "udp"}

func checkRule(s *state, id string, in, old Props) error {
	if err := need(in, "networkSecurityGroupId", "direction", "protocol"); err != nil {
		return err
	}
	group := str(in, "networkSecurityGroupId")
	if _, ok := s.get(typeGroup, group); !ok {
		return notFound(group)
	}
	if old != nil && group != str(old, "networkSecurityGroupId") {
		return invalid("networkSecurityGroupId of a rule cannot be changed")
	}
	if err := oneOf(in, "direction", "INGRESS", "EGRESS"); err != nil {
		return err
	}
	protocol := str(in, "protocol")
	if n, err := strconv.Atoi(protocol); protocol != "all" && (err != nil || n < 0 || n > 255) {
		return invalid(`protocol must be "all" or an IPv4 protocol number such as "1" (ICMP), "6" (TCP) or "17" (UDP), got %q`, protocol)
	}
	if protocols[protocol] == "" {
		return &Error{501, "NotImplemented", "the lab does not simulate rules for IP protocol " + protocol}
	}
	peer, other := "source", "destination"
	if str(in, "direction") == "EGRESS" {
		peer, other = other, peer
	}
	if err := need(in, peer); err != nil {
		return err
	}
	if str(in, other) != "" {
		return invalid("%s must not be set on a rule whose direction is %s", other, str(in, "direction"))
	}
	if err := checkPeer(s, in, peer); err != nil {
		return err
	}
	for options, number := range map[string]string{"tcpOptions": "6", "udpOptions": "17", "icmpOptions": "1"} {
		o, present := in[options].(map[string]any)
		if !present {
			continue
		}
		if protocol != number {
			return invalid("%s can be set only for protocol %q, got %q", options, number, protocol)
		}
		for _, ports := range []string{"destinationPortRange", "sourcePortRange"} {
			if err := checkPorts(o, ports); err != nil {
				return err
			}
		}
	}
	count := 0
	for _, r := range s.of(typeRule) {
		if str(r.In, "networkSecurityGroupId") == group && r.ID != id {
			count++
		}
	}
	if count >= maxRulesPerGroup {
		return &Error{400, "LimitExceeded", "a network security group holds at most " + strconv.Itoa(maxRulesPerGroup) + " rules"}
	}
	return nil
}

func checkPeer(s *state, in Props, peer string) error {
	value := str(in, peer)
	switch kind := strOr(in, peer+"Type", "CIDR_BLOCK"); kind {
	case "CIDR_BLOCK":
		prefix, err := netip.ParsePrefix(value)
		if err != nil || prefix != prefix.Masked() {
			return invalid("%s %q is not a valid CIDR block", peer, value)
		}
		if !prefix.Addr().Is4() {
			return &Error{501, "NotImplemented", "the lab has no IPv6: " + value}
		}
	case "NETWORK_SECURITY_GROUP":
		if _, ok := s.get(typeGroup, value); !ok {
			return notFound(value)
		}
	case "SERVICE_CIDR_BLOCK":
		return &Error{501, "NotImplemented", "the lab has no service gateway: " + value}
	default:
		return invalid("%sType must be one of CIDR_BLOCK, SERVICE_CIDR_BLOCK, NETWORK_SECURITY_GROUP, got %q", peer, kind)
	}
	return nil
}

func checkPorts(options Props, key string) error {
	ports, present := options[key].(map[string]any)
	if !present {
		return nil
	}
	for _, k := range []string{"min", "max"} {
		if _, there, err := whole(ports, k); err != nil {
			return err
		} else if !there {
			return &Error{400, "MissingParameter", key + "." + k + " is required"}
		}
		if err := within(ports, k, 1, 65535); err != nil {
			return inside(key, err)
		}
	}
	if low, high := wholeOr(ports, "min", 0), wholeOr(ports, "max", 0); low > high {
		return invalid("%s: min %d is greater than max %d", key, low, high)
	}
	return nil
}

// checkGroups is for what has a VNIC: instances and balancers.
func checkGroups(s *state, ids []string) error {
	if len(ids) > maxGroupsPerVNIC {
		return invalid("a VNIC can be in at most %d network security groups, got %d", maxGroupsPerVNIC, len(ids))
	}
	for _, id := range ids {
		if _, ok := s.get(typeGroup, id); !ok {
			return notFound(id)
		}
	}
	return nil
}

// addresses of an instance's VNIC, the primary one first.
func (s *state) addresses(i *instance) []netip.Addr {
	out := []netip.Addr{netip.MustParseAddr(i.Address)}
	for _, r := range s.of(typePrivateIP) {
		if r.VNIC == i.VNIC && r.State != terminating {
			out = append(out, netip.MustParseAddr(r.Address))
		}
	}
	return out
}

// members are the addresses of all VNICs in a group.
func (s *state) members(group string) []netip.Addr {
	var out []netip.Addr
	for _, i := range s.instances() {
		if slices.Contains(i.Groups, group) {
			out = append(out, s.addresses(i)...)
		}
	}
	for _, r := range slices.Concat(s.of(typeBalancer), s.of(typeFlexBalancer)) {
		if slices.Contains(strs(r.In, "networkSecurityGroupIds"), group) {
			out = append(out, netip.MustParseAddr(r.Address))
		}
	}
	return out
}

// rules resolves the groups of a VNIC into what the machine filters by. The
// subnets' own security lists are empty, so what no group admits is closed.
func (s *state) rules(groups []string) (ingress, egress []Rule) {
	for _, r := range s.of(typeRule) {
		if r.Invalid || r.State == terminating || !slices.Contains(groups, str(r.In, "networkSecurityGroupId")) {
			continue
		}
		peer := "source"
		if str(r.In, "direction") == "EGRESS" {
			peer = "destination"
		}
		rule := Rule{Protocol: protocols[str(r.In, "protocol")], Stateless: flag(r.In, "stateless", false)}
		if str(r.In, peer+"Type") == "NETWORK_SECURITY_GROUP" {
			for _, a := range s.members(str(r.In, peer)) {
				rule.CIDRs = append(rule.CIDRs, netip.PrefixFrom(a, 32))
			}
		} else {
			rule.CIDRs = []netip.Prefix{netip.MustParsePrefix(str(r.In, peer))}
		}
		if len(rule.CIDRs) == 0 {
			continue // a group without members admits nobody
		}
		for _, options := range []string{"tcpOptions", "udpOptions"} {
			if ports := sub(sub(r.In, options), "destinationPortRange"); ports != nil {
				rule.PortMin, rule.PortMax = wholeOr(ports, "min", 0), wholeOr(ports, "max", 0)
			}
		}
		if peer == "source" {
			ingress = append(ingress, rule)
		} else {
			egress = append(egress, rule)
		}
	}
	return ingress, egress
}
