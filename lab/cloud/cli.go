package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emqx-oci/emqx-oci/internal/ocicli"
)

// command is one of the `oci` commands that the lab has. Which options it takes, and
// what it says of others, is not the lab's: see [ocicli].
type command struct {
	service string
	run     func(ctx context.Context, c *Cloud, call *ocicli.Call) (*answer, error)
}

// answer is what a command prints: data on stdout, notes on stderr.
type answer struct {
	data any
	etag bool
	note string
}

// unsimulated are real options that would change the output; to ignore them
// would mislead.
var unsimulated = []string{"query", "raw-output", "from-json", "generate-full-command-json-input", "generate-param-json-input"}

// clientError is what the real command line says without asking the service; exit 1.
type clientError string

func (e clientError) Error() string { return string(e) }

// CLI is the `oci` command as the instance caller runs it, with the real one's
// arguments, output and exit codes: 0; those of [ocicli.Refusal]; 1 for a refusal of
// the service.
func (c *Cloud) CLI(ctx context.Context, caller string, args []string) (stdout, stderr []byte, exit int) {
	call, err := ocicli.Parse(args)
	var refusal *ocicli.Refusal
	if errors.As(err, &refusal) {
		return []byte(refusal.Stdout), []byte(refusal.Stderr), refusal.Exit
	}
	cmd, err := simulated(call)
	if err != nil {
		return nil, fmt.Appendf(nil, "ERROR: the lab's oci command does not simulate %v\n", err), 1
	}
	if auth := call.Option("auth"); auth != "instance_principal" {
		if auth != "" && auth != "api_key" {
			return nil, fmt.Appendf(nil, "ERROR: the lab's instances have only --auth instance_principal, not %s\n", auth), 1
		}
		return nil, []byte("ERROR: Could not find config file at /root/.oci/config, please follow the instructions in the link to setup " +
			"the config file https://docs.cloud.oracle.com/en-us/iaas/Content/API/Concepts/sdkconfig.htm\n"), 1
	}
	if r := call.Option("region"); r != "" && r != Region {
		return nil, fmt.Appendf(nil, "ERROR: the lab has only region %s, not %s\n", Region, r), 1
	}
	if _, ok := c.awaitLaunch(ctx, caller); !ok {
		return nil, []byte("ERROR: Failed to retrieve certificates from the instance metadata service: this is no running instance\n"), 1
	}
	var a *answer
	if err = c.call(ctx, "oci "+call.Command); err == nil {
		a, err = cmd.run(ctx, c, call)
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
		return nil, serviceError(c, cmd.service, err), 1
	}
	return a.stdout(), []byte(a.note), 0
}

// simulated finds the command, or says what of the call the lab does not simulate.
func simulated(call *ocicli.Call) (command, error) {
	cmd, ok := commands[call.Command]
	if !ok {
		return cmd, errors.New(call.Command)
	}
	for _, name := range unsimulated {
		if _, given := call.Options[name]; given {
			return cmd, errors.New("--" + name)
		}
	}
	if o := call.Option("output"); o != "" && o != "json" {
		return cmd, errors.New("--output " + o)
	}
	return cmd, nil
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
func serviceError(c *Cloud, service string, err error) []byte {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{500, "InternalError", err.Error()}
	}
	var b bytes.Buffer
	b.WriteString("ServiceError:\n")
	b.Write(indented(Props{
		"code": e.Code, "message": e.Message, "status": e.Status, "target_service": service,
		"opc-request-id": strings.ToUpper(randomSuffix(32)), "timestamp": cliTime(c.clock.Now()),
		"troubleshooting_tips": "This is the lab's simulated cloud; `emqx-oci lab status` shows what it holds.",
	}, "    "))
	return b.Bytes()
}
