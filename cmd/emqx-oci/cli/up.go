package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

func (a *app) up() *cobra.Command {
	var yes bool
	var page string
	c := &cobra.Command{
		Use:   "up [stack]",
		Short: "Deploy the stack, or bring it up to date; ends with a message sent through it",
		Args:  oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			stack := a.stackOf(args)
			if err := a.mustAsk(yes, "up "+stack); err != nil {
				return err
			}
			if page != "" && (yes || page == "-") {
				return usage(fmt.Errorf("--markdown takes a file, and the preview that --yes leaves out: run \"emqx-oci preview %s --markdown %s\"", stack, page))
			}
			report, reporting := a.reporter(stack, page)
			t, err := a.open(progress.Up, stack, reporting)
			if err != nil {
				return report.done(err)
			}
			defer t.close()
			if !yes {
				plan, err := t.Preview(c.Context())
				if err = report.done(err); err != nil {
					return err
				}
				if plan.Changed() {
					ok, err := a.confirm(c.Context(), fmt.Sprintf("Perform these changes on stack %s? [y/N] ", stack), func(s string) bool {
						s = strings.ToLower(s)
						return s == "y" || s == "yes"
					})
					if err != nil {
						return err
					}
					if !ok {
						return a.declined()
					}
				} else {
					_, _ = fmt.Fprintln(a.Stdout, "nothing to change; checking the cluster")
				}
			}
			if err := a.prepare(c.Context(), t); err != nil {
				return err
			}
			if err := a.renewFirst(c.Context(), t); err != nil {
				return err
			}
			res, err := t.Up(c.Context())
			if err != nil {
				return err
			}
			if !a.asJSON {
				a.printEndpoints(t, res.Outputs.Plain(false))
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().StringVar(&page, "markdown", "", markdownUsage)
	return c
}

// mustAsk refuses a change that nobody can be asked about.
func (a *app) mustAsk(yes bool, command string) error {
	if yes || a.StdinTerminal && a.StdoutTerminal && !a.asJSON {
		return nil
	}
	if a.asJSON {
		return usage(fmt.Errorf("--json asks no questions: run \"emqx-oci %s --json --yes\"", command))
	}
	return usage(errors.New("nobody to ask, for this is no terminal: run \"emqx-oci " + command + " --yes\""))
}

// printEndpoints prints where the cluster is and what to try.
func (a *app) printEndpoints(t *target, out map[string]any) {
	w := a.Stdout
	endpoints, _ := out["endpoints"].(map[string]any)
	if len(endpoints) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w, "\nendpoints")
	for _, name := range slices.Sorted(maps.Keys(endpoints)) {
		_, _ = fmt.Fprintf(w, "  %-6s %v\n", name, endpoints[name])
	}
	if tls, ok := out["tls"].(string); ok && strings.HasPrefix(tls, "off") {
		_, _ = fmt.Fprintln(w, "  TLS is "+tls)
	}
	name, _ := out["dnsName"].(string)
	if name == "" {
		return
	}
	prefix, self := "", a.command()
	if t.cloud != "" {
		prefix = self + " " + t.cloud + " exec -- "
	}
	if a.project != "" {
		self += " -C " + a.project
	}
	topic := "-t hello"
	if anonymous, given := out["anonymous"].(bool); given && !anonymous {
		topic = "-u USER -P PASSWORD -t TOPIC"
	}
	if url, ok := endpoints["mqtt"].(string); !ok || !strings.HasPrefix(url, "mqtt://"+name+":") { // not at the public name
		port := "8883"
		if url, ok = endpoints["mqtts"].(string); ok {
			port = url[strings.LastIndex(url, ":")+1:]
		}
		topic = "-p " + port + " --cafile AUTHORITY " + topic
	}
	_, _ = fmt.Fprintf(w, `
try
  %[1]smosquitto_sub -h %[2]s %[5]s -C 1 &
  %[1]smosquitto_pub -h %[2]s %[5]s -m world
  %[3]s outputs %[4]s
`, prefix, name, self, t.stack, topic)
}
