package kinds

import (
	"maps"
	"slices"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// What a stack file may ask for is in the table, and the other way round. The lab is no kind of its own: it is a cloud
// that is like the default's, with a program of its own.
func TestTheTableHasWhatSettingsOffer(t *testing.T) {
	offered := map[string][]string{}
	for _, f := range settings.Spec().Values() {
		offered[f.Path] = f.OneOf
	}
	assert.DeepEqual(t, slices.Sorted(maps.Keys(hosts)), slices.DeleteFunc(slices.Clone(offered["cloud"]), func(v string) bool { return v == "lab" }))
	assert.DeepEqual(t, slices.Sorted(maps.Keys(edges)), slices.Sorted(slices.Values(offered["edge.kind"])))
	assert.Equal(t, len(proxies), 1, "there is a choice now: by which setting?")
	assert.Equal(t, len(names), 1, "there is a choice now: by which setting?")
}

func TestOfAValueThatIsNotInTheTable(t *testing.T) {
	assert.Equal(t, Of(settings.Settings{Cloud: "lab"}), Of(settings.Settings{Cloud: "oci", Edge: settings.Edge{Kind: "network"}}))
	assert.Equal(t, Of(settings.Settings{}).ProviderOf("oci:Core/volume:Volume").Package, "oci")
	assert.Assert(t, Of(settings.Settings{}).ProviderOf("nomad:index/job:Job") == nil)
}

func TestPhaseAndDataVolume(t *testing.T) {
	for typ, want := range map[string]string{
		"oci:Core/volume:Volume": "volumes", "oci:Core/privateIp:PrivateIp": "addresses", "oci:NetworkLoadBalancer/listener:Listener": "load balancer",
		"oci:LoadBalancer/certificate:Certificate": "load balancer",
		"oci:Dns/rrset:Rrset":                      "dns", "nomad:index/job:Job": "",
	} {
		assert.Equal(t, Phase(typ), want, typ)
	}
	v, cloud, ok := DataVolume("oci:Core/volume:Volume", map[string]any{"displayName": "emqx-lab-1", "sizeInGbs": "150", "availabilityDomain": "AD-1"})
	assert.Assert(t, ok)
	assert.Equal(t, v.Name+" "+v.Zone+" "+cloud, "emqx-lab-1 AD-1 OCI")
	assert.Equal(t, v.SizeGB, 150)
	_, _, ok = DataVolume("oci:Core/volumeBackupPolicyAssignment:VolumeBackupPolicyAssignment", nil)
	assert.Assert(t, !ok, "a policy holds no data")
}
