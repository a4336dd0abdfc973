package gates

import (
	"context"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"
)

func TestListOfGates(t *testing.T) {
	gate := func(id, title string) Gate {
		return Gate{ID: id, Title: title, Check: func(context.Context) (Status, error) { return Status{Holds: true}, nil }}
	}
	list := List{
		{Gate: gate("G1", "nodes ready"), Before: []string{"EMQX job", "HAProxy job"}},
		{Gate: gate("G2", "cluster formed"), Before: []string{"HAProxy job", TheEnd}},
		{Gate: gate("G5", "round trip"), Before: []string{TheEnd}},
	}
	ids := func(l List) (ids string) {
		for _, e := range l {
			ids += e.Gate.ID
		}
		return ids
	}
	assert.Equal(t, ids(list.Before("EMQX job")), "G1")
	assert.Equal(t, ids(list.Before("EMQX job", "HAProxy job")), "G1G2")
	assert.Equal(t, ids(list.Before(TheEnd)), "G2G5")
	assert.Equal(t, ids(list.Before("DNS record")), "")

	assert.NilError(t, runMocked(false, func(ctx *pulumi.Context) error {
		before, err := list.Hooks(ctx, "emqx")
		assert.NilError(t, err)
		assert.Equal(t, len(before), 2, "the end is no resource")
		for waiting, want := range map[string][]string{"EMQX job": {"emqx: G1 nodes ready"}, "HAProxy job": {"emqx: G1 nodes ready", "emqx: G2 cluster formed"}} {
			options, err := pulumi.NewResourceOptions(before[waiting])
			assert.NilError(t, err)
			var create, update []string
			for i, h := range options.Hooks.BeforeCreate {
				create, update = append(create, h.Name), append(update, options.Hooks.BeforeUpdate[i].Name)
			}
			assert.DeepEqual(t, create, want)
			assert.DeepEqual(t, update, want)
		}
		return nil
	}))
}
