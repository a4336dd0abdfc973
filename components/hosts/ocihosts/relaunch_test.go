package ocihosts

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

// wanted is the instance of node i, with the boot script that it is to have.
func wanted(t *testing.T, i int) string {
	t.Helper()
	args := boot
	args.Index = i
	script, err := BootScript(args)
	assert.NilError(t, err)
	return fmt.Sprintf("VM.Standard.E5.Flex, 2 OCPUs, 16 GB, i, boot script %.6x", sha256.Sum256([]byte(script)))
}

// there is the pool of a node as OCI lists it.
func there(index, environment, spec, state string) map[string]any {
	tags := map[string]any{"emqx-cluster": environment, "group-index": index}
	if spec != "" {
		tags[cluster.TagInstance] = spec
	}
	return map[string]any{"state": state, "freeformTags": tags}
}

// relaunching registers five nodes over the pools that there are, and returns
// the nodes that got a turn.
func relaunching(t *testing.T, preview bool, found ...map[string]any) (r *recorder.Recording, turns []int) {
	t.Helper()
	r, err := recorder.Run(func(ctx *pulumi.Context) error {
		p, err := NewInstancePools(ctx, "pools", &InstancePoolsArgs{
			Environment: "test", CompartmentID: "c", SubnetID: "s", ImageID: "i", Shape: "VM.Standard.E5.Flex",
			SecurityGroupID: pulumi.String("group"), Nodes: testNodes(t, 5), Boot: boot,
			InTurn: func(nodes []cluster.Node, launch func(cluster.Node) error) error {
				for _, n := range nodes {
					turns = append(turns, n.Index)
					assert.NilError(t, launch(n))
				}
				return nil
			},
		})
		if err != nil {
			return err
		}
		for _, x := range p.Each {
			assert.Assert(t, x != nil)
		}
		return nil
	}, recorder.Options{Preview: preview, Outputs: cloudOutputs, Call: pools(found...)})
	assert.NilError(t, err)
	return r, turns
}

func TestOnlyInstancesThatBecomeOthersHaveATurn(t *testing.T) {
	found := []map[string]any{
		there("0", "test", wanted(t, 0), "Running"),
		there("1", "test", strings.Replace(wanted(t, 1), "2 OCPUs", "1 OCPUs", 1), "Running"),
		there("2", "test", "", "Running"),                                              // taken over from elsewhere
		there("3", "test", strings.Replace(wanted(t, 3), "E5", "E4", 1), "TERMINATED"), // an interrupted relaunch
		there("4", "prod", "another stack's", "Running"),
		there("x", "test", "no node's", "Running"),
	}
	for _, preview := range []bool{false, true} {
		r, turns := relaunching(t, preview, found...)
		if preview {
			assert.Equal(t, len(turns), 0)
		} else {
			assert.DeepEqual(t, turns, []int{1})
		}
		all := r.Kind("InstancePool")
		assert.Equal(t, len(all), 5)
		for i, p := range all {
			assert.Equal(t, p.Inputs["freeformTags"].ObjectValue()[cluster.TagInstance].StringValue(), wanted(t, i))
			want := []string(nil)
			if i == 1 || i == 3 {
				want = []string{"freeformTags.emqx-instance"}
			}
			assert.DeepEqual(t, p.ReplaceOnChanges, want)
		}
	}
}

// The agents of an instance that runs have what its boot script wrote at its launch. Each
// node has a script of its own, and a pool from before scripts were in the tag has an old one.
func TestAnotherBootScriptRelaunchesInTurn(t *testing.T) {
	without, _, _ := strings.Cut(wanted(t, 2), ", boot script")
	found := []map[string]any{
		there("0", "test", wanted(t, 0), "Running"),
		there("1", "test", wanted(t, 0), "Running"),
		there("2", "test", without, "Running"),
		there("3", "test", wanted(t, 3), "Running"),
		there("4", "test", wanted(t, 4), "Running"),
	}
	r, turns := relaunching(t, false, found...)
	assert.DeepEqual(t, turns, []int{1, 2})
	for i, p := range r.Kind("InstancePool") {
		assert.Equal(t, len(p.ReplaceOnChanges) > 0, i == 1 || i == 2, p.Name)
	}
}

// What OCI still lists of a pool that went does not hide the one that came.
func TestALivePoolCountsAndNotTheOneBeforeIt(t *testing.T) {
	old, now := there("1", "test", "old", "TERMINATED"), there("1", "test", wanted(t, 1), "RUNNING")
	for _, found := range [][]map[string]any{{old, now}, {now, old}} {
		r, turns := relaunching(t, false, found...)
		assert.Equal(t, len(turns), 0)
		p, _ := r.Find("InstancePool", "pools-1")
		assert.Equal(t, len(p.ReplaceOnChanges), 0)
	}
}

func TestATurnThatFailsEndsTheProgram(t *testing.T) {
	r, err := recorder.Run(func(ctx *pulumi.Context) error {
		_, err := NewInstancePools(ctx, "pools", &InstancePoolsArgs{
			Environment: "test", CompartmentID: "c", SubnetID: "s", ImageID: "i", Shape: "VM.Standard.E5.Flex",
			SecurityGroupID: pulumi.String("group"), Nodes: testNodes(t, 3), Boot: boot,
			InTurn: func([]cluster.Node, func(cluster.Node) error) error { return errors.New("the cluster is sick") },
		})
		return err
	}, recorder.Options{Outputs: cloudOutputs, Call: pools(there("0", "test", "old", "RUNNING"), there("1", "test", "old", "RUNNING"))})
	assert.ErrorContains(t, err, "the cluster is sick")
	assert.Equal(t, len(r.Kind("InstancePool")), 1, fmt.Sprint("the one that nobody waits for: ", r.Kind("InstancePool")))
}
