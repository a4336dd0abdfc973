package consul

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

func build(t *testing.T, program pulumi.RunFunc) *recorder.Recording {
	t.Helper()
	up, err := recorder.Run(program, recorder.Options{})
	assert.NilError(t, err)
	preview, err := recorder.Run(program, recorder.Options{Preview: true})
	assert.NilError(t, err)
	assert.Equal(t, preview.Text(), up.Text(), "everything here is known at plan time")
	return up
}

// ADR 0004: all members from the start, each by its stable name.
func TestMembers(t *testing.T) {
	r := build(t, func(ctx *pulumi.Context) error {
		m, err := NewMembers(ctx, "members", &MembersArgs{Environment: "prod", Nodes: []string{"emqx-prod-0", "emqx-prod-1"}})
		assert.Equal(t, len(m.Each), 2)
		return err
	})
	node, ok := r.Find("Node", "members")
	assert.Assert(t, ok)
	assert.Equal(t, node.Inputs["name"].StringValue(), "emqx-prod-members")
	services := r.Kind("Service")
	assert.Equal(t, len(services), 2)
	for i, s := range services {
		assert.DeepEqual(t, s.Inputs.Mappable(), map[string]any{
			"node": "emqx-prod-members", "name": "emqx-cluster", "serviceId": fmt.Sprintf("emqx-cluster-prod-%d", i),
			"address": fmt.Sprintf("emqx-prod-%d.node.dc1.consul", i), "port": 4370.0, "tags": []any{"prod"}, "datacenter": "dc1",
		})
		assert.DeepEqual(t, s.DependsOn, []string{"members"})
	}
}

func TestEntries(t *testing.T) {
	r := build(t, func(ctx *pulumi.Context) error {
		_, err := NewEntries(ctx, "entries", &EntriesArgs{
			Environment: "prod", Size: 3, Version: "emqx/emqx:5.8.9",
			Endpoints: map[string]string{"ws": "ws://x:8083/mqtt", "mqtt": "mqtt://x:1883"},
		})
		return err
	})
	keys, ok := r.Find("Keys", "entries")
	assert.Assert(t, ok)
	got := map[string]string{}
	for _, k := range keys.Inputs["keys"].ArrayValue() {
		o := k.ObjectValue()
		assert.Equal(t, o["delete"].BoolValue(), true, "destroy would leave it behind")
		got[o["path"].StringValue()] = o["value"].StringValue()
	}
	assert.DeepEqual(t, got, map[string]string{
		"emqx/prod/endpoints": "mqtt://x:1883\nws://x:8083/mqtt", "emqx/prod/size": "3", "emqx/prod/version": "emqx/emqx:5.8.9",
	})
}

func TestBadArgsRegisterNothing(t *testing.T) {
	r, err := recorder.Run(func(ctx *pulumi.Context) error {
		_, first := NewMembers(ctx, "members", &MembersArgs{Nodes: []string{""}})
		_, second := NewEntries(ctx, "entries", nil)
		return errors.Join(first, second)
	}, recorder.Options{})
	var list *fault.Error
	assert.Assert(t, errors.As(err, &list))
	for _, want := range []string{
		"environment: must be set", "nodes[0]: must be set", "version: must be set", "size: must be at least 1, got 0",
		"endpoints: must hold at least one URL",
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.Equal(t, len(r.Resources), 0)
}
