package progress

import (
	"encoding/json"
	"errors"
	"io"
	"time"
)

// JSON writes one object per line: every Event as it is, and two of its own: {"event":"begin","operation","stack"} first
// and {"event":"summary",...} last.
type JSON struct {
	enc *json.Encoder
	now func() time.Time
	at  time.Time
}

// NewJSON writes to w.
func NewJSON(w io.Writer) *JSON {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &JSON{enc: enc, now: time.Now}
}

type jsonBegin struct {
	Event     string    `json:"event"`
	Time      time.Time `json:"time"`
	Operation Operation `json:"operation"`
	Stack     string    `json:"stack"`
}

type jsonSummary struct {
	Event     string         `json:"event"`
	Time      time.Time      `json:"time"`
	Elapsed   float64        `json:"elapsed"`
	Operation Operation      `json:"operation"`
	Stack     string         `json:"stack"`
	Result    string         `json:"result"` // succeeded, failed or cancelled
	Changes   map[string]int `json:"changes"`
	Outputs   map[string]any `json:"outputs,omitempty"`
	Error     string         `json:"error,omitempty"`
	// ExitCode is left out where a signal decides it.
	ExitCode *int `json:"exitCode,omitempty"`
}

// Begin is part of View.
func (v *JSON) Begin(op Operation, stack string) {
	v.at = v.now()
	v.put(jsonBegin{Event: "begin", Time: v.at.Truncate(time.Millisecond), Operation: op, Stack: stack})
}

// Note is part of View.
func (v *JSON) Note(text string) {
	now := v.now()
	v.put(Event{Kind: KindMessage, Time: now.Truncate(time.Millisecond), Elapsed: round(now.Sub(v.at).Seconds()), Severity: "info", Message: text})
}

// Events is part of View.
func (v *JSON) Events(events []Event) {
	for _, e := range events {
		v.put(e)
	}
}

// End is part of View.
func (v *JSON) End(e End) {
	s := jsonSummary{
		Event: "summary", Time: v.now().Truncate(time.Millisecond), Elapsed: round(e.Elapsed.Seconds()), Operation: e.Operation, Stack: e.Stack,
		Result: "succeeded", Changes: e.Changes, Outputs: e.Outputs,
	}
	if s.Changes == nil {
		s.Changes = map[string]int{}
	}
	code := 0
	if e.Err != nil {
		s.Result, s.Error, code = "failed", e.Err.Error(), 1
		var coded interface{ ExitCode() int }
		if errors.As(e.Err, &coded) {
			code = coded.ExitCode()
		}
	}
	if e.Cancelled {
		s.Result = "cancelled"
	} else {
		s.ExitCode = &code
	}
	v.put(s)
}

func (v *JSON) put(x any) { _ = v.enc.Encode(x) }
