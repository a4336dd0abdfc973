package ocihosts

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/core"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
)

const volumesType = "emqx:oci:Volumes"

// VolumesArgs describe the data volumes of a cluster.
type VolumesArgs struct {
	// Required.

	// Environment names the cluster in the tags that the boot script looks for.
	Environment string
	// CompartmentID is the OCID of the compartment.
	CompartmentID string
	// Nodes get one volume each, in their availability domain, whether or not
	// they have an instance: a volume may outlive its node.
	Nodes []cluster.Node

	// Defaulted.

	// SizesGB of the volumes, by node index, 50 to 32768; default 150 each.
	SizesGB []int
	// VPUsPerGB is the performance: 0 lower cost, 10 balanced, 20 higher, 30 to
	// 120 ultra high, in tens; nil means 10.
	VPUsPerGB *int

	// Optional.

	// BackupPolicyID is the OCID of a backup policy; empty means no backups.
	BackupPolicyID string
	// Restore are OCIDs of backups, by node index: these volumes are made from
	// them. It counts when a volume is made; later changes of it do nothing.
	Restore map[int]string
	// Adopt are OCIDs of volumes, by node index, that exist already: they are taken
	// over instead of making new ones. It counts when the stack has no such volume.
	// As long as one is named here it is retained, too: Pulumi deletes the one that
	// it had when another one is named.
	Adopt map[int]string
	// Protect makes Pulumi refuse to delete or replace a volume.
	Protect bool
	// Retain leaves volumes, and their backup policies, in OCI when they leave the
	// stack.
	Retain bool
	// Tags are extra freeform tags.
	Tags map[string]string
}

// Volumes are one block volume per node. They are attached by the node's boot
// script, which finds its own by tag, so that a relaunched instance takes its
// volume back without an update of the stack.
//
//	volumes, err := oci.NewVolumes(ctx, "volumes", &ocihosts.VolumesArgs{
//		Environment:   "prod",
//		CompartmentID: "ocid1.compartment.oc1..example",
//		Nodes:         nodes, // from [Place]
//	})
type Volumes struct {
	pulumi.ResourceState

	// IDs are the volumes' OCIDs, by node index.
	IDs pulumi.StringArrayOutput

	// Each is the volume of a node, by index, for others to depend on: a
	// dependency on a component is a race, the SDK learns of children in the
	// background.
	Each []pulumi.Resource
}

// NewVolumes registers the volumes; every fault of args is reported before
// anything is.
func NewVolumes(ctx *pulumi.Context, name string, args *VolumesArgs, opts ...pulumi.ResourceOption) (*Volumes, error) {
	a := VolumesArgs{}
	if args != nil {
		a = *args
	}
	a.setDefaults()
	if err := a.validate(); err != nil {
		return nil, fmt.Errorf("creating volumes %q: %w", name, err)
	}
	v := &Volumes{}
	if err := ctx.RegisterComponentResource(volumesType, name, v, opts...); err != nil {
		return nil, err
	}
	ids := pulumi.StringArray{}
	for i, n := range a.Nodes {
		args := &core.VolumeArgs{
			CompartmentId:      pulumi.String(a.CompartmentID),
			AvailabilityDomain: pulumi.String(n.Zone),
			DisplayName:        pulumi.String(n.Name),
			SizeInGbs:          pulumi.String(strconv.Itoa(a.SizesGB[i])),
			VpusPerGb:          pulumi.String(strconv.Itoa(*a.VPUsPerGB)),
			FreeformTags:       pulumi.ToStringMap(cluster.NodeTags(a.Environment, n.Index, a.Tags)),
		}
		if backup := a.Restore[i]; backup != "" {
			args.SourceDetails = &core.VolumeSourceDetailsArgs{Type: pulumi.String("volumeBackup"), Id: pulumi.String(backup)}
		}
		opts := []pulumi.ResourceOption{
			pulumi.Parent(v), pulumi.Protect(a.Protect), pulumi.RetainOnDelete(a.Retain || a.Adopt[i] != ""),
			// Where a volume came from cannot change: OCI's provider would replace it.
			pulumi.IgnoreChanges([]string{"sourceDetails"}),
		}
		if id := a.Adopt[i]; id != "" {
			opts = append(opts, pulumi.Import(pulumi.ID(id)))
		}
		volume, err := core.NewVolume(ctx, childName(name, n), args, opts...)
		if err != nil {
			return nil, fmt.Errorf("creating volume of node %q: %w", n.Name, err)
		}
		ids = append(ids, volume.ID())
		v.Each = append(v.Each, volume)
		if a.BackupPolicyID == "" {
			continue
		}
		if _, err := core.NewVolumeBackupPolicyAssignment(ctx, childName(name, n)+"-backup",
			&core.VolumeBackupPolicyAssignmentArgs{
				AssetId:  volume.ID(),
				PolicyId: pulumi.String(a.BackupPolicyID),
			}, pulumi.Parent(v), pulumi.RetainOnDelete(a.Retain)); err != nil {
			return nil, fmt.Errorf("assigning the backup policy to the volume of node %q: %w", n.Name, err)
		}
	}
	v.IDs = ids.ToStringArrayOutput()
	return v, ctx.RegisterResourceOutputs(v, pulumi.Map{"ids": v.IDs})
}

func (a *VolumesArgs) setDefaults() {
	if len(a.SizesGB) == 0 {
		a.SizesGB = slices.Repeat([]int{150}, len(a.Nodes))
	}
	if a.VPUsPerGB == nil {
		balanced := 10
		a.VPUsPerGB = &balanced
	}
}

func (a *VolumesArgs) validate() error {
	var f fault.List
	f.Require("environment", a.Environment)
	f.Require("compartmentId", a.CompartmentID)
	requireNodes(&f, a.Nodes)
	if len(a.SizesGB) != len(a.Nodes) {
		f.Add("sizesGb", "must hold one size for each of %d nodes, got %d", len(a.Nodes), len(a.SizesGB))
	}
	for i, size := range a.SizesGB {
		f.Range(fmt.Sprintf("sizesGb[%d]", i), size, limits.MinVolumeGB, limits.MaxVolumeGB)
	}
	for path, byNode := range map[string]map[int]string{"restore": a.Restore, "adopt": a.Adopt} {
		for i := range byNode {
			f.Range(path, i, 0, len(a.Nodes)-1)
		}
	}
	if v := *a.VPUsPerGB; v < 0 || v > 120 || v%10 != 0 {
		f.Add("vpusPerGb", "must be 0 to 120 in steps of 10, got %d", v)
	}
	return f.Err()
}
