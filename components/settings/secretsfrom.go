package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/internal/structconfig"
)

// withFile adds the settings of the file that secretsFrom leads to, where the stack file does not set them itself: a JSON
// object of values by their path, "emqx-oci:secrets.erlangCookie". The stack file has to say so: who has the variable for one
// stack in this shell must not deploy its passwords in another. Offline a placeholder stands for each value. known is false
// where there is such a file, and it is not at hand.
func (from Source) withFile() (_ Source, known bool, err error) {
	variable, _ := from.Get(Project + ":secretsFrom")
	if variable == "" || !formatOf("secretsFrom").Match(variable) {
		return from, true, nil // what is wrong with it is told where it is read
	}
	path := from.Getenv(variable)
	if path == "" {
		return from, false, nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // named by the user
	if err != nil {
		return from, false, fmt.Errorf("reading the secrets that %s names: %w", variable, err)
	}
	var given map[string]string
	if err := json.Unmarshal(text, &given); err != nil {
		return from, false, fmt.Errorf("reading the secrets that %s names: %s: %w", variable, path, err)
	}
	if from.Offline {
		for key := range given {
			given[key] = placeholder
		}
	}
	from, err = from.adding(given)
	if err != nil {
		err = fmt.Errorf("adding the secrets that %s names: %w", variable, err)
	}
	return from, true, err
}

// adding adds values by their path where they are not set.
func (from Source) adding(given map[string]string) (Source, error) {
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
			return from, err
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

// loadInDoubt reads settings some of which are in a file that is not at hand, twice: as if it had none of what decides about
// others, and as if it had all. What is wrong in both is wrong; the rest are doubts ([Settings.Doubts]).
func loadInDoubt(environment string, from Source) (Settings, error) {
	without, withoutErr := loadFrom(environment, from)
	full, err := from.adding(without.assumed())
	if err != nil {
		return without, err
	}
	with, withErr := loadFrom(environment, full)
	s, has, other := without, faultsOf(withoutErr), faultsOf(withErr)
	if len(has) > 0 {
		s, has, other = with, other, has
	}
	at := func(faults []fault.Fault, path string) bool {
		return slices.ContainsFunc(faults, func(f fault.Fault) bool { return f.Path == path })
	}
	var sure fault.Error
	for _, f := range has {
		if at(other, f.Path) {
			sure.Faults = append(sure.Faults, f)
		} else {
			s.Doubts = append(s.Doubts, f)
		}
	}
	for _, f := range other {
		if !at(has, f.Path) {
			s.Doubts = append(s.Doubts, f)
		}
	}
	if len(sure.Faults) == 0 {
		return s, nil
	}
	return s, &sure
}

// assumed are the settings that others need and that the file may have, by their paths.
func (s *Settings) assumed() map[string]string {
	given := map[string]string{}
	if !s.TLS.Outside() {
		given[Project+":tls.certificate"], given[Project+":tls.privateKey"] = placeholder, placeholder
	}
	if t := s.TLS; t.Clients != ClientsNone && t.ClientCA == "" && t.DeviceCA == "" {
		given[Project+":tls.clientCa"] = placeholder
	}
	if s.TLS.DeviceCA != "" {
		given[Project+":secrets.deviceCaKey"] = placeholder
	}
	return given
}

// faultsOf are those of an error of [Load]; one that is none of an input is one, too.
func faultsOf(err error) []fault.Fault {
	var e *fault.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e.Faults
	}
	return []fault.Fault{{Path: "(settings)", Text: err.Error()}}
}

// formatOf is the format of a setting that has one.
func formatOf(path string) *structconfig.Format {
	all := spec().Values()
	return all[slices.IndexFunc(all, func(f structconfig.Field) bool { return f.Path == path })].Format
}
