package orchestrate

import (
	"testing"

	"gotest.tools/v3/assert"
)

func TestResourcesOfAState(t *testing.T) {
	all, err := resources([]byte(`{"version":3,"deployment":{"resources":[
		{"urn":"urn:pulumi:lab::emqx-oci::pulumi:pulumi:Stack::emqx-oci-lab","type":"pulumi:pulumi:Stack"},
		{"urn":"urn:pulumi:lab::emqx-oci::pulumi:providers:oci::oci","type":"pulumi:providers:oci","custom":true,"id":"p"},
		{"urn":"urn:pulumi:lab::emqx-oci::emqx:oci:Volumes::volumes","type":"emqx:oci:Volumes"},
		{"urn":"urn:pulumi:lab::emqx-oci::emqx:oci:Volumes$oci:Core/volume:Volume::volumes-0","type":"oci:Core/volume:Volume","custom":true,
		 "id":"ocid1.volume.oc1..a","retainOnDelete":true,"inputs":{"sizeInGbs":"50"}},
		{"urn":"urn:pulumi:lab::emqx-oci::emqx:oci:Volumes$oci:Core/volume:Volume::volumes-1","type":"oci:Core/volume:Volume","custom":true,
		 "id":"ocid1.volume.oc1..b","protect":true}
	]}}`))
	assert.NilError(t, err)
	assert.DeepEqual(t, all, []Resource{
		{Type: "oci:Core/volume:Volume", Name: "volumes-0", ID: "ocid1.volume.oc1..a", Retained: true, Inputs: map[string]any{"sizeInGbs": "50"}},
		{Type: "oci:Core/volume:Volume", Name: "volumes-1", ID: "ocid1.volume.oc1..b", Protected: true},
	})
	all, err = resources([]byte(`{"version":3,"deployment":null}`))
	assert.NilError(t, err)
	assert.Equal(t, len(all), 0)
	_, err = resources([]byte(`lost`))
	assert.Assert(t, err != nil)
}
