package ocihosts

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"strconv"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/core"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/oci"
)

// spec is what an instance is and cannot become while it runs, as its pool's tag
// [cluster.TagInstance] says it. A pool whose tag has to change is replaced, and its
// instance with it. OCI has it, and not the state alone: an update that is interrupted
// between the two finds what is left to do, whatever the state had recorded. That is its boot script,
// too: OCI changes the user data of no instance, and nothing else of the stack may write
// the agents' files of a node (ADR 0030). What may wait for its next launch is not in
// it: the boot volume, the SSH key.
func (a *InstancePoolsArgs) spec(script string) string {
	return fmt.Sprintf("%s, %g OCPUs, %g GB, %s, boot script %.6x", a.Shape, a.OCPUs, a.MemoryGB, a.ImageID, sha256.Sum256([]byte(script)))
}

func poolTags(tags map[string]string, spec string) map[string]string {
	tags = maps.Clone(tags)
	tags[cluster.TagInstance] = spec
	return tags
}

// foundPools are the pools that OCI has of a cluster, by node index. One without
// the tag, taken over from elsewhere, is not among them: it gets the tag and
// keeps its instance. One whose tag names no boot script has one that is older.
type foundPools map[int]foundPool

type foundPool struct {
	spec string
	// live is a pool that is not about to go.
	live bool
}

// CompartmentPools are the instance pools that OCI has in a compartment.
type CompartmentPools struct {
	pools []core.GetInstancePoolsInstancePool
}

// FindPools asks OCI for the instance pools of a compartment, in a preview, too.
func FindPools(ctx *pulumi.Context, compartment string, opts ...pulumi.InvokeOption) (*CompartmentPools, error) {
	answer, err := core.GetInstancePools(ctx, &core.GetInstancePoolsArgs{CompartmentId: compartment}, opts...)
	if err != nil {
		return nil, err
	}
	return &CompartmentPools{answer.InstancePools}, nil
}

// find gives the cluster's pools, and asks OCI for them where nobody has.
func (a *InstancePoolsArgs) find(ctx *pulumi.Context, opts ...pulumi.InvokeOption) (foundPools, error) {
	there := a.Pools
	if there == nil {
		var err error
		if there, err = FindPools(ctx, a.CompartmentID, opts...); err != nil {
			return nil, fmt.Errorf("asking OCI for the instance pools that there are: %w", err)
		}
	}
	found := foundPools{}
	for _, p := range there.pools {
		index, err := strconv.Atoi(p.FreeformTags[cluster.TagIndex])
		spec := p.FreeformTags[cluster.TagInstance]
		if err != nil || spec == "" || p.FreeformTags[cluster.TagCluster] != a.Environment {
			continue
		}
		live := !oci.Terminating(p.State)
		if live || !found[index].live {
			found[index] = foundPool{spec: spec, live: live}
		}
	}
	return found, nil
}

// relaunched tells whether a running instance ends for another one.
func (f foundPools) relaunched(index int, spec string) bool {
	p := f[index]
	return p.live && p.spec != spec
}

// options replace a pool that has another instance. The old pool goes first: its
// instance must have let go of the volume before the new one can begin.
func (f foundPools) options(index int, spec string) pulumi.ResourceOption {
	if p, there := f[index]; there && p.spec != spec {
		return pulumi.Composite(
			pulumi.ReplaceOnChanges([]string{"freeformTags." + cluster.TagInstance}), pulumi.DeleteBeforeReplace(true))
	}
	return pulumi.Composite()
}
