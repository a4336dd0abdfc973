package ocihosts

import (
	"fmt"
	"slices"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/core"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
)

const instancePoolsType = "emqx:oci:InstancePools"

// InstancePoolsArgs describe the instances of a cluster.
type InstancePoolsArgs struct {
	// Required.

	// Environment names the cluster in tags.
	Environment string
	// CompartmentID is the OCID of the compartment.
	CompartmentID string
	// SubnetID is the OCID of the nodes' private subnet.
	SubnetID string
	// ImageID is the OCID of an Oracle Linux 9 or Ubuntu 24.04 image.
	ImageID string
	// Shape of the instances: "VM.Standard.E5.Flex".
	Shape string
	// SecurityGroupID is the OCID of the nodes' network security group.
	SecurityGroupID pulumi.StringInput
	// Nodes get one pool each, in their availability domain ([Place]).
	Nodes []cluster.Node
	// Boot is what the boot script is told; Index is set for each node. It may
	// hold only what is known at plan time, or every preview would show all
	// instance configurations as replaced.
	Boot BootArgs

	// Defaulted.

	// OCPUs of a flexible shape; default 2.
	OCPUs float64
	// MemoryGB of a flexible shape; default 16.
	MemoryGB float64
	// BootVolumeGB is the size of the boot volume, 50 to 32768; default 50.
	BootVolumeGB int
	// BootVolumeVPUsPerGB is its performance: 10 balanced, 20 higher, 30 to 120
	// ultra high, in tens; default 10.
	BootVolumeVPUsPerGB int

	// Optional.

	// Domains is the number of availability domains that the nodes are spread over, from which their fault domains
	// follow; 0 leaves those to OCI.
	Domains int
	// InTurn is given the nodes whose instance has to become another one, none as
	// a rule, and calls launch for each when it is that node's turn; launch
	// returns when the new instance runs. Nil launches all of them at once, as a
	// preview does.
	InTurn func(nodes []cluster.Node, launch func(cluster.Node) error) error
	// Needs are what must exist before a node boots and while it lives, by node
	// index: its volume, its address, the rules of its group. Given per node, a
	// pool starts as soon as its own are there, and at scale-in goes before them.
	Needs [][]pulumi.Resource
	// Pools are those that the compartment has, where somebody has asked already
	// ([FindPools]); nil asks.
	Pools *CompartmentPools
	// SSHKey is an authorized public key; empty means no login.
	SSHKey string
	// Tags are extra freeform tags.
	Tags map[string]string
}

// InstancePools are one pool of size 1 per node, so that OCI relaunches a dead
// instance by itself, each with an instance configuration of its own: user data
// differs by index. A configuration cannot be updated: a change creates the new
// one, moves the pool to it and deletes the old one last (OCI answers 409 to
// the delete of one in use). Instances that run are left alone, unless shape,
// OCPUs, memory, image or boot script change: then the pool is replaced, its
// instance ends and another is launched, one node at a time
// ([InstancePoolsArgs].InTurn).
//
//	pools, err := ocihosts.NewInstancePools(ctx, "pools", &ocihosts.InstancePoolsArgs{
//		Environment:     "prod",
//		CompartmentID:   "ocid1.compartment.oc1..example",
//		SubnetID:        "ocid1.subnet.oc1.eu-frankfurt-1.example",
//		ImageID:         "ocid1.image.oc1.eu-frankfurt-1.example",
//		Shape:           "VM.Standard.E5.Flex",
//		SecurityGroupID: groups.NodesID,
//		Nodes:           nodes,
//		Boot:            ocihosts.BootArgs{Environment: "prod", ConsulServers: servers, NomadServers: servers},
//		Needs:           [][]pulumi.Resource{{volumes.Each[0], addresses.Each[0]}},
//	})
type InstancePools struct {
	pulumi.ResourceState

	// IDs are the pools' OCIDs, by node index.
	IDs pulumi.StringArrayOutput

	// Relaunched are the nodes whose instance this update ends for another one.
	Relaunched []cluster.Node

	// Each is the pool of a node, by index, for others to depend on: see
	// [Volumes].
	Each []pulumi.Resource
}

// NewInstancePools registers the pools; every fault of args is reported before
// anything is.
func NewInstancePools(ctx *pulumi.Context, name string, args *InstancePoolsArgs, opts ...pulumi.ResourceOption) (*InstancePools, error) {
	a := InstancePoolsArgs{}
	if args != nil {
		a = *args
	}
	a.setDefaults()
	if err := a.validate(); err != nil {
		return nil, fmt.Errorf("creating instance pools %q: %w", name, err)
	}
	scripts, specs := make([]string, len(a.Nodes)), make([]string, len(a.Nodes))
	for i, n := range a.Nodes {
		boot := a.Boot
		boot.Index = n.Index
		script, err := BootScript(boot)
		if err != nil {
			return nil, fmt.Errorf("rendering the boot script of node %q: %w", n.Name, err)
		}
		scripts[i], specs[i] = userData(script), a.spec(script)
		if size := len(scripts[i]) + len(a.SSHKey); size > limits.MaxMetadata {
			return nil, fmt.Errorf("rendering the boot script of node %q: user data and keys take %d bytes, OCI allows %d",
				n.Name, size, limits.MaxMetadata)
		}
	}
	p := &InstancePools{Each: make([]pulumi.Resource, len(a.Nodes))}
	if err := ctx.RegisterComponentResource(instancePoolsType, name, p, opts...); err != nil {
		return nil, err
	}
	there, err := a.find(ctx, pulumi.Parent(p))
	if err != nil {
		return nil, fmt.Errorf("creating instance pools %q: %w", name, err)
	}
	ids := make(pulumi.StringArray, len(a.Nodes))
	register := func(n cluster.Node) (*core.InstancePool, error) {
		i := slices.Index(a.Nodes, n)
		pool, err := a.newPool(ctx, childName(name, n), n, scripts[i], specs[i], there.options(n.Index, specs[i]), pulumi.Parent(p))
		if err != nil {
			return nil, fmt.Errorf("creating instance pool %q: %w", n.Name, err)
		}
		ids[i], p.Each[i] = pool.ID(), pool
		return pool, nil
	}
	var later []cluster.Node
	for i, n := range a.Nodes {
		relaunched := there.relaunched(n.Index, specs[i])
		if relaunched {
			p.Relaunched = append(p.Relaunched, n)
		}
		// Those that nobody waits for come first: a node that is away would hold
		// up the turns of the others.
		if a.InTurn != nil && !ctx.DryRun() && relaunched {
			later = append(later, n)
		} else if _, err := register(n); err != nil {
			return nil, err
		}
	}
	if a.InTurn != nil && !ctx.DryRun() {
		if err := a.InTurn(later, func(n cluster.Node) error {
			pool, err := register(n)
			if err != nil {
				return err
			}
			_, err = internals.UnsafeAwaitOutput(ctx.Context(), pool.ID())
			return err
		}); err != nil {
			return nil, err
		}
	}
	p.IDs = ids.ToStringArrayOutput()
	return p, ctx.RegisterResourceOutputs(p, pulumi.Map{"ids": p.IDs})
}

func (a *InstancePoolsArgs) newPool(
	ctx *pulumi.Context, name string, n cluster.Node, userData, spec string, replace, parent pulumi.ResourceOption,
) (*core.InstancePool, error) {
	tags := cluster.NodeTags(a.Environment, n.Index, a.Tags)
	var needs []pulumi.Resource
	if len(a.Needs) > 0 {
		needs = a.Needs[n.Index]
	}
	metadata := pulumi.StringMap{"user_data": pulumi.String(userData)}
	if a.SSHKey != "" {
		metadata["ssh_authorized_keys"] = pulumi.String(a.SSHKey)
	}
	placement := core.InstancePoolPlacementConfigurationArgs{
		AvailabilityDomain: pulumi.String(n.Zone),
		PrimarySubnetId:    pulumi.String(a.SubnetID),
	}
	if d := faultDomain(n.Index, a.Domains); d > 0 {
		placement.FaultDomains = pulumi.StringArray{pulumi.String(fmt.Sprintf("FAULT-DOMAIN-%d", d))}
	}
	config, err := core.NewInstanceConfiguration(ctx, name+"-config", &core.InstanceConfigurationArgs{
		CompartmentId: pulumi.String(a.CompartmentID),
		DisplayName:   pulumi.String(n.Name),
		FreeformTags:  pulumi.ToStringMap(tags),
		InstanceDetails: core.InstanceConfigurationInstanceDetailsArgs{
			InstanceType: pulumi.String("compute"),
			LaunchDetails: core.InstanceConfigurationInstanceDetailsLaunchDetailsArgs{
				CompartmentId: pulumi.String(a.CompartmentID),
				DisplayName:   pulumi.String(n.Name),
				FreeformTags:  pulumi.ToStringMap(tags),
				Shape:         pulumi.String(a.Shape),
				ShapeConfig: core.InstanceConfigurationInstanceDetailsLaunchDetailsShapeConfigArgs{
					Ocpus:       pulumi.Float64(a.OCPUs),
					MemoryInGbs: pulumi.Float64(a.MemoryGB),
				},
				SourceDetails: core.InstanceConfigurationInstanceDetailsLaunchDetailsSourceDetailsArgs{
					SourceType:          pulumi.String("image"),
					ImageId:             pulumi.String(a.ImageID),
					BootVolumeSizeInGbs: pulumi.String(fmt.Sprint(a.BootVolumeGB)),
					BootVolumeVpusPerGb: pulumi.String(fmt.Sprint(a.BootVolumeVPUsPerGB)),
				},
				// No hostname label: while a pool relaunches, the dead instance
				// still holds it, and the new one would be refused.
				CreateVnicDetails: core.InstanceConfigurationInstanceDetailsLaunchDetailsCreateVnicDetailsArgs{
					SubnetId:       pulumi.String(a.SubnetID),
					NsgIds:         pulumi.StringArray{a.SecurityGroupID},
					AssignPublicIp: pulumi.Bool(false),
				},
				// Version 1 of the metadata service answers whoever makes a program of the
				// node fetch an address. All that asks it here uses version 2.
				InstanceOptions: core.InstanceConfigurationInstanceDetailsLaunchDetailsInstanceOptionsArgs{
					AreLegacyImdsEndpointsDisabled: pulumi.Bool(true),
				},
				Metadata: metadata,
			},
		},
	}, parent)
	if err != nil {
		return nil, err
	}
	return core.NewInstancePool(ctx, name, &core.InstancePoolArgs{
		CompartmentId:                pulumi.String(a.CompartmentID),
		DisplayName:                  pulumi.String(n.Name),
		FreeformTags:                 pulumi.ToStringMap(poolTags(tags, spec)),
		InstanceConfigurationId:      config.ID(),
		InstanceDisplayNameFormatter: pulumi.String(n.Name),
		Size:                         pulumi.Int(1),
		PlacementConfigurations:      core.InstancePoolPlacementConfigurationArray{placement},
	}, parent, replace, pulumi.DependsOn(needs))
}

func (a *InstancePoolsArgs) setDefaults() {
	if a.OCPUs == 0 {
		a.OCPUs = 2
	}
	if a.MemoryGB == 0 {
		a.MemoryGB = 16
	}
	if a.BootVolumeGB == 0 {
		a.BootVolumeGB = 50
	}
	if a.BootVolumeVPUsPerGB == 0 {
		a.BootVolumeVPUsPerGB = 10
	}
}

func (a *InstancePoolsArgs) validate() error {
	var f fault.List
	f.Require("environment", a.Environment)
	f.Require("compartmentId", a.CompartmentID)
	f.Require("subnetId", a.SubnetID)
	f.Require("imageId", a.ImageID)
	f.Require("shape", a.Shape)
	if a.SecurityGroupID == nil {
		f.Add("securityGroupId", "must be set")
	}
	requireNodes(&f, a.Nodes)
	if len(a.Needs) != 0 && len(a.Needs) != len(a.Nodes) {
		f.Add("needs", "must hold one list for each of %d nodes, got %d", len(a.Nodes), len(a.Needs))
	}
	if a.OCPUs < 1 {
		f.Add("ocpus", "must be at least 1, got %g", a.OCPUs)
	}
	if a.MemoryGB < 1 {
		f.Add("memoryGb", "must be at least 1, got %g", a.MemoryGB)
	}
	f.Range("bootVolumeGb", a.BootVolumeGB, limits.MinVolumeGB, limits.MaxVolumeGB)
	if v := a.BootVolumeVPUsPerGB; v < 10 || v > 120 || v%10 != 0 {
		f.Add("bootVolumeVpusPerGb", "must be 10 to 120 in steps of 10, got %d", v)
	}
	return f.Err()
}
