package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/fault"
)

// Project is the namespace of all configuration keys.
const Project = "emqx-oci"

// Load reads the settings of a stack, fills in what is not given and checks
// all of it. Get returns the text of a configuration key ("emqx-oci:nodes"),
// isSecret tells whether it is kept encrypted. The error is a [*fault.Error]
// with every fault.
func Load(environment string, get func(key string) (value string, ok bool), isSecret func(key string) bool) (Settings, error) {
	s := defaults()
	s.Environment = environment
	s.Volumes.Protect = s.Production()
	var f fault.List
	groups := fields(reflect.ValueOf(&s).Elem())
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		text, ok := get(Project + ":" + group)
		if !ok {
			continue
		}
		raw := json.RawMessage(text)
		// Pulumi hands a plain string over as it is, everything else as JSON.
		if groups[group].Kind() == reflect.String {
			raw, _ = json.Marshal(text)
		}
		decode(&f, group, raw, groups[group])
	}
	s.derive()
	s.validate(&f)
	s.requireEncrypted(&f, isSecret)
	return s, withKeys(f.Err())
}

// CheckKeys reports configuration keys of this project that no setting reads.
// A program cannot list its configuration, so the command line calls this.
func CheckKeys(keys []string) error {
	var f fault.List
	var s Settings
	known := fields(reflect.ValueOf(&s).Elem())
	for _, key := range keys {
		group, ours := strings.CutPrefix(key, Project+":")
		if !ours {
			continue
		}
		if _, ok := known[group]; !ok {
			f.Add(group, "is not a known setting%s", suggestion(group, slices.Sorted(maps.Keys(known))))
		}
	}
	return withKeys(f.Err())
}

// withKeys turns paths into what a person writes: "emqx-oci:nodes.count".
func withKeys(err error) error {
	var e *fault.Error
	if errors.As(err, &e) {
		for i := range e.Faults {
			e.Faults[i].Path = Project + ":" + e.Faults[i].Path
		}
	}
	return err
}

// howToSet is the command that sets a secret.
func howToSet(path string) string {
	return fmt.Sprintf("pulumi config set --secret --path '%s:%s'", Project, path)
}

// requireEncrypted refuses secrets that lie in the stack file in clear.
func (s *Settings) requireEncrypted(f *fault.List, isSecret func(key string) bool) {
	for _, g := range []struct {
		group, path string
		value       Secret
	}{
		{"secrets", "secrets.erlangCookie", s.Secrets.ErlangCookie},
		{"secrets", "secrets.dashboardPassword", s.Secrets.DashboardPassword},
		{"secrets", "secrets.apiKey", s.Secrets.APIKey},
		{"secrets", "secrets.apiSecret", s.Secrets.APISecret},
		{"secrets", "secrets.statsPassword", s.Secrets.StatsPassword},
		{"secrets", "secrets.license", s.Secrets.License},
		{"tls", "tls.privateKey", s.TLS.PrivateKey},
		{"nomad", "nomad.token", s.Nomad.Token},
		{"consul", "consul.token", s.Consul.Token},
	} {
		if g.value != "" && !isSecret(Project+":"+g.group) {
			f.Add(g.path, "must not be kept in clear; set it with: %s", howToSet(g.path))
		}
	}
}
