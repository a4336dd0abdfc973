// Package ocihosts makes the cluster's nodes in Oracle Cloud: for each an instance pool of one instance, a block volume
// and a reserved private address, with the boot script that makes a node of an instance, and the security groups of the
// cluster. It is an implementation of [seams.Hosts].
package ocihosts

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/core"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Hosts are instances of Oracle Cloud.
type Hosts struct{}

var _ seams.Hosts = Hosts{}

// Provider is OCI's.
func (Hosts) Provider() *seams.Provider { return oci.Provider }

// Guarded are the guards' words for what is here.
func (Hosts) Guarded(s settings.Settings) guards.Words {
	return guards.Words{
		Cloud: "OCI",
		Scope: s.OCI.Compartment, ScopeName: "compartment", ScopeSetting: settings.Project + ":oci.compartment",
		ZoneName: "availability domain", ZoneSetting: settings.Project + ":oci.availabilityDomains",
	}
}

// DataVolume reads a block volume as the stack registered it.
func (Hosts) DataVolume(typ string, inputs map[string]any) (v seams.DataVolume, ok bool) {
	if typ != volumeType {
		return v, false
	}
	text := func(key string) string { s, _ := inputs[key].(string); return s }
	v.Name, v.Zone = text("displayName"), text("availabilityDomain")
	v.SizeGB, _ = strconv.Atoi(text("sizeInGbs"))
	return v, true
}

// volumeType is the type token of what holds the data.
const volumeType = "oci:Core/volume:Volume"

// Phase is the part of a deployment that a type belongs to.
func (Hosts) Phase(typ string) string {
	for _, p := range []struct{ prefix, phase string }{
		{"oci:Core/volume", "volumes"},
		{"oci:Core/privateIp", "addresses"},
		{"oci:Core/networkSecurityGroup", "security groups"},
		{"oci:Core/instance", "nodes"},
	} {
		if strings.HasPrefix(typ, p.prefix) {
			return p.phase
		}
	}
	return ""
}

// StandIn gives what is named an OCID, and knows no pool and no fault of a subnet.
func (Hosts) StandIn(s *settings.Settings) seams.Answers {
	if len(s.OCI.AvailabilityDomains) == 0 {
		s.OCI.AvailabilityDomains = []string{"lookedup:AD-1", "lookedup:AD-2", "lookedup:AD-3"}
	}
	// What the settings have refused is not refused again for each resource with it.
	if !strings.HasPrefix(s.OCI.Compartment, "ocid1.tenancy.") {
		oci.StandInID(&s.OCI.Compartment, "compartment")
	}
	oci.StandInID(&s.Nodes.Image, "image")
	s.Volumes.Restore, s.Volumes.Adopt = maps.Clone(s.Volumes.Restore), maps.Clone(s.Volumes.Adopt)
	for index, id := range s.Volumes.Restore {
		oci.StandInID(&id, "volumebackup")
		s.Volumes.Restore[index] = id
	}
	for index, id := range s.Volumes.Adopt {
		oci.StandInID(&id, "volume")
		s.Volumes.Adopt[index] = id
	}
	if s.Volumes.BackupPolicy != "" {
		oci.StandInID(&s.Volumes.BackupPolicy, "volumebackuppolicy")
	}
	oci.StandInID(&s.Network.VCN, "vcn")
	oci.StandInID(&s.Network.PrivateSubnet, "subnet")
	s.Network.PrivateSubnetCIDR = "" // it has a check of its own
	return seams.Answers{
		"oci:Core/getInstancePools:getInstancePools": func() map[string]any { return map[string]any{"instancePools": []any{}} },
		"oci:Core/getSubnet:getSubnet":               oci.AnySubnet(s.Network.VCN),
	}
}

// fleet are the instances of one cluster.
type fleet struct {
	seams.Given
	nodes []cluster.Node
	// domains is how many availability domains the nodes are spread over.
	domains      int
	vcn, subnet  string
	backupPolicy string
	pools        *CompartmentPools
	groups       *SecurityGroups
	volumes      *Volumes
	addresses    *Addresses
}

// Find asks for something in the stack's compartment that its deployer may always read: with a wrong one OCI would
// refuse each resource by itself. The pools are what the graph has to know, too.
func (Hosts) Find(ctx *pulumi.Context, in seams.Given, f *fault.List) (seams.Fleet, error) {
	s := in.Settings
	pools, err := FindPools(ctx, s.OCI.Compartment, in.Invoke(oci.Package))
	if err != nil && strings.Contains(err.Error(), "NotAuthorizedOrNotFound") {
		f.Add(settings.Project+":oci.compartment", "must be a compartment of %s in which the deployer may list instance pools, got %q: %v",
			s.OCI.Region, s.OCI.Compartment, err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking OCI for the instance pools of compartment %q: %w", s.OCI.Compartment, err)
	}
	found := &fleet{Given: in, pools: pools}
	found.findNetwork(oci.Lookup{Ctx: ctx, Compartment: s.OCI.Compartment, By: in.Invoke(oci.Package), Faults: f})
	found.backupPolicy = findBackupPolicy(ctx, in, f)
	domains, err := availabilityDomains(ctx, in)
	if err != nil {
		return nil, err
	}
	found.domains = len(domains)
	found.nodes, err = Place(s.Environment, max(s.Nodes.Count, s.Volumes.Count), domains)
	return found, err
}

// findNetwork looks at the nodes' subnet: OCI would accept one that is too small, and fail minutes later.
func (c *fleet) findNetwork(l oci.Lookup) {
	given := c.Settings.Network
	c.vcn = l.VCN("vcn", given.VCN)
	private := l.Subnet("privateSubnet", given.PrivateSubnet, c.vcn)
	c.subnet = private.ID
	if !private.Known() {
		return
	}
	if want := limits.AddressesNeeded(c.Settings.Nodes.Count); private.Usable() < want {
		l.Faults.Add(settings.Project+":network.privateSubnet", "must have %d addresses for %d nodes, two for each and one for an instance in relaunch, got %s with %d",
			want, c.Settings.Nodes.Count, private, private.Usable())
	}
	if cidr := given.PrivateSubnetCIDR; cidr != "" && !slices.Contains(private.Ranges, cidr) {
		l.Faults.Add(settings.Project+":network.privateSubnetCidr", "must be the private subnet's range %s, got %q", private, cidr)
	}
}

// findBackupPolicy gives the OCID of the settings' backup policy, "" for none. OCI lists Oracle's own policies when it
// is asked for those of no compartment.
func findBackupPolicy(ctx *pulumi.Context, in seams.Given, f *fault.List) string {
	name := in.Settings.Volumes.BackupPolicy
	if name == "" || strings.HasPrefix(name, "ocid1.") {
		return name
	}
	const setting = settings.Project + ":volumes.backupPolicy"
	answer, err := core.GetVolumeBackupPolicies(ctx, &core.GetVolumeBackupPoliciesArgs{}, in.Invoke(oci.Package))
	if err != nil {
		f.Add(setting, "must be a policy that can be looked up, got %q: %v", name, err)
		return ""
	}
	var names []string
	for _, p := range answer.VolumeBackupPolicies {
		if strings.EqualFold(p.DisplayName, name) {
			return p.Id
		}
		names = append(names, fmt.Sprintf("%q", p.DisplayName))
	}
	f.Add(setting, "must be one of Oracle's policies, got %q; there are %s", name, strings.Join(names, ", "))
	return ""
}

// availabilityDomains are those of the settings' list, or else all of the region's, by name: OCI returns them in no
// promised order, and a node must not move.
func availabilityDomains(ctx *pulumi.Context, in seams.Given) ([]string, error) {
	s := in.Settings.OCI
	if len(s.AvailabilityDomains) > 0 {
		return s.AvailabilityDomains, nil
	}
	// Not by package identity of the SDK: for this one question the compiler would work for two minutes, in 9 GB.
	var found struct {
		AvailabilityDomains []struct {
			Name string `pulumi:"name"`
		} `pulumi:"availabilityDomains"`
	}
	err := ctx.Invoke("oci:Identity/getAvailabilityDomains:getAvailabilityDomains", map[string]any{"compartmentId": s.Compartment}, &found, in.Invoke(oci.Package))
	if err != nil {
		return nil, fmt.Errorf("looking up the availability domains of region %q (or list them in emqx-oci:oci.availabilityDomains): %w", s.Region, err)
	}
	domains := make([]string, len(found.AvailabilityDomains))
	for i, d := range found.AvailabilityDomains {
		domains[i] = d.Name
	}
	slices.Sort(domains)
	return domains, nil
}

func (c *fleet) Nodes() []cluster.Node { return c.nodes }

func (c *fleet) Network() string { return c.vcn }

func (c *fleet) running() []cluster.Node { return c.nodes[:c.Settings.Nodes.Count] }

func (c *fleet) Prepare(ctx *pulumi.Context, opts ...pulumi.ResourceOption) (p seams.Prepared, err error) {
	s := c.Settings
	if c.groups, err = NewSecurityGroups(ctx, c.Name+"-groups", &SecurityGroupsArgs{
		Environment:    s.Environment,
		CompartmentID:  s.OCI.Compartment,
		VCNID:          c.vcn,
		ClientCIDRs:    s.Network.ClientCIDRs,
		ServerCIDRs:    s.Network.ServerCIDRs,
		Listeners:      c.Listeners,
		AdminPort:      s.Ports.Admin,
		DashboardCIDRs: s.Network.DashboardCIDRs,
		Tags:           s.Tags,
	}, opts...); err != nil {
		return p, err
	}
	if c.volumes, err = NewVolumes(ctx, VolumesName(c.Name), c.volumesArgs(), opts...); err != nil {
		return p, err
	}
	if c.addresses, err = NewAddresses(ctx, c.Name+"-addresses", &AddressesArgs{
		Environment: s.Environment,
		SubnetID:    c.subnet,
		Nodes:       c.running(),
		Tags:        s.Tags,
	}, opts...); err != nil {
		return p, err
	}
	p = seams.Prepared{Volumes: c.volumes.Each, EdgeGroup: c.groups.BalancerID}
	for i := range c.running() {
		p.Addresses = append(p.Addresses, c.addresses.IP(i))
		p.AddressIDs = append(p.AddressIDs, c.addresses.ID(i))
	}
	return p, nil
}

// VolumesName is what the names of a cluster's volumes begin with, "-<index>" behind it.
func VolumesName(clusterName string) string { return clusterName + "-volumes" }

func (c *fleet) volumesArgs() *VolumesArgs {
	s := c.Settings
	sizes := make([]int, len(c.nodes))
	for i := range c.nodes {
		sizes[i] = s.VolumeSizeGB(i)
	}
	return &VolumesArgs{
		Environment:    s.Environment,
		CompartmentID:  s.OCI.Compartment,
		Nodes:          c.nodes,
		SizesGB:        sizes,
		VPUsPerGB:      &s.Volumes.VPUsPerGB,
		BackupPolicyID: c.backupPolicy,
		Restore:        byIndex(s.Volumes.Restore),
		Adopt:          byIndex(s.Volumes.Adopt),
		Protect:        s.Volumes.Protect,
		Retain:         s.Volumes.Retain,
		Tags:           s.Tags,
	}
}

// byIndex has the keys as numbers, which the settings' checks have seen to be some.
func byIndex(byNode map[string]string) map[int]string {
	out := map[int]string{}
	for key, value := range byNode {
		if i, err := strconv.Atoi(key); err == nil {
			out[i] = value
		}
	}
	return out
}

func (c *fleet) Launch(ctx *pulumi.Context, turns seams.Turns, opts ...pulumi.ResourceOption) (seams.Launched, error) {
	s := c.Settings
	needs := make([][]pulumi.Resource, len(c.running()))
	for i := range needs {
		needs[i] = append([]pulumi.Resource{c.volumes.Each[i], c.addresses.Each[i]}, c.groups.Each...)
	}
	pools, err := NewInstancePools(ctx, c.Name+"-pools", &InstancePoolsArgs{
		Environment:         s.Environment,
		CompartmentID:       s.OCI.Compartment,
		SubnetID:            c.subnet,
		ImageID:             s.Nodes.Image,
		Shape:               s.Nodes.Shape,
		SecurityGroupID:     c.groups.NodesID,
		Nodes:               c.running(),
		Domains:             c.domains,
		Boot:                bootArgs(s),
		OCPUs:               s.Nodes.OCPUs,
		MemoryGB:            s.Nodes.MemoryGB,
		BootVolumeGB:        s.Nodes.BootVolumeGB,
		BootVolumeVPUsPerGB: s.Nodes.BootVolumeVPUsPerGB,
		InTurn:              turns,
		Needs:               needs,
		Pools:               c.pools,
		SSHKey:              s.Nodes.SSHKey,
		Tags:                s.Tags,
	}, opts...)
	if err != nil {
		return seams.Launched{}, err
	}
	return seams.Launched{Each: pools.Each, Relaunched: pools.Relaunched}, nil
}

// bootArgs are what a node is told at its first start. Each comes from the settings: an output of the cloud among them
// would replace every instance configuration in every preview.
func bootArgs(s settings.Settings) BootArgs {
	return BootArgs{
		Environment:   s.Environment,
		Datacenter:    s.Nomad.Datacenter,
		Region:        s.Nomad.Region,
		ConsulServers: s.Consul.Servers,
		NomadServers:  s.Nomad.Servers,
		ConsulVersion: s.Consul.Version,
		NomadVersion:  s.Nomad.Version,
		RegistryAuth:  s.Nodes.RegistryAuth,
		Ports:         s.Ports.Cluster(),
		// Docker's limit caps what each of the two containers asks for.
		NoFile: max(s.Broker.NoFile, s.Proxy.NoFile),
	}
}
