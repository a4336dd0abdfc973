package settings

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// LabSecretsEnv names the file in which the lab keeps the secrets that it made:
// a JSON object of values by their path, "emqx-oci:secrets.erlangCookie". They
// belong to one lab and end with it, so they stand in no stack file. `emqx-oci
// lab env` prints the variable, so that plain `pulumi up -s lab` has them, too.
const LabSecretsEnv = "EMQX_OCI_LAB_SECRETS" //nolint:gosec // a name

// withLab adds the lab's secrets where the stack lives in the lab and does not
// set them itself. Other stacks never see them: somebody who looked at the lab
// in this shell must not deploy its passwords elsewhere.
func (from Source) withLab() (Source, error) {
	path := from.Getenv(LabSecretsEnv)
	cloud, _ := from.Get(Project + ":cloud")
	if path == "" || cloud != "lab" || from.Offline {
		return from, nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // named by the user
	if err != nil {
		return from, fmt.Errorf("reading the lab's secrets (%s): %w", LabSecretsEnv, err)
	}
	var made map[string]string
	if err := json.Unmarshal(text, &made); err != nil {
		return from, fmt.Errorf("reading the lab's secrets (%s): %s: %w", LabSecretsEnv, path, err)
	}
	full := map[string]string{} // groups with what was added to them, as JSON
	for key, value := range made {
		group, name, _ := strings.Cut(key, ".")
		text, ok := full[group]
		if !ok {
			if text, ok = from.Get(group); !ok {
				text = "{}"
			}
		}
		var values map[string]any
		if json.Unmarshal([]byte(text), &values) != nil || name == "" {
			continue // no object: what is wrong with it is told where it is read
		}
		if _, own := values[name]; own {
			continue
		}
		values[name] = value
		body, err := json.Marshal(values)
		if err != nil {
			return from, fmt.Errorf("adding the lab's secrets: %w", err)
		}
		full[group] = string(body)
	}
	get, isSecret := from.Get, from.IsSecret
	from.Get = func(key string) (string, bool) {
		if text, ok := full[key]; ok {
			return text, true
		}
		return get(key)
	}
	from.IsSecret = func(key string) bool { _, ok := full[key]; return ok || isSecret(key) }
	return from, nil
}
