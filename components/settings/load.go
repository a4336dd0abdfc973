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

	"github.com/agext/levenshtein"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/internal/structconfig"
)

// Project is the namespace of all configuration keys.
const Project = "emqx-oci"

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
	// Typed means that a secret is one by the type in which a program gives it: none can lie in clear.
	Typed bool

	// fileAway: there is a file of secrets that is not at hand.
	fileAway bool
}

// Load reads the settings of a stack, fills in what is not given and checks
// all of it. The error is a [*fault.Error] with every fault; with one, the
// settings are good for no more than a look at what could be read.
func Load(environment string, from Source) (Settings, error) {
	if from.Getenv == nil {
		from.Getenv = os.Getenv
	}
	from, known, err := from.withFile()
	if err != nil {
		return Settings{}, err
	}
	from.fileAway = !known
	if from.Offline && !known {
		return loadInDoubt(environment, from)
	}
	return loadFrom(environment, from)
}

func loadFrom(environment string, from Source) (Settings, error) {
	s := defaults()
	s.Environment = environment
	s.Volumes.Protect = s.Production()
	var f, foreign fault.List
	if from.Keys == nil {
		from.Keys = programKeys(from.Getenv)
	}
	unknownKeys(&f, &foreign, from.Keys)
	given, hidden := from.groups()
	spec().Decode(&f, given, &s)
	spec().Validate(&f, &s, structconfig.Validation{Offline: from.Offline, HowToSet: s.howToGet})
	s.hideEnvironment(from.Offline, from.IsSecret(Project+":broker"))
	s.derive()
	c := checker{List: &f}
	s.validate(c)
	if !from.Typed {
		c.checkEncrypted(&s, from)
	}
	s.validateKeys(c)
	s.normalizePEM()
	if s.Nomad.Token == "" {
		s.Nomad.Token = Secret(from.Getenv("NOMAD_TOKEN"))
	}
	if s.Consul.Token == "" {
		s.Consul.Token = Secret(from.Getenv("CONSUL_HTTP_TOKEN"))
	}
	err := f.Err()
	if from.Offline {
		err = s.known(err, hidden, from.fileAway)
	}
	return s, together(structconfig.WithPrefix(err, Project+":"), foreign.Err())
}

// groups are the values of the keys that settings read, as JSON. hidden are those that
// are encrypted as a whole and not at hand.
func (from Source) groups() (given map[string]json.RawMessage, hidden []string) {
	given = map[string]json.RawMessage{}
	for _, f := range spec().Fields() {
		text, ok := from.Get(Project + ":" + f.Key)
		switch {
		case !ok:
		case from.Offline && text == placeholder:
			hidden = append(hidden, f.Key)
		case strings.TrimSpace(text) == "": // what Pulumi makes of a key without a value
			given[f.Key] = json.RawMessage("null")
		case f.Type.Kind() == reflect.String && text != "null": // which Pulumi hands over as it is
			given[f.Key], _ = json.Marshal(text)
		default:
			given[f.Key] = json.RawMessage(text)
		}
	}
	return given, hidden
}

// known leaves out the faults that are none as far as one can tell without the
// encrypted values.
func (s *Settings) known(err error, hidden []string, fileAway bool) error {
	var e *fault.Error
	if !errors.As(err, &e) {
		return err
	}
	e.Faults = slices.DeleteFunc(e.Faults, func(x fault.Fault) bool {
		group, _, _ := strings.Cut(x.Path, ".")
		elsewhere := fileAway && group == "secrets" && structconfig.Absent(x)
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
// and as foreign those of one whose name is nearly this one's.
func unknownKeys(f, foreign *fault.List, keys []string) {
	var known []string
	for _, group := range spec().Fields() {
		known = append(known, group.Key)
	}
	for _, key := range keys {
		namespace, group, ok := strings.Cut(key, ":")
		switch {
		case !ok || namespace != Project:
			if ok && levenshtein.Distance(namespace, Project, nil) <= 2 {
				foreign.Add(key, "is not a known setting; did you mean %q?", Project+":"+group)
			}
		case slices.Contains(known, group):
		default:
			// "pulumi config set" takes the dots of a path for a part of the key.
			if first, _, dotted := strings.Cut(group, "."); dotted && slices.Contains(known, first) {
				f.Add(group, "is one key with a dot in its name, which no setting reads: set it with pulumi config set --path, or write it inside %s:%s", Project, first)
				continue
			}
			f.Add(group, "is not a known setting%s", structconfig.DidYouMean(group, known))
		}
	}
}

// together are the faults of several errors in one, nil for none.
func together(errs ...error) error {
	var all fault.Error
	for _, err := range errs {
		var e *fault.Error
		if errors.As(err, &e) {
			all.Faults = append(all.Faults, e.Faults...)
		}
	}
	if len(all.Faults) == 0 {
		return nil
	}
	return &all
}

// Absent tells whether a fault is that a setting is not there.
func Absent(f fault.Fault) bool { return structconfig.Absent(f) }

// howToGet tells where a secret that is missing comes from.
func (s *Settings) howToGet(path string) string {
	if s.SecretsFrom != "" {
		text := "it comes from the file that " + s.SecretsFrom + " names"
		if s.Cloud != defaults().Cloud { // whose program made it
			text += fmt.Sprintf(`: eval "$(emqx-oci %s env)"`, s.Cloud)
		}
		return text
	}
	return "set it with: " + howToSet(path)
}

// howToSet is the command that sets a secret.
func howToSet(path string) string {
	return fmt.Sprintf("pulumi config set --secret --path '%s:%s'", Project, path)
}
