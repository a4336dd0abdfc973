package orchestrate

import (
	"encoding/json"
	"fmt"
	"testing"

	"gotest.tools/v3/assert"
)

// A first update with a wrong address leaves it in the state, where the refresh before
// the next one would ask it.
func TestACorrectedAddressReachesTheState(t *testing.T) {
	const state = `{"resources": [
		{"urn": "urn:pulumi:lab::p::pulumi:providers:nomad::nomad", "type": "pulumi:providers:nomad", "custom": true, "id": "1",
		 "inputs": {"address": "http://10.0.0.9:4646", "region": "global", "secretId": {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "x"}},
		 "outputs": {"address": "http://10.0.0.9:4646", "region": "global"}},
		{"urn": "urn:pulumi:lab::p::pulumi:providers:oci::oci", "type": "pulumi:providers:oci", "custom": true, "id": "2", "inputs": {"region": "x"}},
		{"urn": "urn:pulumi:lab::p::nomad:index/job:Job::nomad", "type": "nomad:index/job:Job", "custom": true, "id": "3", "inputs": {"address": "mine"}}
	]}`
	want := Providers{"nomad": {"address": {Value: "http://10.0.0.10:4646"}, "secretId": {Value: "not looked into", Secret: true}}}
	d, err := readDeployment([]byte(state))
	assert.NilError(t, err)
	var notes []string
	changed, err := d.renewProviders(want, nil, func(n string) { notes = append(notes, n) })
	assert.NilError(t, err)
	assert.Assert(t, changed)
	assert.DeepEqual(t, notes, []string{
		`the state has address of provider nomad as "http://10.0.0.9:4646": from now on it is "http://10.0.0.10:4646", as the configuration says`,
	})
	var now []struct {
		ID              string
		Inputs, Outputs map[string]any
	}
	assert.NilError(t, json.Unmarshal(d.raw["resources"], &now))
	assert.Equal(t, now[0].Inputs["address"], "http://10.0.0.10:4646")
	assert.Equal(t, now[0].Outputs["address"], "http://10.0.0.10:4646")
	assert.Equal(t, now[0].Inputs["region"], "global")
	assert.Equal(t, now[0].Inputs["secretId"].(map[string]any)["ciphertext"], "x")
	assert.Equal(t, now[2].Inputs["address"], "mine", "no provider")

	changed, err = d.renewProviders(want, nil, func(n string) { t.Error(n) })
	assert.NilError(t, err)
	assert.Assert(t, !changed, "nothing is left to do")
}

// A token that has ended stands in the state, which a refresh and a destroy would ask with.
func TestATokenThatChangedReachesTheState(t *testing.T) {
	state := func(token string) *deployment {
		d, err := readDeployment([]byte(fmt.Sprintf(`{"resources": [
			{"urn": "urn:pulumi:lab::p::pulumi:providers:nomad::nomad", "type": "pulumi:providers:nomad", "custom": true, "id": "1",
			 "inputs": {"secretId": {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", %s}, "caPem": "old\\n"},
			 "outputs": {"secretId": {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", %s}, "caPem": "old\\n"}}
		]}`, token, token)))
		assert.NilError(t, err)
		return d
	}
	encrypted, decrypted := `"ciphertext": "v1:abc"`, `"plaintext": "\"a token\""`
	d := state(encrypted)
	same := Providers{"nomad": {"secretId": {Value: "a token", Secret: true}}}
	changed, err := d.renewProviders(same, state(decrypted), func(n string) { t.Error(n) })
	assert.NilError(t, err)
	assert.Assert(t, !changed)

	var notes []string
	other := Providers{"nomad": {"secretId": {Value: `another "token"`, Secret: true}, "keyPem": {Value: "key\n", Secret: true}, "caPem": {Value: "new\n"}}}
	changed, err = d.renewProviders(other, state(decrypted), func(n string) { notes = append(notes, n) })
	assert.NilError(t, err)
	assert.Assert(t, changed)
	assert.DeepEqual(t, notes, []string{
		"the state has another caPem of provider nomad than the configuration: from now on it is the configuration's",
		"the state has another keyPem of provider nomad than the configuration: from now on it is the configuration's",
		"the state has another secretId of provider nomad than the configuration: from now on it is the configuration's",
	})
	for _, part := range []string{"inputs", "outputs"} {
		for name, want := range map[string]string{"secretId": `another "token"`, "keyPem": "key\n", "caPem": "new\n"} {
			got, readable := plainText(d.resources[0].values(part)[name])
			assert.Assert(t, readable)
			assert.Equal(t, got, want)
		}
	}
}
