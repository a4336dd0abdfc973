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

// Check is one entry of [Checks].
type Check struct {
	// Name is what findings and the page call it.
	Name string
	// Severity is the worst that it finds.
	Severity Severity
	// Reason says in one line what happens without it.
	Reason string
	// Example is a message of it, Remedy what to do about one.
	Example, Remedy string

	// settings looks at the settings alone, graph at what is made of them.
	settings func(s settings.Settings, now time.Time, r *report)
	graph    func(in *input, r *report)
}

// Run performs every check and returns what they found, errors first. Record
// gives what a program with these settings registers; when it fails, that is a
// finding of its own, and the checks of the graph are left out. Now is the time
// that certificates are judged by.
func Run(s settings.Settings, record func() ([]recorder.Resource, error), now time.Time) []Finding {
	return run(Checks, s, record, now)
}

func run(checks []Check, s settings.Settings, record func() ([]recorder.Resource, error), now time.Time) []Finding {
	resources, recordErr := record()
	var in *input
	if recordErr == nil {
		in = read(s, resources)
	}
	var findings []Finding
	for _, c := range checks {
		r := report{check: c.Name}
		if c.settings != nil {
			c.settings(s, now, &r)
		}
		if c.graph != nil && in != nil {
			c.graph(in, &r)
		}
		findings = append(findings, r.findings...)
	}
	if recordErr != nil {
		r := report{check: GraphCheck}
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

// report collects the findings of one check.
type report struct {
	check    string
	findings []Finding
}

// setting is the path of a setting as a person writes it.
func setting(path string) string { return settings.Project + ":" + path }

func (r *report) errorf(path, format string, args ...any) { r.add(Error, path, format, args...) }
func (r *report) warnf(path, format string, args ...any)  { r.add(Warning, path, format, args...) }

func (r *report) add(severity Severity, path, format string, args ...any) {
	r.findings = append(r.findings, Finding{Check: r.check, Severity: severity, Path: path, Message: fmt.Sprintf(format, args...)})
}
