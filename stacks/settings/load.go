package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/fault"
)

// Project is the namespace of all configuration keys.
const Project = "emqx-oci"

// MaxNodes is what the proxies have slots for.
const MaxNodes = 100

// Source is where the settings of a stack come from.
type Source struct {
	// Get returns the text of a configuration key, "emqx-oci:nodes": a plain
	// string as it is, everything else as JSON.
	Get func(key string) (value string, ok bool)
	// IsSecret tells whether a key, or a part of it, is kept encrypted.
	IsSecret func(key string) bool
	// Keys are all keys of the configuration: one that no setting reads is a fault.
	// Default what Pulumi tells a program of its own in the environment; it is nil in a
	// program that runs in the command line's process, which has looked before.
	Keys []string
	// Getenv gives what the stack file need not: NOMAD_TOKEN, CONSUL_HTTP_TOKEN;
	// default os.Getenv.
	Getenv func(name string) string
	// Offline means that encrypted values are not at hand: a placeholder stands
	// for each ([ParseStackFile] and the command line put one), and nothing is
	// said about what it hides. Secrets that come from elsewhere may be absent.
	Offline bool
}

// Load reads the settings of a stack, fills in what is not given and checks
// all of it. The error is a [*fault.Error] with every fault; with one, the
// settings are good for no more than a look at what could be read.
func Load(environment string, from Source) (Settings, error) {
	if from.Getenv == nil {
		from.Getenv = os.Getenv
	}
	from, err := from.withFile()
	if err != nil {
		return Settings{}, err
	}
	s := defaults()
	s.Environment = environment
	s.Volumes.Protect = s.Production()
	var f fault.List
	var hidden []string // groups that are encrypted as a whole
	groups := fields(reflect.ValueOf(&s).Elem())
	if from.Keys == nil {
		from.Keys = programKeys(from.Getenv)
	}
	unknownKeys(&f, from.Keys, groups)
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		text, ok := from.Get(Project + ":" + group)
		if !ok {
			continue
		}
		if from.Offline && text == placeholder {
			hidden = append(hidden, group)
			continue
		}
		if strings.TrimSpace(text) == "" { // what Pulumi makes of a key without a value
			text = "null"
		}
		raw := json.RawMessage(text)
		// Pulumi hands a plain string over as it is, everything else as JSON.
		if groups[group].Kind() == reflect.String && text != "null" {
			raw, _ = json.Marshal(text)
		}
		decode(&f, group, raw, groups[group])
	}
	c := checker{List: &f, offline: from.Offline, secretsFrom: s.SecretsFrom, cloud: s.Cloud}
	c.checkFields(&s)
	s.hideEnvironment(from.Offline, from.IsSecret(Project+":broker"))
	s.derive()
	s.validate(c)
	c.checkEncrypted(&s, from.IsSecret)
	if s.Nomad.Token == "" {
		s.Nomad.Token = Secret(from.Getenv("NOMAD_TOKEN"))
	}
	if s.Consul.Token == "" {
		s.Consul.Token = Secret(from.Getenv("CONSUL_HTTP_TOKEN"))
	}
	err = f.Err()
	if from.Offline {
		err = s.known(err, hidden)
	}
	return s, withKeys(err)
}

// known leaves out the faults that are none as far as one can tell without the
// encrypted values.
func (s *Settings) known(err error, hidden []string) error {
	var e *fault.Error
	if !errors.As(err, &e) {
		return err
	}
	e.Faults = slices.DeleteFunc(e.Faults, func(x fault.Fault) bool {
		group, _, _ := strings.Cut(x.Path, ".")
		elsewhere := s.SecretsFrom != "" && group == "secrets" && strings.HasPrefix(x.Text, notSet)
		return elsewhere || slices.Contains(hidden, group) || strings.Contains(x.Text, placeholder)
	})
	if len(e.Faults) == 0 {
		return nil
	}
	return e
}

// programKeys are the keys of a program that Pulumi's language host has started: it
// puts the whole configuration into the environment, environments of Pulumi ESC
// included.
func programKeys(getenv func(string) string) []string {
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(getenv(pulumi.EnvConfig)), &all) != nil {
		return nil
	}
	return slices.Collect(maps.Keys(all))
}

// unknownKeys reports configuration keys that no setting reads: those of this project,
// and those of one whose name is nearly this one's.
func unknownKeys(f *fault.List, keys []string, groups map[string]reflect.Value) {
	known := slices.Sorted(maps.Keys(groups))
	for _, key := range keys {
		namespace, group, _ := strings.Cut(key, ":")
		switch _, ok := groups[group]; {
		case namespace != Project:
			if nearly(key) {
				f.Add(key, "is not a known setting; did you mean %q?", Project+":"+group)
			}
		case ok:
		default:
			// "pulumi config set" takes the dots of a path for a part of the key.
			if first, _, dotted := strings.Cut(group, "."); dotted && slices.Contains(known, first) {
				f.Add(group, "is one key with a dot in its name, which no setting reads: set it with pulumi config set --path, or write it inside %s:%s", Project, first)
				continue
			}
			f.Add(group, "is not a known setting%s", suggestion(group, known))
		}
	}
}

// nearly tells whether a key is of a namespace whose name is nearly this project's.
func nearly(key string) bool {
	namespace, _, ok := strings.Cut(key, ":")
	return ok && namespace != Project && editDistance(namespace, Project) <= 2
}

// Absent tells whether a fault is that a setting is not there.
func Absent(f fault.Fault) bool {
	for _, text := range []string{"must be set, to ", "must hold at least one: ", notSet} {
		if strings.HasPrefix(f.Text, text) {
			return true
		}
	}
	return false
}

// withKeys turns paths into what a person writes: "emqx-oci:nodes.count".
func withKeys(err error) error {
	var e *fault.Error
	if errors.As(err, &e) {
		for i := range e.Faults {
			if path := &e.Faults[i].Path; !nearly(*path) {
				*path = Project + ":" + *path
			}
		}
	}
	return err
}

// howToSet is the command that sets a secret.
func howToSet(path string) string {
	return fmt.Sprintf("pulumi config set --secret --path '%s:%s'", Project, path)
}
