package oci

import (
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/interrupted"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

func TestWhatMayBeTheLostResource(t *testing.T) {
	tags := map[string]any{"emqx-cluster": "prod", "group-index": "1"}
	lost := interrupted.Lost{
		Type:   "oci:Core/volume:Volume",
		Inputs: map[string]any{"displayName": "emqx-prod-1", "availabilityDomain": "AD-1", "freeformTags": tags, "sizeInGbs": "150"},
		Since:  time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC),
	}
	for name, c := range map[string]struct {
		change map[string]any
		fits   bool
	}{
		"made since":           {nil, true},
		"of another name":      {map[string]any{"displayName": "emqx-prod-2"}, false},
		"in another domain":    {map[string]any{"availabilityDomain": "AD-2"}, false},
		"of another cluster":   {map[string]any{"freeformTags": map[string]any{"emqx-cluster": "test", "group-index": "1"}}, false},
		"with more tags":       {map[string]any{"freeformTags": map[string]any{"emqx-cluster": "prod", "group-index": "1", "owner": "ann"}}, false},
		"without tags":         {map[string]any{"freeformTags": nil}, false},
		"deleted":              {map[string]any{"state": "TERMINATED"}, false},
		"on its way out":       {map[string]any{"state": "Terminating"}, false},
		"a volume kept of old": {map[string]any{"timeCreated": "2026-01-01 12:00:00 +0000 UTC"}, false},
		"by a slow clock":      {map[string]any{"timeCreated": "2026-01-02 11:58:00 +0000 UTC"}, true},
		"by another format":    {map[string]any{"timeCreated": "2026-01-01T12:00:00.5Z"}, false},
		"without a time":       {map[string]any{"timeCreated": nil}, true},
	} {
		t.Run(name, func(t *testing.T) {
			item := map[string]any{
				"id": "ocid1.volume.oc1..a", "displayName": "emqx-prod-1", "availabilityDomain": "AD-1", "state": "AVAILABLE",
				"freeformTags": tags, "timeCreated": "2026-01-02 12:00:01.5 +0000 UTC",
			}
			for k, v := range c.change {
				item[k] = v
			}
			assert.Equal(t, searches[lost.Type].fits(lost, item), c.fits)
		})
	}
}

func TestPartsOfABalancerAreNamedAsTheProviderNamesThem(t *testing.T) {
	in := map[string]any{"networkLoadBalancerId": "nlb", "name": "emqx-prod-1"}
	for token, want := range map[string]string{
		"oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified": "networkLoadBalancers/nlb/backendSets/emqx-prod-1",
		"oci:NetworkLoadBalancer/listener:Listener":                                                             "networkLoadBalancers/nlb/listeners/emqx-prod-1",
	} {
		assert.Equal(t, searches[token].id(in, map[string]any{"name": "emqx-prod-1"}), want)
	}
	rule := searches["oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule"]
	assert.Equal(t, rule.id(map[string]any{"networkSecurityGroupId": "nsg"}, map[string]any{"id": "A1"}), "networkSecurityGroups/nsg/securityRules/A1")
}

func TestItemsOfBothShapesOfAnAnswer(t *testing.T) {
	one, two := map[string]any{"id": "1"}, map[string]any{"id": "2"}
	assert.DeepEqual(t, items([]any{one, two}), []map[string]any{one, two})
	assert.DeepEqual(t, items([]any{map[string]any{"items": []any{one}}, map[string]any{"items": []any{two}}}), []map[string]any{one, two})
	assert.Equal(t, len(items(nil)), 0)
}

func TestWhatBecameOfWhatWasToBeDeleted(t *testing.T) {
	list := func(items ...any) []any { return items }
	item := func(id, state string) any { return map[string]any{"id": id, "state": state} }
	answers := map[string]map[string]any{
		"oci:Core/getVolumes:getVolumes":                                          {"volumes": list(item("v0", "AVAILABLE"), item("v1", "TERMINATED"), item("v2", "Terminating"))},
		"oci:Core/getInstancePools:getInstancePools":                              {"instancePools": list(item("p0", "TERMINATING"))},
		"oci:NetworkLoadBalancer/getNetworkLoadBalancers:getNetworkLoadBalancers": {"networkLoadBalancerCollections": list(map[string]any{"items": list(item("b", "DELETING"))})},
	}
	asked := map[string]int{}
	call := func(token string, args resource.PropertyMap) (map[string]any, error) {
		asked[token]++
		assert.Check(t, args["compartmentId"].StringValue() == "c")
		return answers[token], nil
	}
	var held []interrupted.Held
	for id, kind := range map[string]string{
		"v0": "oci:Core/volume:Volume", "v1": "oci:Core/volume:Volume", "v2": "oci:Core/volume:Volume", "v3": "oci:Core/volume:Volume",
		"p0": "oci:Core/instancePool:InstancePool", "b": "oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer",
		"job": "nomad:index/job:Job", "g": "oci:Core/networkSecurityGroup:NetworkSecurityGroup",
	} {
		held = append(held, interrupted.Held{Type: kind, ID: id, Inputs: map[string]any{"compartmentId": "c"}})
	}
	var fates map[string]interrupted.Fate
	_, err := recorder.Run(func(ctx *pulumi.Context) (err error) {
		fates, err = Fates(ctx, held)
		return err
	}, recorder.Options{Call: call})
	assert.NilError(t, err)
	assert.DeepEqual(t, fates, map[string]interrupted.Fate{"v1": interrupted.Gone, "v2": interrupted.Ending, "v3": interrupted.Gone, "p0": interrupted.Ending, "b": interrupted.Ending})
	for token := range answers {
		assert.Equal(t, asked[token], 1, "%s is asked once for all of its kind", token)
	}
	assert.Equal(t, len(asked), len(answers))
}
