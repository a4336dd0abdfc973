package progress

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Plain writes one line for every event worth reading: what a pipe and a log get.
type Plain struct {
	w     io.Writer
	p     palette
	start time.Time
	now   func() time.Time
	op    Operation
	stack string
	gates map[string]string
}

// NewPlain writes to w. color paints a preview's difference; a log wants none.
func NewPlain(w io.Writer, color bool) *Plain {
	return &Plain{w: w, p: palette(color), now: time.Now, gates: map[string]string{}}
}

// Begin is part of View.
func (v *Plain) Begin(op Operation, stack string) {
	v.start, v.op, v.stack = v.now(), op, stack
	v.line(0, "%s %s", op, stack)
}

// Note is part of View.
func (v *Plain) Note(text string) { v.line(v.elapsed(), "note  %s", text) }

// elapsed is the time since the beginning, for every line alike: the engine's own events count from its start, which
// comes about a second later.
func (v *Plain) elapsed() float64 { return v.now().Sub(v.start).Seconds() }

// Events is part of View.
func (v *Plain) Events(events []Event) {
	for _, e := range events {
		v.event(e)
	}
}

func (v *Plain) event(e Event) {
	switch e.Kind {
	case KindPlan, KindDrift:
		for _, l := range planLines(e, v.p) {
			_, _ = fmt.Fprintln(v.w, l)
		}
	case KindResource:
		if e.Op == "refresh" && e.Status != Failed {
			return // what it found is told by the plan events
		}
		v.line(v.elapsed(), "%s", strings.TrimRight(doing(e), " "))
	case KindGate:
		if v.gates[e.Gate] == e.Message+string(e.Status) {
			return
		}
		v.gates[e.Gate] = e.Message + string(e.Status)
		state := ""
		if e.Status == Done {
			state = "holds: "
		}
		v.line(v.elapsed(), "gate %s  %s%s", e.Gate, state, e.Message)
	case KindGuard: // told with the reasons at the end
	case KindMessage:
		if e.Ephemeral || e.Severity == "error" {
			return // errors come together at the end
		}
		v.line(v.elapsed(), "%s", message(e))
	}
}

// End is part of View.
func (v *Plain) End(e End) {
	if e.Err != nil && !e.Finished {
		return // whoever asked tells the reason, once
	}
	v.line(e.Elapsed.Seconds(), "%s %s: %s", e.Operation, e.Stack, Tally(e.Changes, e.Operation))
}

func (v *Plain) line(elapsed float64, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	head := fmt.Sprintf("%7.1fs  ", elapsed)
	_, _ = fmt.Fprintln(v.w, head+strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", len(head))))
}

// words for an operation under way and behind.
var ing = map[string]string{
	"create": "creating", "update": "updating", "delete": "deleting", "refresh": "reading", "import": "importing", "replace": "replacing",
}

var ed = map[string]string{
	"create": "created", "update": "updated", "delete": "deleted", "refresh": "read", "import": "imported", "replace": "replaced",
}

func doing(e Event) string {
	what := Short(e.Type) + " " + e.Name
	switch e.Status {
	case Done:
		return fmt.Sprintf("%-9s %s  (%.1fs)", ed[e.Op], what, e.Seconds)
	case Failed:
		return fmt.Sprintf("FAILED %s %s  (%.1fs)", ing[e.Op], what, e.Seconds)
	default:
		return fmt.Sprintf("%-9s %s", ing[e.Op], what)
	}
}

func message(e Event) string {
	text := e.Message
	if e.Type != "" {
		text = Short(e.Type) + " " + e.Name + ": " + text
	}
	if e.Severity == "warning" {
		text = "warning: " + text
	}
	return text
}
