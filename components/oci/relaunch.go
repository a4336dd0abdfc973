package oci

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"strconv"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/core"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// InstanceTag is the freeform tag of an instance pool that says what its
// instance is. A pool whose tag has to change is replaced, and its instance
// with it. OCI has it, and not the state alone: an update that is interrupted
// between the two finds what is left to do, whatever the state had recorded.
const InstanceTag = "emqx-instance"

// spec is what an instance is and cannot become while it runs. That is its boot script,
// too: OCI changes the user data of no instance, and nothing else of the stack may write
// the agents' files of a node (ADR 0030). What may wait for its next launch is not in
// it: the boot volume, the SSH key.
func (a *InstancePoolsArgs) spec(script string) string {
	return fmt.Sprintf("%s, %g OCPUs, %g GB, %s, boot script %.6x", a.Shape, a.OCPUs, a.MemoryGB, a.ImageID, sha256.Sum256([]byte(script)))
}

func poolTags(tags map[string]string, spec string) map[string]string {
	tags = maps.Clone(tags)
	tags[InstanceTag] = spec
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

// find asks OCI for the cluster's pools, in a preview, too.
func (a *InstancePoolsArgs) find(ctx *pulumi.Context, opts ...pulumi.InvokeOption) (foundPools, error) {
	answer, err := core.GetInstancePools(ctx, &core.GetInstancePoolsArgs{CompartmentId: a.CompartmentID}, opts...)
	if err != nil {
		return nil, fmt.Errorf("asking OCI for the instance pools that there are: %w", err)
	}
	found := foundPools{}
	for _, p := range answer.InstancePools {
		index, err := strconv.Atoi(p.FreeformTags["group-index"])
		spec := p.FreeformTags[InstanceTag]
		if err != nil || spec == "" || p.FreeformTags["emqx-cluster"] != a.Environment {
			continue
		}
		live := !ending(p.State)
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
			pulumi.ReplaceOnChanges([]string{"freeformTags." + InstanceTag}), pulumi.DeleteBeforeReplace(true))
	}
	return pulumi.Composite()
}
