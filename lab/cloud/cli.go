package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// command is one of the `oci` commands that the lab has.
type command struct {
	name string
	// options by name without dashes; a flag takes no value.
	options  []string
	flags    []string
	required []string
	confirm  bool // asks before it acts, unless --force
	service  string
	run      func(ctx context.Context, c *Cloud, opt map[string]string) (*answer, error)
}

// answer is what a command prints: data on stdout, notes on stderr.
type answer struct {
	data any
	etag bool
	note string
}

// globals are options of every command; those with a value.
var globals = []string{
	"auth", "region", "output", "profile", "config-file", "cli-rc-file", "connection-timeout", "read-timeout", "max-retries", "endpoint",
}

var globalFlags = []string{"no-retry", "debug", "cli-auto-prompt"}

// unsimulated are real options that would change the output; to ignore them
// would mislead.
var unsimulated = []string{"query", "raw-output", "from-json", "generate-full-command-json-input", "generate-param-json-input"}

// usageError is what the real command line says of its own arguments; exit 2.
type usageError struct{ path, message string }

func (e *usageError) Error() string {
	return fmt.Sprintf("Usage: %s [OPTIONS]\n\nError: %s\n", e.path, e.message)
}

// clientError is what the real command line says without asking the service; exit 1.
type clientError string

func (e clientError) Error() string { return string(e) }

// CLI is the `oci` command as the instance caller runs it, with the real one's
// arguments, output and exit codes: 0; 1 for a refusal of the service; 2 for
// wrong usage.
func (c *Cloud) CLI(ctx context.Context, caller string, args []string) (stdout, stderr []byte, exit int) {
	cmd, opt, err := parse(args)
	var usage *usageError
	if errors.As(err, &usage) {
		return nil, []byte(usage.Error()), 2
	}
	if opt["auth"] != "instance_principal" {
		if opt["auth"] != "" && opt["auth"] != "api_key" {
			return nil, fmt.Appendf(nil, "ERROR: the lab's instances have only --auth instance_principal, not %s\n", opt["auth"]), 1
		}
		return nil, []byte("ERROR: Could not find config file at /root/.oci/config, please follow the instructions in the link to setup " +
			"the config file https://docs.cloud.oracle.com/en-us/iaas/Content/API/Concepts/sdkconfig.htm\n"), 1
	}
	if r := opt["region"]; r != "" && r != Region {
		return nil, fmt.Appendf(nil, "ERROR: the lab has only region %s, not %s\n", Region, r), 1
	}
	if _, ok := c.settled(ctx, caller); !ok {
		return nil, []byte("ERROR: Failed to retrieve certificates from the instance metadata service: this is no running instance\n"), 1
	}
	if cmd.confirm && opt["force"] == "" {
		return []byte("Are you sure you want to delete this resource? [y/N]: "), []byte("Aborted!\n"), 1
	}
	var a *answer
	if err = c.call(ctx, "oci "+cmd.name); err == nil {
		a, err = cmd.run(ctx, c, opt)
	}
	var text clientError
	if errors.As(err, &text) {
		return nil, []byte(text), 1
	}
	var late *TimeoutError
	if errors.As(err, &late) {
		return nil, fmt.Appendf(nil, "RequestException:\n{\n    \"message\": \"The connection to endpoint timed out. (%s)\"\n}\n", late.Call), 1
	}
	if err != nil {
		return nil, serviceError(c, cmd, err), 1
	}
	return a.stdout(), []byte(a.note), 0
}

// parse finds the command and its options, and complains in click's words.
func parse(args []string) (*command, map[string]string, error) {
	opt := map[string]string{}
	var words []string
	var cmd *command
	path := "oci"
	for at := 0; at < len(args); at++ {
		arg := args[at]
		if !strings.HasPrefix(arg, "-") {
			if cmd != nil {
				return nil, nil, &usageError{path, "Got unexpected extra argument (" + arg + ")"}
			}
			words = append(words, arg)
			name := strings.Join(words, " ")
			if found, ok := commands[name]; ok {
				found.name = name
				cmd = &found
			} else if !isGroup(name) {
				return nil, nil, &usageError{path, "No such command '" + arg + "'."}
			}
			path += " " + arg
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if !strings.HasPrefix(arg, "--") {
			return nil, nil, &usageError{path, "No such option: " + arg}
		}
		if slices.Contains(unsimulated, name) {
			return nil, nil, &usageError{path, "the lab's oci command does not simulate --" + name}
		}
		isFlag := slices.Contains(globalFlags, name) || cmd != nil && slices.Contains(cmd.flags, name)
		switch {
		case isFlag && hasValue:
			return nil, nil, &usageError{path, "--" + name + " option does not take a value"}
		case isFlag:
			opt[name] = "true"
			continue
		case !slices.Contains(globals, name) && (cmd == nil || !slices.Contains(cmd.options, name)):
			return nil, nil, &usageError{path, "No such option: --" + name}
		}
		if !hasValue {
			if at++; at >= len(args) {
				return nil, nil, &usageError{path, "Option '--" + name + "' requires an argument."}
			}
			value = args[at]
		}
		opt[name] = value
	}
	if cmd == nil {
		return nil, nil, &usageError{path, "Missing command."}
	}
	var missing []string
	for _, r := range cmd.required {
		if _, ok := opt[r]; !ok {
			missing = append(missing, "--"+r)
		} else if strings.TrimSpace(opt[r]) == "" {
			return nil, nil, &usageError{path, "Parameter --" + r + " cannot be whitespace or empty string"}
		}
	}
	if len(missing) > 0 {
		return nil, nil, &usageError{path, "Missing option(s) " + strings.Join(missing, ", ") + "."}
	}
	if o := opt["output"]; o != "" && o != "json" {
		return nil, nil, &usageError{path, "the lab's oci command does not simulate --output " + o}
	}
	return cmd, opt, nil
}

func isGroup(name string) bool {
	for c := range commands {
		if strings.HasPrefix(c, name+" ") {
			return true
		}
	}
	return false
}

// stdout prints as the real command: nothing at all, not even an empty list, when
// there is no data. Scripts have to cope with that.
func (a *answer) stdout() []byte {
	if a.data == nil {
		return nil
	}
	if l, ok := a.data.([]any); ok && len(l) == 0 {
		return nil
	}
	out := Props{"data": a.data}
	if a.etag {
		out["etag"] = randomSuffix(16)
	}
	return indented(out, "  ")
}

// serviceError prints a refusal as the real command does.
func serviceError(c *Cloud, cmd *command, err error) []byte {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{500, "InternalError", err.Error()}
	}
	var b bytes.Buffer
	b.WriteString("ServiceError:\n")
	b.Write(indented(Props{
		"code": e.Code, "message": e.Message, "status": e.Status, "target_service": cmd.service,
		"opc-request-id": strings.ToUpper(randomSuffix(32)), "timestamp": cliTime(c.clock.Now()),
		"troubleshooting_tips": "This is the lab's simulated cloud; `emqx-oci lab status` shows what it holds.",
	}, "    "))
	return b.Bytes()
}
