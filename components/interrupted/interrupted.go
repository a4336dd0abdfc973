// Package interrupted says what a run that was interrupted may have left behind. Who runs the
// engine reads it from the stack's state, who knows a cloud asks there. It knows neither.
package interrupted

import "time"

// Lost is a resource of which nobody knows whether it was created: the engine died before it
// heard the answer.
type Lost struct {
	URN  string
	Type string // its token
	Name string
	// Inputs are those that it was, or would have been, created with; secrets are encrypted.
	Inputs map[string]any
	// Since is when the creation began at the earliest; zero is unknown.
	Since time.Time
}

// Held is a resource that a stack's state has.
type Held struct {
	URN      string
	Type     string // its token
	Name, ID string
	// Inputs are those that it was created with; secrets are encrypted.
	Inputs map[string]any
}

// Fate is what became of a resource that was to be deleted.
type Fate int

const (
	// There is as it was.
	There Fate = iota
	// Ending is on its way out: its deletion was accepted, and takes its time. The
	// provider calls it there as long as the cloud shows it.
	Ending
	// Gone does not exist any more.
	Gone
)
