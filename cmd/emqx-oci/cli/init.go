package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

func (a *app) initStack() *cobra.Command {
	var yes bool
	var provider string
	given := make([]string, len(questions))
	c := &cobra.Command{
		Use:   "init <stack>",
		Short: "Make a new stack: ask what is needed, make its secrets, write its file",
		Long: `init makes a new stack: it asks for what it cannot know, makes the secrets, creates the stack in the
backend that Pulumi is logged in to, and writes Pulumi.<stack>.yaml with the secrets encrypted. It never
overwrites a file, and leaves nothing behind when it fails. Nothing is deployed.

Every question has a flag; with all of them given nothing is asked.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(fmt.Errorf("name the new stack: \"%s prod\"", c.CommandPath()))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			stated := map[string]string{}
			for i, q := range questions {
				if c.Flags().Changed(q.flag) {
					stated[q.path] = given[i]
				}
			}
			return a.makeStack(c.Context(), a.stackOf(args), provider, stated, !yes && a.StdinTerminal && a.StdoutTerminal && !a.asJSON)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	for i, q := range questions {
		f.StringVar(&given[i], q.flag, "", q.String())
	}
	f.StringVar(&provider, "secrets-provider", "", "what encrypts the secrets: passphrase, awskms://..., hashivault://...; default: the backend's own")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func (a *app) makeStack(ctx context.Context, stack, provider string, stated map[string]string, ask bool) error {
	dir, err := a.projectDir()
	if err != nil {
		return err
	}
	if said := faultsAt(a.Validate(stack, orchestrate.NewConfig(namespace, nil, nil)), "(stack)"); len(said) > 0 {
		return usage(errors.New("the stack " + strings.Join(said, "; ")))
	}
	i, err := a.NewInitializer(ctx, orchestrate.InitOptions{
		ProjectDir: dir, Stack: stack, Owner: a.owner, SecretsProvider: provider, PulumiCommand: a.Getenv("EMQX_OCI_PULUMI"), Kill: a.kill,
	})
	if err != nil {
		return err
	}
	known, err := a.collect(ctx, stack, stated, ask)
	if err != nil {
		return err
	}
	secrets := newSecrets()
	// All of it once more, as up would: some faults only show beside other settings.
	if err := exceptLaterChoices(a.validate(progress.Up, stack, known.config(secrets))); err != nil {
		return &orchestrate.ConfigError{Stack: stack, Err: err}
	}
	text, err := stackFile(stack, known)
	if err != nil {
		return err
	}
	file, err := i.Write(ctx, text, secrets)
	if err != nil {
		return err
	}
	return a.initDone(stack, file, len(secrets))
}

// exceptLaterChoices leaves out what init does not ask for: the file that it writes says where users, rules, listeners
// and digests of images go, and the first preview asks for them.
func exceptLaterChoices(err error) error {
	var failed *preflight.FailedError
	if !errors.As(err, &failed) {
		return err
	}
	failed.Findings = slices.DeleteFunc(failed.Findings, func(f preflight.Finding) bool {
		return slices.Contains([]string{preflight.WhoMayConnect, preflight.PlainListeners, preflight.ImageDigest}, f.Check)
	})
	var faults *fault.Error
	switch {
	case len(failed.Findings) > 0:
		return err
	case errors.As(err, &faults):
		return faults
	}
	return nil
}

// collect finds an answer to every question: from the flags, from the person at the terminal, or the preset one.
func (a *app) collect(ctx context.Context, stack string, stated map[string]string, ask bool) (answers, error) {
	known := answers{}
	var wrong []string
	for _, q := range questions {
		text, ok := stated[q.path]
		if !ok && !ask && q.preset != "" {
			text, ok = q.preset, true
		}
		if ok {
			known[q.path] = q.parse(text)
		}
	}
	for _, q := range questions {
		if _, ok := known[q.path]; ok {
			for _, said := range a.check(stack, q, known) {
				wrong = append(wrong, fmt.Sprintf("--%s: %s", q.flag, said))
			}
		} else if !ask {
			wrong = append(wrong, fmt.Sprintf("--%s is missing: %s", q.flag, q))
		}
	}
	if len(wrong) > 0 {
		return nil, usage(fmt.Errorf("init %s:\n  %s", stack, strings.Join(wrong, "\n  ")))
	}
	if !ask {
		return known, nil
	}
	return known, a.interview(ctx, stack, known)
}

// check says what is wrong with one answer, in the words of the settings.
func (a *app) check(stack string, q question, known answers) []string {
	return faultsAt(a.Validate(stack, known.config(nil)), q.path)
}

// interview asks what is not known yet, each until the answer is valid.
func (a *app) interview(ctx context.Context, stack string, known answers) error {
	announce := a.announceSignals(func(string) {}) // nothing is under way that a signal would have to wait for
	defer func() { a.announceSignals(announce) }()
	lines := make(chan string)
	failed := make(chan error, 1)
	go func() { // it stays behind when ctx ends first: a read cannot be called back, and the process ends anyway
		in := bufio.NewReader(a.Stdin)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				failed <- err
				return
			}
			lines <- line
		}
	}()
	_, _ = fmt.Fprintf(a.Stdout, "A new stack, %s. Lists go with commas; Enter takes what stands in brackets; Ctrl-C leaves nothing behind.\n\n", stack)
	for _, q := range questions {
		if _, ok := known[q.path]; ok {
			continue
		}
		for {
			_, _ = io.WriteString(a.Stdout, q.prompt())
			var text string
			select {
			case text = <-lines:
			case <-failed:
				_, _ = fmt.Fprintln(a.Stdout)
				return &orchestrate.InitCancelledError{}
			case <-ctx.Done():
				_, _ = fmt.Fprintln(a.Stdout)
				return &orchestrate.InitCancelledError{}
			}
			if text = strings.TrimSpace(text); text == "" {
				text = q.preset
			}
			known[q.path] = q.parse(text)
			said := a.check(stack, q, known)
			if len(said) == 0 {
				break
			}
			for _, s := range said {
				_, _ = fmt.Fprintln(a.Stdout, "  "+s)
			}
		}
	}
	return nil
}

// initDone says what there is now and what to do with it.
func (a *app) initDone(stack, file string, secrets int) error {
	self := a.command()
	if a.project != "" {
		self += " -C " + a.project
	}
	if a.asJSON {
		return json.NewEncoder(a.Stdout).Encode(map[string]string{"type": "init", "stack": stack, "file": file})
	}
	_, _ = fmt.Fprintf(a.Stdout, `
%[1]s is written. Read it, change it, commit it.
Its %[2]d secrets are new and encrypted. To see one, in the folder of the file:
  pulumi config get -s %[3]s --path 'emqx-oci:secrets.dashboardPassword'

next
  %[4]s check %[3]s
  %[4]s preview %[3]s
  %[4]s up %[3]s
or with Pulumi's own command
  pulumi preview -s %[3]s
  pulumi up -s %[3]s
`, filepath.Base(file), secrets, stack, self)
	return nil
}
