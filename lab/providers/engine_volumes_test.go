//go:build lab

package providers_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/hosts/ocihosts"
	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/cloud/cloudtest"
	"github.com/emqx-oci/emqx-oci/lab/providers"
)

// TestVolumesWithDataOnTheEngine: a volume is made from a backup once, stays when
// its stack goes, and is taken over by another one.
func TestVolumesWithDataOnTheEngine(t *testing.T) {
	c, err := cloud.Open(t.TempDir(), cloudtest.NewMachine(), cloud.Options{})
	assert.NilError(t, err)
	e := newEngine(t, providers.Config{OCI: c})
	program := func(change func(*ocihosts.VolumesArgs)) pulumi.RunFunc {
		return func(ctx *pulumi.Context) error {
			nodes, err := ocihosts.Place("kept", 2, cloud.AvailabilityDomains)
			if err != nil {
				return err
			}
			args := &ocihosts.VolumesArgs{Environment: "kept", CompartmentID: cloud.CompartmentID, Nodes: nodes, SizesGB: []int{50, 50}, Retain: true}
			change(args)
			_, err = ocihosts.NewVolumes(ctx, "volumes", args)
			return errors.Join(err, nodeProgram("emqx-lab-0")(ctx))
		}
	}
	plain := func(*ocihosts.VolumesArgs) {}
	volumes := func() (ids []string) {
		for _, v := range c.Snapshot().Volumes {
			if v.Name == "emqx-kept-0" || v.Name == "emqx-kept-1" {
				ids = append(ids, v.ID)
			}
		}
		return ids
	}
	e.up(program(plain))
	first := volumes()
	assert.Equal(t, len(first), 2)

	command := func(args ...string) (answer struct{ Data struct{ ID string } }) {
		out, errs, exit := c.CLI(t.Context(), c.Snapshot().Instances[0].ID, append([]string{"--auth", "instance_principal"}, args...))
		assert.Equal(t, exit, 0, "%s", errs)
		if len(out) > 0 {
			assert.NilError(t, json.Unmarshal(out, &answer))
		}
		return answer
	}
	backup := command("bv", "backup", "create", "--volume-id", first[1], "--wait-for-state", "AVAILABLE").Data.ID
	restore := func(id string) pulumi.RunFunc {
		return program(func(a *ocihosts.VolumesArgs) { a.Restore = map[int]string{1: id} })
	}
	// A volume that is there does not care.
	same, _ := e.up(restore(backup))
	assert.DeepEqual(t, same, map[string]int{})
	assert.DeepEqual(t, volumes(), first)

	command("bv", "volume", "delete", "--volume-id", first[1], "--force")
	e.refresh()
	made, _ := e.up(restore(backup))
	assert.DeepEqual(t, made, map[string]int{"create": 1})
	second := volumes()
	assert.Equal(t, second[0], first[0])
	raw, err := c.Read(t.Context(), "oci:Core/volume:Volume", second[1])
	assert.NilError(t, err)
	assert.DeepEqual(t, raw["sourceDetails"], map[string]any{"type": "volumeBackup", "id": backup})
	e.refresh()
	for _, p := range []pulumi.RunFunc{restore("ocid1.volumebackup.oc1..other"), program(plain)} {
		same, _ = e.up(p)
		assert.DeepEqual(t, same, map[string]int{})
	}

	e.destroy()
	assert.DeepEqual(t, volumes(), second)

	adopt := func(size int, ids []string) pulumi.RunFunc {
		return program(func(a *ocihosts.VolumesArgs) {
			a.SizesGB, a.Retain, a.Adopt = []int{size, size}, false, map[int]string{0: ids[0], 1: ids[1]}
		})
	}
	// The other way round they lie in domains that their nodes are not in.
	t.Log(e.upFails(adopt(50, []string{second[1], second[0]})))
	assert.DeepEqual(t, volumes(), second)
	// What differs and can be changed in place is.
	e.up(adopt(60, second))
	assert.DeepEqual(t, volumes(), second)
	same, _ = e.up(adopt(60, second))
	assert.DeepEqual(t, same, map[string]int{})
	same, _ = e.up(program(func(a *ocihosts.VolumesArgs) { a.SizesGB, a.Retain = []int{60, 60}, false }))
	assert.DeepEqual(t, same, map[string]int{})
	e.destroy()
	assert.Equal(t, len(volumes()), 0)
}
