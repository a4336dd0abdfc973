package progress

import (
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// Operation is what the engine was asked to do.
type Operation string

// The operations.
const (
	Preview Operation = "preview"
	Up      Operation = "up"
	Refresh Operation = "refresh"
	Destroy Operation = "destroy"
)

// Kind tells the events apart.
type Kind string

// The kinds of event. Their names are part of the JSON form.
const (
	KindResource Kind = "resource" // an operation on a resource began or ended
	KindGate     Kind = "gate"     // what a gate waits for, or that it holds
	KindMessage  Kind = "message"  // a line from the program, a provider or the engine
	KindPlan     Kind = "plan"     // what would happen to a resource
	KindDrift    Kind = "drift"    // what happened to a resource outside the stack, as a refresh found
	KindGuard    Kind = "guard"    // why the operation is refused, though it could be done
)

// Status is how far an operation on a resource is.
type Status string

// The statuses.
const (
	Started Status = "started"
	Done    Status = "done"
	Failed  Status = "failed"
)

// Event is one thing that happened. The JSON names are stable: programs read them.
type Event struct {
	Kind Kind      `json:"event"`
	Time time.Time `json:"time"`
	// Elapsed is the number of seconds since the operation began.
	Elapsed float64 `json:"elapsed"`

	// Op is create, update, replace, delete, read, refresh or import. Resource, plan and drift events.
	Op string `json:"op,omitempty"`
	// Status is started, done or failed. Resource events; a gate that holds is done.
	Status Status `json:"status,omitempty"`
	// Type is the resource's type token, Name its name in the program, URN both with their parents.
	Type string `json:"type,omitempty"`
	Name string `json:"name,omitempty"`
	URN  string `json:"urn,omitempty"`
	// ID is the cloud's name for the resource, once it has one.
	ID string `json:"id,omitempty"`
	// Retained is set when the stack lets go of the resource, and the cloud keeps it: the state says so, whatever the
	// program says now. Deletes and replacements.
	Retained bool `json:"retained,omitempty"`
	// Seconds is how long the operation took. Resource events that ended.
	Seconds float64 `json:"seconds,omitempty"`
	// Changes are the properties that differ. Plan and drift events, and the start of an update.
	Changes []Change `json:"changes,omitempty"`
	// Before and After are the resource's inputs, secrets hidden. Plan events of a preview.
	Before map[string]any `json:"-"`
	After  map[string]any `json:"-"`
	// ModifyIndex is the version that the state has of a Nomad job. Plan events of a preview.
	ModifyIndex string `json:"-"`

	// Gate is the gate's name: "G1" or "G1 nodes ready".
	Gate string `json:"gate,omitempty"`

	// Guard is the guard's name, and Allow the setting that would let it pass, if any.
	Guard string `json:"guard,omitempty"`
	Allow string `json:"allow,omitempty"`

	// Severity is info, warning or error. Message events.
	Severity string `json:"severity,omitempty"`
	// Message is a line of text, or several.
	Message string `json:"message,omitempty"`
	// Ephemeral messages are of interest only while they are new.
	Ephemeral bool `json:"ephemeral,omitempty"`
}

// Change is one property that differs.
type Change struct {
	// Path is the property, as "hcl2.vars.node_count".
	Path string `json:"path"`
	// Kind is add, update or delete.
	Kind string `json:"kind"`
	// Replaces is set when the change makes a new resource necessary.
	Replaces bool `json:"replaces,omitempty"`
	Old      any  `json:"old,omitempty"`
	New      any  `json:"new,omitempty"`
}

// Recorded is one line of a recorded event stream.
type Recorded struct {
	// At is the number of seconds since the operation began.
	At    float64             `json:"at"`
	Event apitype.EngineEvent `json:"event"`
}

// Fault is something that made the operation fail.
type Fault struct {
	Resource string
	Message  string
}

// End is how an operation ended.
type End struct {
	Operation Operation
	Stack     string
	// Changes counts the resources by what was, or would be, done to them; "same" among them.
	Changes map[string]int
	Elapsed time.Duration
	// Outputs are the stack's, after an update; secrets are hidden.
	Outputs   map[string]any
	Err       error
	Cancelled bool
	// Finished is set when the operation itself came to its end: Err is then what its caller has against the result.
	Finished bool
}

// View shows an operation to somebody. Calls come one after another.
type View interface {
	Begin(op Operation, stack string)
	// Note is a line from the orchestrator itself.
	Note(text string)
	Events([]Event)
	End(End)
}

// Silent shows nothing.
type Silent struct{}

// Begin is part of View.
func (Silent) Begin(Operation, string) {}

// Note is part of View.
func (Silent) Note(string) {}

// Events is part of View.
func (Silent) Events([]Event) {}

// End is part of View.
func (Silent) End(End) {}

// Serial lets several goroutines use a view.
func Serial(v View) View { return &serial{v: v} }

type serial struct {
	mu sync.Mutex
	v  View
}

func (s *serial) Begin(op Operation, stack string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.v.Begin(op, stack)
}

func (s *serial) Note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.v.Note(text)
}

func (s *serial) Events(e []Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.v.Events(e)
}

func (s *serial) End(e End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.v.End(e)
}
