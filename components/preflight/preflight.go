package preflight

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/hocon"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Severity tells whether an update goes on.
type Severity string

const (
	// Error stops a preview and an update before anything is registered.
	Error Severity = "error"
	// Warning is shown, and the update goes on.
	Warning Severity = "warning"
)

// GraphCheck is the check that the resources can be made at all; without them
// the checks of the graph are left out.
const GraphCheck = "graph"

// Finding is one thing that a check has found.
type Finding struct {
	// Check is the name of the check.
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	// Path is the setting ("emqx-oci:proxy.maxConn"), or the property of a
	// resource ("Volume volumes-0.sizeInGbs").
	Path string `json:"path"`
	// Message says what is allowed and what was found.
	Message string `json:"message"`
}

func (f Finding) String() string { return fmt.Sprintf("%s: %s (check %s)", f.Path, f.Message, f.Check) }

// Check is something that is looked at before an update. Several may have one name: what each of them finds is of one
// entry of the page then ([Join]).
type Check struct {
	// Name is what findings and the page call it.
	Name string
	// After is the name of the check that it stands behind on the page; at the end where empty.
	After string
	// Severity is the worst that it finds.
	Severity Severity
	// Reason says in one line what happens without it. The text of checks with one name is that of the first with a reason.
	Reason string
	// Example is a message of it, Remedy what to do about one.
	Example, Remedy string

	// Settings looks at the settings alone. Now is the time that certificates are judged by.
	Settings func(s settings.Settings, now time.Time, r *Report)
	// Graph looks at what is made of them.
	Graph func(in *Input, r *Report)
	// Rules are what an API accepts, by the type of resource.
	Rules map[string]Rules
	// Quotas are what the page says of limits that it counts.
	Quotas []Quota
}

// Quota is a limit on how much of something there may be, which nobody enforces before
// an update is under way.
type Quota struct {
	// Of what, with its unit; Most of it; and who says so.
	Of, Most, Source string
	// Check is the name of the check that counts; empty for one that only the tenancy knows.
	Check string
}

// Join puts checks with one name together, each in its place on the page.
func Join(lists ...[]Check) []Check {
	var joined []Check
	named := func(name string) int { return slices.IndexFunc(joined, func(c Check) bool { return c.Name == name }) }
	for _, c := range slices.Concat(lists...) {
		if i := named(c.Name); i >= 0 {
			joined[i] = joined[i].with(c)
			continue
		}
		at := len(joined)
		if i := named(c.After); i >= 0 {
			at = i + 1
		}
		joined = slices.Insert(joined, at, c)
	}
	return joined
}

// with is a check that does what another one does, too.
func (c Check) with(other Check) Check {
	if c.Reason == "" {
		c.Severity, c.Reason, c.Example, c.Remedy = other.Severity, other.Reason, other.Example, other.Remedy
	}
	if first, second := c.Settings, other.Settings; first == nil {
		c.Settings = second
	} else if second != nil {
		c.Settings = func(s settings.Settings, now time.Time, r *Report) { first(s, now, r); second(s, now, r) }
	}
	if first, second := c.Graph, other.Graph; first == nil {
		c.Graph = second
	} else if second != nil {
		c.Graph = func(in *Input, r *Report) { first(in, r); second(in, r) }
	}
	rules := maps.Clone(c.Rules)
	if rules == nil {
		rules = map[string]Rules{}
	}
	maps.Copy(rules, other.Rules)
	c.Rules, c.Quotas = rules, slices.Concat(c.Quotas, other.Quotas)
	return c
}

// Known tells whether there are rules for a type of resource among the checks. A type without any would slip through
// every one of them.
func Known(checks []Check, token string) bool {
	return slices.ContainsFunc(checks, func(c Check) bool { _, ok := c.Rules[token]; return ok })
}

// Run performs checks and returns what they found, errors first. Record gives what a program with these settings
// registers; when it fails, that is a finding of its own, and the checks of the graph are left out. Now is the time
// that certificates are judged by.
func Run(checks []Check, s settings.Settings, record func() ([]recorder.Resource, error), now time.Time) []Finding {
	resources, recordErr := record()
	var in *Input
	if recordErr == nil {
		in = newInput(s, resources)
	}
	var findings []Finding
	for _, c := range checks {
		r := Report{check: c.Name}
		if c.Settings != nil {
			c.Settings(s, now, &r)
		}
		if c.Graph != nil && in != nil {
			c.Graph(in, &r)
		}
		if in != nil {
			in.apply(c.Rules, &r)
		}
		findings = append(findings, r.findings...)
	}
	if recordErr != nil {
		r := Report{check: GraphCheck}
		r.recording(recordErr, findings)
		findings = append(findings, r.findings...)
	}
	return Sort(veiled(findings, s.Broker.SecretEnv))
}

// veiled takes the values of encrypted variables out of what is said about them.
func veiled(findings []Finding, secrets map[string]settings.Secret) []Finding {
	// The longest first: what is left of one that has another one inside would still be told.
	names := slices.SortedFunc(maps.Keys(secrets), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(secrets[b]), len(secrets[a])), strings.Compare(a, b))
	})
	for i := range findings {
		f := &findings[i]
		for _, name := range names {
			value := secrets[name]
			if value != "" && strings.Contains(f.Path+f.Message, name) {
				f.Message = strings.ReplaceAll(f.Message, value.Reveal(), value.String())
				// What EMQX reads of it, and what an object holds, is as secret as the whole.
				hocon.Read(value.Reveal()).Leaves(func(_ []string, inner string) {
					if len(inner) > 2 && inner != "true" && inner != "false" {
						f.Message = strings.ReplaceAll(f.Message, inner, value.String())
					}
				})
			}
		}
	}
	return findings
}

// Sort puts findings in the order in which a person reads them, errors first,
// each once.
func Sort(findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(string(a.Severity), string(b.Severity)), strings.Compare(a.Path, b.Path))
	})
	return slices.Compact(findings)
}

// Errors are those of the findings that stop an update.
func Errors(findings []Finding) []Finding { return only(findings, Error) }

// Warnings are the others.
func Warnings(findings []Finding) []Finding { return only(findings, Warning) }

func only(findings []Finding, severity Severity) []Finding {
	var found []Finding
	for _, f := range findings {
		if f.Severity == severity {
			found = append(found, f)
		}
	}
	return found
}

// FailedError holds every error that the checks found.
type FailedError struct{ Findings []Finding }

// Err is nil, or a [*FailedError] with the errors among the findings.
func Err(findings []Finding) error {
	if found := Errors(findings); len(found) > 0 {
		return &FailedError{Findings: found}
	}
	return nil
}

func (e *FailedError) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// ExitCode is the process's exit code for this error: a configuration that
// cannot be used.
func (e *FailedError) ExitCode() int { return 2 }

// Report collects the findings of one check.
type Report struct {
	check    string
	findings []Finding
}

// Setting is the path of a setting as a person writes it: "emqx-oci:proxy.maxConn".
func Setting(path string) string { return settings.Project + ":" + path }

// Errorf adds what stops an update, at the path of a setting or of a resource's property. The message says what must
// be, and what is.
func (r *Report) Errorf(path, format string, args ...any) { r.add(Error, path, format, args...) }

// Warnf adds what an update goes on with. The message says what should be, and what is.
func (r *Report) Warnf(path, format string, args ...any) { r.add(Warning, path, format, args...) }

func (r *Report) add(severity Severity, path, format string, args ...any) {
	r.findings = append(r.findings, Finding{Check: r.check, Severity: severity, Path: path, Message: fmt.Sprintf(format, args...)})
}
