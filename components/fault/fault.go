package fault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault is one thing that is wrong: where, and what is allowed instead.
type Fault struct {
	// Path names the input in the words of the person who wrote it:
	// "nodes.count".
	Path string
	// Text says what is allowed and what was found: "must be 1 to 100, got 0".
	Text string
}

func (f Fault) String() string { return f.Path + ": " + f.Text }

// Error is all faults of an input, in the order of their paths.
type Error struct{ Faults []Fault }

func (e *Error) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// List collects faults. The zero List is ready to use.
type List struct{ faults []Fault }

// Add records a fault at path.
func (l *List) Add(path, format string, args ...any) {
	l.faults = append(l.faults, Fault{Path: path, Text: fmt.Sprintf(format, args...)})
}

// Require records a fault when value is empty.
func (l *List) Require(path, value string) {
	if strings.TrimSpace(value) == "" {
		l.Add(path, "must be set")
	}
}

// Range records a fault when value lies outside low..high.
func (l *List) Range(path string, value, low, high int) {
	if value < low || value > high {
		l.Add(path, "must be %d to %d, got %d", low, high, value)
	}
}

// Has tells whether a fault was recorded at path.
func (l *List) Has(path string) bool {
	return slices.ContainsFunc(l.faults, func(f Fault) bool { return f.Path == path })
}

// HasBelow tells whether a fault was recorded at what a path holds.
func (l *List) HasBelow(path string) bool {
	return slices.ContainsFunc(l.faults, func(f Fault) bool { return strings.HasPrefix(f.Path, path+".") })
}

// Err is nil, or an [*Error] with every fault.
func (l *List) Err() error {
	if len(l.faults) == 0 {
		return nil
	}
	faults := slices.Clone(l.faults)
	slices.SortStableFunc(faults, func(a, b Fault) int { return strings.Compare(a.Path, b.Path) })
	return &Error{Faults: faults}
}

// Merge records the faults of err below path; any other error is one fault at
// path.
func (l *List) Merge(path string, err error) {
	var e *Error
	if !errors.As(err, &e) {
		if err != nil {
			l.Add(path, "%v", err)
		}
		return
	}
	for _, f := range e.Faults {
		l.faults = append(l.faults, Fault{Path: path + "." + f.Path, Text: f.Text})
	}
}

// Duration prints a duration in a fault the way a person writes it: "5m", "4m30s".
func Duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
