package progress

import (
	"regexp"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/urn"

	"github.com/emqx-oci/emqx-oci/infra/gates/gateline"
)

var (
	// What the engine and gRPC put around the reason that a hook or a provider gave.
	wrapping = []*regexp.Regexp{
		regexp.MustCompile(`before hook "[^"]*" failed: `),
		regexp.MustCompile(`rpc error: code = \w+ desc = `),
		regexp.MustCompile(`^(?:an unhandled error occurred: |program failed: |waiting for RPCs: |Preview failed: )+`),
	}
	// Messages that only say that other messages say why.
	echoes = []string{"update failed", "preview failed", "refresh failed", "destroy failed", "resource creation failed"}
)

// Reader turns the engine's events into ours. It is used by one goroutine at a time.
type Reader struct {
	op      Operation
	now     func() time.Time
	start   time.Time
	began   map[string]time.Time
	faults  []Fault
	changes map[string]int
}

// NewReader starts the clock of an operation.
func NewReader(op Operation) *Reader { return newReader(op, time.Now) }

func newReader(op Operation, now func() time.Time) *Reader {
	return &Reader{op: op, now: now, start: now(), began: map[string]time.Time{}, changes: map[string]int{}}
}

// Faults are the reasons for a failure that were seen, once each, in their order.
func (r *Reader) Faults() []Fault { return r.faults }

// Changes counts the resources by what was done to them.
func (r *Reader) Changes() map[string]int { return r.changes }

// Read gives what an engine event means, usually nothing or one event.
func (r *Reader) Read(e apitype.EngineEvent) []Event {
	switch {
	case e.ResourcePreEvent != nil:
		return r.pre(e.ResourcePreEvent)
	case e.ResOutputsEvent != nil:
		return r.outcome(e.ResOutputsEvent.Metadata, Done)
	case e.ResOpFailedEvent != nil:
		return r.outcome(e.ResOpFailedEvent.Metadata, Failed)
	case e.DiagnosticEvent != nil:
		return r.diagnostic(e.DiagnosticEvent)
	case e.ProgressEvent != nil:
		return []Event{r.at(Event{Kind: KindMessage, Severity: "info", Message: e.ProgressEvent.Message, Ephemeral: true})}
	case e.ErrorEvent != nil:
		r.fault("", e.ErrorEvent.Error)
	}
	return nil
}

func (r *Reader) at(e Event) Event {
	e.Time = r.now().Truncate(time.Millisecond)
	e.Elapsed = round(e.Time.Sub(r.start).Seconds())
	return e
}

func (r *Reader) pre(e *apitype.ResourcePreEvent) []Event {
	m := e.Metadata
	// Components take no time and cost nothing; a replacement is told by its creation, or in a preview by itself.
	if internal(m.Type) || !custom(m) {
		return nil
	}
	if m.Op == apitype.OpSame {
		r.changes["same"]++
		return nil
	}
	op := verb(m.Op)
	switch {
	case op == "":
		return nil
	case r.op == Preview && m.Op != apitype.OpRefresh:
		if m.Op == apitype.OpCreateReplacement || m.Op == apitype.OpDeleteReplaced {
			return nil
		}
		r.changes[op]++
		plan := Event{Kind: KindPlan, Op: op, Changes: changes(m), Before: inputs(m.Old), After: inputs(m.New)}
		if m.Old != nil {
			plan.ModifyIndex, _ = m.Old.Outputs["modifyIndex"].(string)
		}
		return []Event{r.resource(plan, m)}
	case m.Op == apitype.OpReplace:
		return nil
	}
	r.began[key(m)] = r.now()
	return []Event{r.resource(Event{Kind: KindResource, Op: op, Status: Started, Changes: changes(m)}, m)}
}

func (r *Reader) outcome(m apitype.StepEventMetadata, status Status) []Event {
	if internal(m.Type) || !custom(m) || m.Op == apitype.OpReplace {
		return nil
	}
	began, ok := r.began[m.URN+string(apitype.OpRefresh)]
	if ok {
		delete(r.began, m.URN+string(apitype.OpRefresh))
		return r.refreshed(m, status, began)
	}
	if began, ok = r.began[key(m)]; !ok {
		return nil // in a preview: all but refreshes
	}
	delete(r.began, key(m))
	op := verb(m.Op)
	if status == Done {
		switch m.Op {
		case apitype.OpCreateReplacement:
			r.changes["replace"]++
		case apitype.OpDeleteReplaced:
		default:
			r.changes[op]++
		}
	}
	return []Event{r.resource(Event{Kind: KindResource, Op: op, Status: status, Seconds: r.since(began)}, m)}
}

// refreshed is the end of a refresh. Its operation is what it found: same, update or delete; before another operation
// it may just be refresh again.
func (r *Reader) refreshed(m apitype.StepEventMetadata, status Status, began time.Time) []Event {
	op := m.Op
	switch {
	case op != apitype.OpRefresh:
	case m.New == nil:
		op = apitype.OpDelete
	case len(m.DetailedDiff) > 0:
		op = apitype.OpUpdate
	default:
		op = apitype.OpSame
	}
	if status == Done && r.op == Refresh {
		r.changes[string(op)]++
	} else if status == Done && r.op != Preview {
		r.changes["refresh"]++
	}
	all := []Event{r.resource(Event{Kind: KindResource, Op: "refresh", Status: status, Seconds: r.since(began)}, m)}
	if op := verb(op); op == "update" || op == "delete" {
		what := "changed outside the stack"
		if op == "delete" {
			what = "is gone"
		}
		all = append(all, r.resource(Event{Kind: KindDrift, Op: op, Changes: found(m), Message: what}, m))
	}
	return all
}

func (r *Reader) since(t time.Time) float64 { return round(r.now().Sub(t).Seconds()) }

func key(m apitype.StepEventMetadata) string { return m.URN + string(m.Op) }

func (r *Reader) resource(e Event, m apitype.StepEventMetadata) Event {
	e.Type, e.Name, e.URN = m.Type, urn.URN(m.URN).Name(), m.URN
	if m.New != nil && m.New.ID != "" {
		e.ID = m.New.ID
	} else if m.Old != nil {
		e.ID = m.Old.ID
	}
	e.Retained = m.Old != nil && m.Old.RetainOnDelete && (e.Op == "delete" || e.Op == "replace")
	return r.at(e)
}

func (r *Reader) diagnostic(d *apitype.DiagnosticEvent) []Event {
	text := strings.TrimSpace(colors.Never.Colorize(d.Message))
	if text == "" || d.Severity == "debug" {
		return nil
	}
	ev := Event{Kind: KindMessage, Severity: strings.TrimSuffix(d.Severity, "#err"), Message: text, Ephemeral: d.Ephemeral}
	if d.URN != "" {
		ev.URN, ev.Type, ev.Name = d.URN, string(urn.URN(d.URN).Type()), urn.URN(d.URN).Name()
		if strings.HasPrefix(ev.Type, "pulumi:pulumi:") {
			ev.Type, ev.Name = "", ""
		}
	}
	if ev.Severity == "error" {
		for _, echo := range echoes {
			if text == echo {
				return nil
			}
		}
		name := ""
		if ev.Type != "" {
			name = Short(ev.Type) + " " + ev.Name
		}
		var all []Event
		for _, text := range reasons(text) {
			if r.fault(name, text) {
				ev.Message = text
				all = append(all, r.at(ev))
			}
		}
		return all
	}
	if l, ok := gateline.Parse(text); ok && ev.Severity == "info" {
		tell(&ev, l)
	}
	return []Event{r.at(ev)}
}

// tell makes an event of what is told of a gate. One that is asked at the end of an update stays a message: what it
// says is the update's result.
func tell(ev *Event, l gateline.Line) {
	switch {
	case !l.AtEnd:
		ev.Kind, ev.Severity, ev.Gate, ev.Message = KindGate, "", l.Gate, l.Found()
		if l.Holds {
			ev.Status = Done
		}
	case !l.Holds:
		ev.Message = "verify: " + l.Gate + ": not yet: " + l.Seen
	}
}

// fault keeps a reason once. The program repeats the reasons of its resources, and the engine those of the program.
func (r *Reader) fault(resource, text string) bool {
	for i, f := range r.faults {
		if strings.Contains(f.Message, text) {
			return false
		}
		if strings.Contains(text, f.Message) && f.Resource == "" {
			r.faults[i] = Fault{Resource: resource, Message: text}
			return true
		}
		if strings.Contains(text, f.Message) {
			return false
		}
	}
	r.faults = append(r.faults, Fault{Resource: resource, Message: text})
	return true
}

// several is how the SDK lists the errors of the program.
var several = regexp.MustCompile(`^\d+ errors? occurred:\s+\* `)

// reasons takes the engine's and the SDK's wrapping off.
func reasons(text string) []string {
	for _, w := range wrapping {
		text = w.ReplaceAllString(text, "")
	}
	text = strings.TrimSpace(text)
	head := several.FindString(text)
	if head == "" {
		if text == "" {
			return nil
		}
		return []string{text}
	}
	var all []string
	for _, t := range strings.Split(text[len(head):], "\n\t* ") {
		all = append(all, reasons(t)...)
	}
	return all
}

// verb is the user's word for a step, "" for one that nobody needs to see.
func verb(op apitype.OpType) string {
	switch op {
	case apitype.OpCreate, apitype.OpCreateReplacement:
		return "create"
	case apitype.OpUpdate:
		return "update"
	case apitype.OpReplace:
		return "replace"
	case apitype.OpDelete, apitype.OpDeleteReplaced:
		return "delete"
	case apitype.OpRefresh:
		return "refresh"
	case apitype.OpImport, apitype.OpImportReplacement:
		return "import"
	default:
		return ""
	}
}

func internal(typ string) bool {
	return strings.HasPrefix(typ, "pulumi:providers:") || strings.HasPrefix(typ, "pulumi:pulumi:")
}

func custom(m apitype.StepEventMetadata) bool {
	return m.New != nil && m.New.Custom || m.Old != nil && m.Old.Custom
}

// Short leaves the file part of a type token out: "nomad:index/job:Job" is nomad:Job.
func Short(typ string) string {
	parts := strings.Split(typ, ":")
	if len(parts) != 3 {
		return typ
	}
	return parts[0] + ":" + parts[2]
}

func round(s float64) float64 { return float64(int(s*10+0.5)) / 10 }
