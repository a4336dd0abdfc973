package cloud

import (
	"context"
	"net/netip"
)

// Where addresses of a subnet come from. Reserved and primary ones are apart, so
// that a reader of a packet dump sees which is which.
const (
	firstReserved, lastReserved = 10, 99
	firstPrimary, lastPrimary   = 100, 199
)

var publicAddresses = netip.MustParsePrefix("198.51.100.0/24")

var privateIPKind = kind{
	noun: "privateip", starting: available, ready: available,
	check: func(s *state, id string, in, old Props) error {
		if err := oneOf(in, "lifetime", "EPHEMERAL", "RESERVED"); err != nil {
			return err
		}
		subnetID, vnic := str(in, "subnetId"), str(in, "vnicId")
		if old != nil {
			for _, k := range []string{"subnetId", "ipAddress"} {
				if in[k] != nil && old[k] != nil && in[k] != old[k] {
					return invalid("%s of a private IP cannot be changed", k)
				}
			}
		}
		if vnic != "" {
			inst := s.byVNIC(vnic)
			if inst == nil {
				return notFound(vnic)
			}
			if subnetID != "" && subnetID != inst.Subnet {
				return invalid("VNIC %s is in subnet %s, the private IP in %s", vnic, inst.Subnet, subnetID)
			}
			subnetID = inst.Subnet
		}
		if old != nil {
			return nil
		}
		if subnetID == "" {
			return &Error{400, "MissingParameter", "subnetId or vnicId is required"}
		}
		if vnic == "" && str(in, "lifetime") != "RESERVED" {
			return invalid("lifetime must be RESERVED for a private IP that is assigned to no VNIC")
		}
		net, ok := findSubnet(subnetID)
		if !ok {
			return notFound(subnetID)
		}
		if text := str(in, "ipAddress"); text != "" {
			addr, err := netip.ParseAddr(text)
			if err != nil || !net.prefix.Contains(addr) {
				return invalid("ipAddress %q is not an address of subnet %s (%s)", text, net.name, net.prefix)
			}
			if last := addr.As4()[3]; addr == net.router || last == 0 || last == 255 {
				return invalid("ipAddress %s is kept for the subnet itself", text)
			}
			if s.taken(addr) {
				return conflict("IP address %s is already in use", text)
			}
		}
		return nil
	},
	record: func(s *state, r *resource) error {
		r.VNIC = str(r.In, "vnicId")
		subnetID := str(r.In, "subnetId")
		if subnetID == "" {
			subnetID = s.byVNIC(r.VNIC).Subnet
		}
		r.Subnet = subnetID
		if r.Address = str(r.In, "ipAddress"); r.Address != "" {
			return nil
		}
		net, _ := findSubnet(subnetID)
		addr, ok := s.free(net.prefix, firstReserved, lastReserved)
		if !ok {
			return &Error{400, "LimitExceeded", "subnet " + net.name + " has no free address left"}
		}
		r.Address = addr.String()
		return nil
	},
	// An empty vnicId detaches it; one that is not named leaves it where the node, or
	// somebody else, has put it.
	take: func(_ *state, r *resource) {
		if vnic, named := r.In["vnicId"].(string); named {
			r.VNIC = vnic
		}
	},
	passing: "vnicId",
	view: func(_ *state, r *resource) Props {
		out := privateIPProps(r.ID, r.Subnet, r.Address, r.VNIC, false, str(r.In, "lifetime"))
		out["displayName"] = nameOf(r)
		out["hostnameLabel"] = str(r.In, "hostnameLabel")
		out["freeformTags"] = orEmptyMap(sub(r.In, "freeformTags"))
		out["definedTags"] = orEmptyMap(sub(r.In, "definedTags"))
		out["timeCreated"] = stamp(r.Created)
		return out
	},
}

func privateIPProps(id, subnetID, address, vnic string, primary bool, lifetime string) Props {
	net, _ := findSubnet(subnetID)
	if lifetime == "" {
		lifetime = "EPHEMERAL"
	}
	out := Props{
		"id": id, "compartmentId": CompartmentID, "subnetId": subnetID, "ipAddress": address,
		"isPrimary": primary, "isReserved": lifetime == "RESERVED", "lifetime": lifetime, "ipState": available,
		"cidrPrefixLength": 32, "ipv4subnetCidrAtCreation": net.prefix.String(),
	}
	if vnic != "" {
		out["vnicId"] = vnic
		out["ipState"] = "ASSIGNED"
	}
	return out
}

// taken tells whether anything in the VCN has the address.
func (s *state) taken(addr netip.Addr) bool {
	text := addr.String()
	for _, r := range s.Resources {
		if r.Address == text || r.Public == text {
			return true
		}
	}
	for _, i := range s.Instances {
		if i.Address == text {
			return true
		}
	}
	return false
}

func (s *state) free(prefix netip.Prefix, first, last int) (netip.Addr, bool) {
	b := prefix.Addr().As4()
	for n := first; n <= last; n++ {
		b[3] = byte(n) //nolint:gosec // the callers' ranges end at 254
		if addr := netip.AddrFrom4(b); !s.taken(addr) {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

// nextPrimary goes round the primary addresses: a relaunched instance must not
// get its old one back, so that nothing can depend on it.
func (s *state) nextPrimary(prefix netip.Prefix) (netip.Addr, bool) {
	b := prefix.Addr().As4()
	count := lastPrimary - firstPrimary + 1
	for range count {
		b[3] = byte(firstPrimary + s.NextPrimary%count)
		s.NextPrimary++
		if addr := netip.AddrFrom4(b); !s.taken(addr) {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

// assign gives a reserved address to a VNIC, taking it from another one.
func (c *Cloud) assign(ctx context.Context, id, vnic string) error {
	if err := c.pause(ctx, AssignAddress, OpCreate); err != nil {
		return err
	}
	err := c.change(func(s *state) error {
		r, ok := s.get(typePrivateIP, id)
		if !ok {
			return notFound(id)
		}
		inst := s.byVNIC(vnic)
		if inst == nil {
			return notFound(vnic)
		}
		if inst.Subnet != r.Subnet {
			return invalid("VNIC %s is in subnet %s, private IP %s in %s", vnic, inst.Subnet, id, r.Subnet)
		}
		r.VNIC = vnic
		return nil
	})
	if err != nil {
		return err
	}
	return c.push(ctx)
}
