package oci

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/core"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Lookup asks OCI for what a stack is given, by OCID or by display name, and collects what is wrong with it.
type Lookup struct {
	Ctx *pulumi.Context
	// Compartment is the OCID of the one that names are looked up in.
	Compartment string
	// By asks the stack's own provider.
	By pulumi.InvokeOption
	// Faults are by the paths of settings: "emqx-oci:network.vcn".
	Faults *fault.List
}

// Subnet is what the graph wants to know of one; the zero value is one that
// could not be found.
type Subnet struct {
	ID string
	// Ranges are its IPv4 ones.
	Ranges []string
	// Private ones are closed to public addresses.
	Private bool
	// Any stands in for whatever subnet there is, where nobody is asked.
	Any bool
}

// Known tells whether it was found.
func (s Subnet) Known() bool { return s.ID != "" }

func (s Subnet) String() string { return strings.Join(s.Ranges, " and ") }

// Usable is how many addresses it has for others than OCI.
func (s Subnet) Usable() int {
	sum := 0
	for _, text := range s.Ranges {
		if r, err := netip.ParsePrefix(text); err == nil && r.Addr().Is4() {
			sum += limits.AddressesUsable(r)
		}
	}
	return sum
}

func (l Lookup) fault(setting, format string, args ...any) {
	l.Faults.Add(settings.Project+":network."+setting, format, args...)
}

// VCN is the OCID behind a setting of the network, or "" after a fault.
func (l Lookup) VCN(setting, given string) string {
	if strings.HasPrefix(given, "ocid1.") {
		return given
	}
	list := func(name *string) ([]named[string], error) {
		answer, err := core.GetVcns(l.Ctx, &core.GetVcnsArgs{
			CompartmentId: l.Compartment, DisplayName: name, State: &available,
		}, l.By)
		if err != nil {
			return nil, err
		}
		found := make([]named[string], len(answer.VirtualNetworks))
		for i, v := range answer.VirtualNetworks {
			found[i] = named[string]{v.DisplayName, v.Id, v.Id}
		}
		return found, nil
	}
	return one(l, setting, "VCN", given, list)
}

// Subnet is the one behind a setting of the network; it must be of that VCN, when there is one.
func (l Lookup) Subnet(setting, given, vcn string) Subnet {
	if !strings.HasPrefix(given, "ocid1.") {
		if vcn == "" {
			return Subnet{}
		}
		return one(l, setting, "subnet", given, func(name *string) ([]named[Subnet], error) { return l.subnets(name, vcn) })
	}
	answer, err := core.LookupSubnet(l.Ctx, &core.LookupSubnetArgs{SubnetId: given}, l.By)
	if err != nil {
		l.fault(setting, "must be a subnet that can be read, got %q: %v", given, err)
		return Subnet{}
	}
	if vcn != "" && answer.VcnId != vcn {
		l.fault(setting, "must be in network.vcn (%s), got %q, which is in %s", vcn, given, answer.VcnId)
	}
	found := newSubnet(given, answer.CidrBlock, answer.Ipv4cidrBlocks, answer.ProhibitPublicIpOnVnic)
	found.Any = answer.DisplayName == anyName
	return found
}

// NodeAddresses are the reserved addresses of nodes, by their names. A node without one is left out.
func (l Lookup) NodeAddresses(vcn, subnet string, nodes []string) (map[string]string, error) {
	found := l.Subnet("privateSubnet", subnet, l.VCN("vcn", vcn))
	if err := l.Faults.Err(); err != nil {
		return nil, err
	}
	answer, err := core.GetPrivateIps(l.Ctx, &core.GetPrivateIpsArgs{SubnetId: &found.ID}, l.By)
	if err != nil {
		return nil, fmt.Errorf("looking up the nodes' addresses: %w", err)
	}
	addresses := map[string]string{}
	for _, a := range answer.PrivateIps {
		if slices.Contains(nodes, a.DisplayName) && a.IpAddress != "" {
			addresses[a.DisplayName] = a.IpAddress
		}
	}
	return addresses, nil
}

func (l Lookup) subnets(name *string, vcn string) ([]named[Subnet], error) {
	answer, err := core.GetSubnets(l.Ctx, &core.GetSubnetsArgs{
		CompartmentId: l.Compartment, DisplayName: name, VcnId: &vcn, State: &available,
	}, l.By)
	if err != nil {
		return nil, err
	}
	found := make([]named[Subnet], len(answer.Subnets))
	for i, s := range answer.Subnets {
		found[i] = named[Subnet]{s.DisplayName, s.Id, newSubnet(s.Id, s.CidrBlock, s.Ipv4cidrBlocks, s.ProhibitPublicIpOnVnic)}
	}
	return found, nil
}

// newSubnet reads both forms in which OCI tells ranges: older subnets have one.
func newSubnet(id, cidr string, cidrs []string, closed bool) Subnet {
	if len(cidrs) == 0 {
		cidrs = []string{cidr}
	}
	return Subnet{ID: id, Ranges: cidrs, Private: closed}
}

// available keeps out what is being deleted.
var available = "AVAILABLE"

// named is a thing of OCI: display names are not unique.
type named[T any] struct {
	name, id string
	thing    T
}

// one is the only thing of that name, or a fault that tells what there is. A
// list without a name lists all.
func one[T any](l Lookup, setting, kind, name string, list func(name *string) ([]named[T], error)) T {
	var none T
	found, err := list(&name)
	if err == nil && len(found) == 1 {
		return found[0].thing
	}
	if err == nil && len(found) == 0 {
		found, err = list(nil)
	}
	switch {
	case err != nil:
		l.fault(setting, "must be a %s that can be looked up, got %q: %v", kind, name, err)
	case len(found) > 0 && found[0].name == name:
		ids := make([]string, len(found))
		for i, f := range found {
			ids[i] = f.id
		}
		slices.Sort(ids)
		l.fault(setting, "must name one %s, got %q, which %d have; give an OCID: %s", kind, name, len(found), strings.Join(ids, " or "))
	default:
		l.fault(setting, "must be the OCID or the name of a %s in compartment %s, got %q; %s", kind, l.Compartment, name, there(found))
	}
	return none
}

func there[T any](found []named[T]) string {
	if len(found) == 0 {
		return "there is none"
	}
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = fmt.Sprintf("%q", f.name)
	}
	slices.Sort(names)
	return "there are " + strings.Join(names, ", ")
}
