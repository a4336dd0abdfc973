package components

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/core"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// findCompartment asks for something in the stack's compartment that its deployer may
// always read: with a wrong one OCI would refuse each resource by itself. The pools are
// what the graph has to know, too.
func findCompartment(ctx *pulumi.Context, s settings.Settings, in providers) (*oci.CompartmentPools, error) {
	pools, err := oci.FindPools(ctx, s.OCI.Compartment, pulumi.Provider(in.oci))
	if err != nil && strings.Contains(err.Error(), "NotAuthorizedOrNotFound") {
		var f fault.List
		f.Add(settings.Project+":oci.compartment", "must be a compartment of %s in which the deployer may list instance pools, got %q: %v",
			s.OCI.Region, s.OCI.Compartment, err)
		return nil, f.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("asking OCI for the instance pools of compartment %q: %w", s.OCI.Compartment, err)
	}
	return pools, nil
}

// findNetwork returns the settings' network with OCIDs where they have names,
// and looks at the subnets: OCI would accept ones that are too small, or a
// private one for the balancer, and fail minutes later. The error is a
// [*fault.Error] with every fault.
func findNetwork(ctx *pulumi.Context, s settings.Settings, in providers) (settings.Network, error) {
	l := lookup{ctx: ctx, compartment: s.OCI.Compartment, by: pulumi.Provider(in.oci)}
	found := s.Network
	found.VCN = l.vcn("vcn", s.Network.VCN)
	public := l.subnet("publicSubnet", s.Network.PublicSubnet, found.VCN)
	private := l.subnet("privateSubnet", s.Network.PrivateSubnet, found.VCN)
	found.PublicSubnet, found.PrivateSubnet = public.id, private.id

	if public.known() {
		if public.closed {
			l.fault("publicSubnet", "must allow public addresses, which the balancer has, got %q, a private subnet", s.Network.PublicSubnet)
		}
		if public.usable() < 1 {
			l.fault("publicSubnet", "must have an address for the balancer, got %s with none", public)
		}
	}
	if private.known() {
		if want := limits.AddressesNeeded(s.Nodes.Count); private.usable() < want {
			l.fault("privateSubnet", "must have %d addresses for %d nodes, two for each and one for an instance in relaunch, got %s with %d",
				want, s.Nodes.Count, private, private.usable())
		}
		if cidr := s.Network.PrivateSubnetCIDR; cidr != "" && !slices.Contains(private.ranges, cidr) {
			l.fault("privateSubnetCidr", "must be the private subnet's range %s, got %q", private, cidr)
		}
	}
	return found, l.faults.Err()
}

// lookup asks OCI for what a stack is given, and collects what is wrong with it.
type lookup struct {
	ctx         *pulumi.Context
	compartment string
	by          pulumi.InvokeOption
	faults      fault.List
}

// subnet is what the graph wants to know of one; the zero value is one that
// could not be found.
type subnet struct {
	id     string
	ranges []string
	// closed to public addresses.
	closed bool
}

func (s subnet) known() bool { return s.id != "" }

func (s subnet) String() string { return strings.Join(s.ranges, " and ") }

func (s subnet) usable() int {
	sum := 0
	for _, text := range s.ranges {
		if r, err := netip.ParsePrefix(text); err == nil && r.Addr().Is4() {
			sum += limits.AddressesUsable(r)
		}
	}
	return sum
}

func (l *lookup) fault(setting, format string, args ...any) {
	l.faults.Add(settings.Project+":network."+setting, format, args...)
}

// vcn is the OCID behind a setting, or "" after a fault.
func (l *lookup) vcn(setting, given string) string {
	if strings.HasPrefix(given, "ocid1.") {
		return given
	}
	list := func(name *string) ([]named[string], error) {
		answer, err := core.GetVcns(l.ctx, &core.GetVcnsArgs{
			CompartmentId: l.compartment, DisplayName: name, State: &available,
		}, l.by)
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

// subnet is the one behind a setting; it must be of that VCN, when there is one.
func (l *lookup) subnet(setting, given, vcn string) subnet {
	if !strings.HasPrefix(given, "ocid1.") {
		if vcn == "" {
			return subnet{}
		}
		return one(l, setting, "subnet", given, func(name *string) ([]named[subnet], error) { return l.subnets(name, vcn) })
	}
	answer, err := core.LookupSubnet(l.ctx, &core.LookupSubnetArgs{SubnetId: given}, l.by)
	if err != nil {
		l.fault(setting, "must be a subnet that can be read, got %q: %v", given, err)
		return subnet{}
	}
	if vcn != "" && answer.VcnId != vcn {
		l.fault(setting, "must be in network.vcn (%s), got %q, which is in %s", vcn, given, answer.VcnId)
	}
	return newSubnet(given, answer.CidrBlock, answer.Ipv4cidrBlocks, answer.ProhibitPublicIpOnVnic)
}

func (l *lookup) subnets(name *string, vcn string) ([]named[subnet], error) {
	answer, err := core.GetSubnets(l.ctx, &core.GetSubnetsArgs{
		CompartmentId: l.compartment, DisplayName: name, VcnId: &vcn, State: &available,
	}, l.by)
	if err != nil {
		return nil, err
	}
	found := make([]named[subnet], len(answer.Subnets))
	for i, s := range answer.Subnets {
		found[i] = named[subnet]{s.DisplayName, s.Id, newSubnet(s.Id, s.CidrBlock, s.Ipv4cidrBlocks, s.ProhibitPublicIpOnVnic)}
	}
	return found, nil
}

// newSubnet reads both forms in which OCI tells ranges: older subnets have one.
func newSubnet(id, cidr string, cidrs []string, closed bool) subnet {
	if len(cidrs) == 0 {
		cidrs = []string{cidr}
	}
	return subnet{id: id, ranges: cidrs, closed: closed}
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
func one[T any](l *lookup, setting, kind, name string, list func(name *string) ([]named[T], error)) T {
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
		l.fault(setting, "must be the OCID or the name of a %s in compartment %s, got %q; %s", kind, l.compartment, name, there(found))
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
