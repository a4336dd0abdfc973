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
	// Getenv gives what the stack file need not: NOMAD_TOKEN, CONSUL_HTTP_TOKEN;
	// default os.Getenv.
	Getenv func(name string) string
	// Offline means that encrypted values are not at hand: a placeholder stands
	// for each ([ParseStackFile] and the command line put one), and nothing is
	// said about what it hides. The lab's secrets, which the lab makes, may be
	// absent.
	Offline bool
}

// Load reads the settings of a stack, fills in what is not given and checks
// all of it. The error is a [*fault.Error] with every fault; with one, the
// settings are good for no more than a look at what could be read.
func Load(environment string, from Source) (Settings, error) {
	if from.Getenv == nil {
		from.Getenv = os.Getenv
	}
	from, err := from.withLab()
	if err != nil {
		return Settings{}, err
	}
	s := defaults()
	s.Environment = environment
	s.Volumes.Protect = s.Production()
	var f fault.List
	var hidden []string // groups that are encrypted as a whole
	groups := fields(reflect.ValueOf(&s).Elem())
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
	c := checker{List: &f, offline: from.Offline, lab: s.Cloud == "lab"}
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
		made := s.Cloud == "lab" && group == "secrets" && strings.HasPrefix(x.Text, notSet)
		return made || slices.Contains(hidden, group) || strings.Contains(x.Text, placeholder)
	})
	if len(e.Faults) == 0 {
		return nil
	}
	return e
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
