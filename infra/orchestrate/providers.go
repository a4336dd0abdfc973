package orchestrate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/urn"
)

// ProviderInput is what a provider is told, and whether the state has it encrypted.
type ProviderInput struct {
	Value  string
	Secret bool
}

// Providers are inputs of the program's explicit providers, by the provider's name: where
// its server is, and who asks it.
type Providers map[string]map[string]ProviderInput

func (p Providers) secret() bool {
	for _, inputs := range p {
		for _, in := range inputs {
			if in.Secret {
				return true
			}
		}
	}
	return false
}

const providerType = "pulumi:providers:"

// renewProviders puts the configuration's inputs into the providers that the state holds. A
// refresh and a destroy ask the providers of the state, whatever the configuration says by
// now: one with an address that is wrong, or with a token that has ended, would fail them
// for ever, and with them the update that has to refresh first because it failed before.
//
// Secrets are compared with those of the same deployment decrypted, and left alone
// without one. What is put in is in clear: the engine encrypts it when it takes the state in.
func (d *deployment) renewProviders(want Providers, decrypted *deployment, note func(string)) (changed bool, err error) {
	for i, r := range d.resources {
		kind, ok := strings.CutPrefix(r.text("type"), providerType)
		inputs := want[urn.URN(r.text("urn")).Name()]
		if !ok || len(inputs) == 0 {
			continue
		}
		for _, part := range []string{"inputs", "outputs"} {
			has := r.values(part)
			known := has
			if decrypted != nil {
				known = decrypted.resources[i].values(part)
			}
			renewed := false
			for _, name := range slices.Sorted(maps.Keys(inputs)) {
				to := inputs[name]
				was, readable := plainText(known[name])
				if !readable || was == to.Value || to.Secret && decrypted == nil {
					continue
				}
				if part == "inputs" {
					note(renewal(kind, name, was, to))
				}
				if err := put(has, name, to.state()); err != nil {
					return changed, err
				}
				renewed = true
			}
			if !renewed {
				continue
			}
			changed = true
			if err := put(r, part, has); err != nil {
				return changed, err
			}
		}
	}
	if !changed {
		return false, nil
	}
	return true, put(d.raw, "resources", d.resources)
}

func renewal(kind, name, was string, to ProviderInput) string {
	if to.Secret || strings.Contains(was+to.Value, "\n") {
		return fmt.Sprintf("the state has another %s of provider %s than the configuration: from now on it is the configuration's", name, kind)
	}
	return fmt.Sprintf("the state has %s of provider %s as %q: from now on it is %q, as the configuration says", name, kind, was, to.Value)
}

// secretValue is a secret in an exported state: decrypted, or not.
type secretValue struct {
	Sig string `json:"4dabf18193072939515e22adb298388d"`
	// Plaintext is the value in JSON.
	Plaintext string `json:"plaintext,omitempty"`
}

// state is the input as a state has it.
func (in ProviderInput) state() any {
	if !in.Secret {
		return in.Value
	}
	quoted, _ := json.Marshal(in.Value) // a string has no faults
	return secretValue{Sig: resource.SecretSig, Plaintext: string(quoted)}
}

// plainText reads a text of a state; "" is one that is absent. It does not see into a
// secret that is encrypted.
func plainText(raw json.RawMessage) (text string, readable bool) {
	var secret secretValue
	switch {
	case raw == nil:
		return "", true
	case json.Unmarshal(raw, &text) == nil:
		return text, true
	case json.Unmarshal(raw, &secret) == nil && secret.Sig == resource.SecretSig && secret.Plaintext != "":
		return text, json.Unmarshal([]byte(secret.Plaintext), &text) == nil
	}
	return "", false
}

// values are a resource's inputs or outputs; it need not have any.
func (r rawResource) values(part string) map[string]json.RawMessage {
	var has map[string]json.RawMessage
	if json.Unmarshal(r[part], &has) != nil || has == nil {
		return map[string]json.RawMessage{}
	}
	return has
}
