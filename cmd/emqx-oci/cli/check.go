package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
)

// SettingsCheck is the name under which findings of the settings' own rules stand among those of the checks.
const SettingsCheck = "settings"

func (a *app) checkStack() *cobra.Command {
	var list bool
	c := &cobra.Command{
		Use:   "check [stack]",
		Short: "Check a stack file without a cloud: settings, and what would be refused later",
		Long: `check reads the stack file and tells everything that is wrong with it, without a cloud, an engine or a
backend: faults of the settings, and what the cloud, Nomad or the cluster itself would refuse in the middle of
an update. Encrypted values are not opened. The addresses of JWKS alone are asked, and their silence is a warning. preview and up begin with the same checks: docs/checks.md.`,
		Args: oneStack,
		RunE: func(_ *cobra.Command, args []string) error {
			if list {
				return a.listChecks()
			}
			dir, err := a.projectDir()
			if err != nil {
				return err
			}
			config, err := orchestrate.Read(dir, a.stackOf(args))
			if err != nil {
				return err
			}
			return a.printFindings(a.stackOf(args), a.Check(a.stackOf(args), config))
		},
	}
	c.Flags().BoolVar(&list, "list", false, "tell what is checked, and why")
	return c
}

// checked is the result of a check as --json prints it.
type checked struct {
	Stack    string              `json:"stack"`
	Passed   int                 `json:"passed"`
	Errors   int                 `json:"errors"`
	Warnings int                 `json:"warnings"`
	Findings []preflight.Finding `json:"findings"`
}

func (a *app) printFindings(stack string, findings []preflight.Finding) error {
	complained := map[string]bool{}
	for _, f := range findings {
		complained[f.Check] = true
	}
	result := checked{
		Stack: stack, Passed: len(a.Checks) + 1 - len(complained), // one: the settings' own rules
		Errors: len(preflight.Errors(findings)), Warnings: len(preflight.Warnings(findings)), Findings: findings,
	}
	if findings == nil {
		result.Findings = []preflight.Finding{}
	}
	if a.asJSON {
		if err := a.encode(result); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			_, _ = fmt.Fprintf(a.Stdout, "%s: %s\n", f.Severity, f)
		}
		summary := fmt.Sprintf("%d checks passed, %s", result.Passed, count(result.Warnings, "warning"))
		if result.Errors > 0 {
			summary += ", " + count(result.Errors, "error")
		}
		_, _ = fmt.Fprintln(a.Stdout, summary)
	}
	if result.Errors > 0 {
		return code(orchestrate.ExitUsage)
	}
	return nil
}

func (a *app) listChecks() error {
	if a.asJSON {
		type entry struct {
			Name     string             `json:"name"`
			Severity preflight.Severity `json:"severity"`
			Reason   string             `json:"reason"`
		}
		entries := make([]entry, len(a.Checks))
		for i, c := range a.Checks {
			entries[i] = entry{c.Name, c.Severity, c.Reason}
		}
		return a.encode(entries)
	}
	width := 0
	for _, c := range a.Checks {
		width = max(width, len(c.Name))
	}
	for _, c := range a.Checks {
		_, _ = fmt.Fprintf(a.Stdout, "%-*s  %-7s  %s\n", width, c.Name, c.Severity, c.Reason)
	}
	return nil
}

func (a *app) encode(value any) error {
	enc := json.NewEncoder(a.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(value)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
