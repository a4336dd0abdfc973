package settings

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/internal/structconfig"
)

// withFile adds the settings of the file that secretsFrom leads to, where the stack file does not set them itself: a JSON
// object of values by their path, "emqx-oci:secrets.erlangCookie". The stack file has to say so: who has the variable for one
// stack in this shell must not deploy its passwords in another.
func (from Source) withFile() (Source, error) {
	variable, _ := from.Get(Project + ":secretsFrom")
	if variable == "" || from.Offline || !formatOf("secretsFrom").Match(variable) {
		return from, nil // what is wrong with it is told where it is read
	}
	path := from.Getenv(variable)
	if path == "" {
		return from, nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // named by the user
	if err != nil {
		return from, fmt.Errorf("reading the secrets that %s names: %w", variable, err)
	}
	var given map[string]string
	if err := json.Unmarshal(text, &given); err != nil {
		return from, fmt.Errorf("reading the secrets that %s names: %s: %w", variable, path, err)
	}
	full := map[string]string{} // groups with what was added to them, as JSON
	for key, value := range given {
		group, path, _ := strings.Cut(key, ".")
		text, ok := full[group]
		if !ok {
			if text, ok = from.Get(group); !ok {
				text = "{}"
			}
		}
		var values map[string]any
		if json.Unmarshal([]byte(text), &values) != nil || path == "" || !addAt(values, strings.Split(path, "."), value) {
			continue // no object: what is wrong with it is told where it is read
		}
		body, err := json.Marshal(values)
		if err != nil {
			return from, fmt.Errorf("adding the secrets that %s names: %w", variable, err)
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

// addAt puts a value where there is none, and tells whether it did.
func addAt(values map[string]any, path []string, value string) bool {
	if len(path) > 1 {
		below, there := values[path[0]]
		group, ok := below.(map[string]any)
		if !there {
			group, ok = map[string]any{}, true
			values[path[0]] = group
		}
		return ok && addAt(group, path[1:], value)
	}
	if _, own := values[path[0]]; own {
		return false
	}
	values[path[0]] = value
	return true
}

// formatOf is the format of a setting that has one.
func formatOf(path string) *structconfig.Format {
	all := spec().Values()
	return all[slices.IndexFunc(all, func(f structconfig.Field) bool { return f.Path == path })].Format
}
