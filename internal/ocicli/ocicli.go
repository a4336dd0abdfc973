package ocicli

import (
	_ "embed" // the facts
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

//go:embed commands.json
var facts []byte

var recorded = mustDecode()

// Version of oci-cli that the facts are of: "3.89.3".
func Version() string { return recorded.Version }

// Exit codes of oci-cli for what it refuses without asking the service. What the
// service refuses has ExitRefused, too.
const (
	// ExitRefused is that of a missing option, of a delete that nobody confirmed, and
	// of arguments that the command's own code looks at (cli_util.wrap_exceptions).
	ExitRefused = 1
	// ExitUsage is click's: unknown commands and options, values that are no choice.
	ExitUsage = 2
)

// Refusal is what the command says of its arguments before it asks the service.
type Refusal struct {
	// Stdout and Stderr are what it prints. Click's complaints go to standard output,
	// for oci-cli prints them itself: a script that keeps the output of a command that
	// failed for itself hides them.
	Stdout, Stderr string
	// Exit is [ExitRefused] or [ExitUsage].
	Exit int
}

func (r *Refusal) Error() string { return strings.TrimSpace(r.Stdout + r.Stderr) }

// Call is a command line that oci-cli takes.
type Call struct {
	// Command is its name without options: "compute instance get".
	Command string
	// Options are the values given, by name without dashes and in the order given;
	// "true" for a flag. Choices have the case of the recorded ones.
	Options map[string][]string
}

// Option is the value that counts, the last one given; empty when there is none.
func (c *Call) Option(name string) string {
	if values := c.Options[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

// Parse reads the arguments of `oci` as oci-cli does. The error is a [*Refusal].
func Parse(args []string) (*Call, error) {
	p := parser{path: "oci", call: Call{Options: map[string][]string{}}}
	if err := p.read(args); err != nil {
		return nil, err
	}
	if p.command == nil {
		return nil, p.usage("Missing command.")
	}
	if err := p.complete(); err != nil {
		return nil, err
	}
	return &p.call, nil
}

// Commands are the names of all commands that are recorded.
func Commands() []string {
	names := make([]string, 0, len(recorded.Commands))
	for name := range recorded.Commands {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

type table struct {
	Version  string             `json:"version"`
	Global   map[string]option  `json:"global"`
	Commands map[string]command `json:"commands"`
}

type command struct {
	Required   []string          `json:"required"`
	Either     []string          `json:"either"`     // one of them has to be given
	Exclusive  bool              `json:"exclusive"`  // not more than one of Either
	Repeatable []string          `json:"repeatable"` // others count once, the last one
	Confirms   bool              `json:"confirms"`   // asks before it acts, unless --force
	Options    map[string]option `json:"options"`
}

// option is a kind, "text", "flag", "integer", "boolean", "json" or "file", or the
// choices there are, which are taken in any case.
type option struct {
	kind    string
	choices []string
}

func (o *option) UnmarshalJSON(raw []byte) error {
	if raw[0] == '[' {
		return json.Unmarshal(raw, &o.choices)
	}
	return json.Unmarshal(raw, &o.kind)
}

func mustDecode() table {
	var t table
	if err := json.Unmarshal(facts, &t); err != nil {
		panic(fmt.Sprintf("reading commands.json: %v", err))
	}
	return t
}

type parser struct {
	path    string
	command *command
	call    Call
}

func (p *parser) usage(format string, a ...any) error {
	return &Refusal{Stdout: fmt.Sprintf("Usage: %s [OPTIONS]\n\nError: %s\n\n", p.path, fmt.Sprintf(format, a...)), Exit: ExitUsage}
}

func (p *parser) read(args []string) error {
	for at := 0; at < len(args); at++ {
		name, isLong := strings.CutPrefix(args[at], "--")
		if !isLong {
			if strings.HasPrefix(args[at], "-") {
				return p.usage("No such option: %s", args[at])
			}
			if err := p.word(args[at]); err != nil {
				return err
			}
			continue
		}
		name, value, hasValue := strings.Cut(name, "=")
		o, known := p.option(name)
		switch {
		case !known:
			return p.usage("No such option: --%s", name)
		case o.kind == "flag" && hasValue:
			return p.usage("--%s option does not take a value", name)
		case o.kind == "flag":
			value = "true"
		case !hasValue:
			if at++; at >= len(args) {
				return p.usage("Option '--%s' requires an argument.", name)
			}
			value = args[at]
		}
		value, err := p.value(name, o, value)
		if err != nil {
			return err
		}
		p.call.Options[name] = append(p.call.Options[name], value)
	}
	return nil
}

// word is a part of the command's name.
func (p *parser) word(word string) error {
	if p.command != nil {
		return p.usage("Got unexpected extra argument (%s)", word)
	}
	name := strings.TrimSpace(p.call.Command + " " + word)
	if c, ok := recorded.Commands[name]; ok {
		p.command = &c
	} else if !isGroup(name) {
		return p.usage("No such command '%s'.", word)
	}
	p.call.Command = name
	p.path += " " + word
	return nil
}

func isGroup(name string) bool {
	for c := range recorded.Commands {
		if strings.HasPrefix(c, name+" ") {
			return true
		}
	}
	return false
}

// option finds one of the command or, at any place of the line, one of all commands.
func (p *parser) option(name string) (option, bool) {
	if p.command != nil {
		if o, ok := p.command.Options[name]; ok {
			return o, true
		}
	}
	o, ok := recorded.Global[name]
	return o, ok
}

func (p *parser) value(name string, o option, value string) (string, error) {
	if o.choices != nil {
		at := slices.IndexFunc(o.choices, func(c string) bool { return strings.EqualFold(c, value) })
		if at < 0 {
			return "", p.usage("Invalid value for '--%s': invalid choice: %s. (choose from %s)", name, value, strings.Join(o.choices, ", "))
		}
		return o.choices[at], nil
	}
	switch o.kind {
	case "integer":
		if _, err := strconv.Atoi(value); err != nil {
			return "", p.usage("Invalid value for '--%s': '%s' is not a valid integer.", name, value)
		}
	case "boolean":
		if !slices.Contains([]string{"true", "t", "1", "yes", "y", "on", "false", "f", "0", "no", "n", "off"}, strings.ToLower(value)) {
			return "", p.usage("Invalid value for '--%s': '%s' is not a valid boolean.", name, value)
		}
	}
	return value, nil
}

// complete looks at the options together, as the command does once click has read them.
func (p *parser) complete() error {
	var missing, given []string
	for _, name := range p.command.Required {
		if _, ok := p.call.Options[name]; !ok {
			missing = append(missing, "--"+name)
		}
	}
	if len(missing) > 0 {
		return refused("Usage: %s [OPTIONS]\n\nError: Missing option(s) %s.", p.path, strings.Join(missing, ", "))
	}
	if p.command.Confirms && p.call.Option("force") == "" {
		return &Refusal{Stdout: "Are you sure you want to delete this resource? [y/N]: ", Stderr: "Aborted!\n", Exit: ExitRefused}
	}
	for _, name := range p.command.Required {
		if strings.TrimSpace(p.call.Option(name)) == "" {
			return refused("UsageError: Parameter --%s cannot be whitespace or empty string", name)
		}
	}
	for _, name := range p.command.Either {
		if strings.TrimSpace(p.call.Option(name)) != "" {
			given = append(given, name)
		}
	}
	switch names := "--" + strings.Join(p.command.Either, " or --"); {
	case len(p.command.Either) > 0 && len(given) == 0:
		return refused("UsageError: Either %s has to be provided", names)
	case p.command.Exclusive && len(given) > 1:
		return refused("UsageError: Only one of %s can be provided", names)
	}
	for name, values := range p.call.Options {
		if !slices.Contains(p.command.Repeatable, name) {
			p.call.Options[name] = values[len(values)-1:]
		}
	}
	return nil
}

func refused(format string, a ...any) error {
	return &Refusal{Stderr: fmt.Sprintf(format, a...) + "\n", Exit: ExitRefused}
}
