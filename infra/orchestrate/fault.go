package orchestrate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// Exit codes, as the command line returns them.
const (
	ExitFailed = 1
	ExitUsage  = 2
	// ExitGuard is for what the stack is guarded against.
	ExitGuard = 3
)

// UsageError is a call that cannot be served as it stands.
type UsageError struct{ Reason string }

func (e *UsageError) Error() string { return e.Reason }

// ExitCode is the process's exit code for this error.
func (e *UsageError) ExitCode() int { return ExitUsage }

// UnknownStackError names a stack without a stack file.
type UnknownStackError struct {
	Stack, Dir string
	Known      []string
}

func (e *UnknownStackError) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("unknown stack %q: there is no Pulumi.%s.yaml in %s, nor any other stack file", e.Stack, e.Stack, e.Dir)
	}
	return fmt.Sprintf("unknown stack %q: there is no Pulumi.%s.yaml in %s; the stacks are: %s",
		e.Stack, e.Stack, e.Dir, strings.Join(e.Known, ", "))
}

// ExitCode is the process's exit code for this error.
func (e *UnknownStackError) ExitCode() int { return ExitUsage }

// ConfigError holds every fault of a stack's configuration. Nothing was touched.
type ConfigError struct {
	Stack string
	Err   error
}

func (e *ConfigError) Error() string {
	text := e.Err.Error()
	if !strings.Contains(text, "\n") {
		return fmt.Sprintf("configuration of stack %q: %s", e.Stack, text)
	}
	return fmt.Sprintf("configuration of stack %q:\n  %s", e.Stack, strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  "))
}

func (e *ConfigError) Unwrap() error { return e.Err }

// ExitCode is the process's exit code for this error.
func (e *ConfigError) ExitCode() int { return ExitUsage }

// ToolError is a pulumi command that is missing or cannot be used.
type ToolError struct{ Reason string }

func (e *ToolError) Error() string {
	return e.Reason + `; "make tools" builds it into .tools/bin, or install Pulumi ` + minimumCLI + ` or later`
}

// NotCreatedError names a stack that has a file, but was never deployed.
type NotCreatedError struct{ Stack string }

func (e *NotCreatedError) Error() string {
	return fmt.Sprintf("stack %q was never deployed: run \"emqx-oci up %s\" first", e.Stack, e.Stack)
}

// Protected is a resource that must not be deleted.
type Protected struct{ Type, Name, ID string }

// ProtectedError ends a destroy of a stack that holds protected resources. Nothing was touched.
type ProtectedError struct {
	Stack     string
	Resources []Protected
}

func (e *ProtectedError) Error() string {
	lines := make([]string, len(e.Resources))
	for i, p := range e.Resources {
		lines[i] = "\n  " + progress.Short(p.Type) + " " + p.Name + " " + p.ID
	}
	return fmt.Sprintf("nothing was destroyed, because stack %q protects:%s", e.Stack, strings.Join(lines, ""))
}

// ExitCode is the process's exit code for this error.
func (e *ProtectedError) ExitCode() int { return ExitGuard }

// InterruptedError ends an operation that the user cancelled. The stack is in order: what was done is recorded.
type InterruptedError struct {
	Operation string
	// Killed is set when the engine had to be ended by force: an operation under way may be half done.
	Killed bool
}

func (e *InterruptedError) Error() string {
	if e.Killed {
		return e.Operation + " was ended at once: what was under way may be half done; the next up looks at it and continues"
	}
	return e.Operation + " was cancelled: what was finished is recorded; the next up continues from there"
}

func (*InterruptedError) Unwrap() error { return context.Canceled }

// Fault is one thing that went wrong in the engine.
type Fault struct {
	// Resource is "" for a fault of the program as a whole.
	Resource string `json:"resource,omitempty"`
	Message  string `json:"message"`
}

// FailedError is an operation that the engine ended with faults.
type FailedError struct {
	Operation string
	Faults    []Fault
	// Log is the file with everything that the engine printed.
	Log string
}

func (e *FailedError) Error() string {
	if len(e.Faults) == 1 && !strings.Contains(e.Faults[0].Message, "\n") {
		return e.Operation + " failed: " + e.Faults[0].line()
	}
	var b strings.Builder
	b.WriteString(e.Operation + " failed:")
	if len(e.Faults) == 0 {
		b.WriteString(" the engine gave no reason; its text is in " + e.Log)
	}
	for _, f := range e.Faults {
		b.WriteString("\n  " + strings.ReplaceAll(f.line(), "\n", "\n  "))
	}
	return b.String()
}

func (f Fault) line() string {
	if f.Resource == "" {
		return f.Message
	}
	return f.Resource + ": " + f.Message
}

// LockedError says who is at work on the stack.
type LockedError struct {
	Stack string
	Locks []Lock
}

// Lock is one process's claim on a stack.
type Lock struct {
	User, Host string
	PID        int
	Since      time.Time
	// Gone is set when the process was on this machine and is no more.
	Gone bool
}

func (e *LockedError) Error() string {
	if len(e.Locks) == 0 {
		return fmt.Sprintf("stack %q is being updated by somebody else: wait until that ends, and try again", e.Stack)
	}
	var b strings.Builder
	gone := true
	for i, l := range e.Locks {
		if i > 0 {
			b.WriteString(" and ")
		}
		fmt.Fprintf(&b, "%s@%s (process %d) since %s", l.User, l.Host, l.PID, l.Since.Format("2006-01-02 15:04:05 MST"))
		gone = gone && l.Gone
	}
	if gone {
		return fmt.Sprintf("stack %q is locked by %s, which is no longer running: \"emqx-oci cancel %s\" takes the lock away",
			e.Stack, b.String(), e.Stack)
	}
	return fmt.Sprintf("stack %q is locked by %s: wait until that run ends, and try again; if you know that it is dead, \"emqx-oci cancel %s\" takes the lock away",
		e.Stack, b.String(), e.Stack)
}
