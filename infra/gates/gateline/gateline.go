// Package gateline is the line that tells how far a gate is: its format and its
// parser. The line is prose, as plain pulumi shows it to people, and is read again
// from the engine's log by whoever shows an update in another form. It knows nothing
// of what gates ask, nor of what shows them.
package gateline

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Line is what is told of a gate at one moment.
type Line struct {
	// Gate is its name: "G1 nodes ready". It holds neither a colon nor a line end. [Parse]
	// knows a gate by the G and the number at its beginning.
	Gate string
	// AtEnd: it was asked in the check at the end of an update.
	AtEnd bool
	// Holds: the graph goes on. Otherwise the gate is asked again.
	Holds bool
	// Elapsed is how long the gate has been asked, Timeout how long it may be; Timeout is
	// zero once the gate holds.
	Elapsed, Timeout time.Duration
	// Seen is what was found, of one line or several, without white space around it.
	Seen string
}

// atEnd is before the name in the check at the end.
const atEnd = "verify: "

// String is the line, such as
//
//	G1 nodes ready: waiting 4s of 10m0s: 2/3 nodes: emqx-lab-1 not registered in Nomad
//	verify: G2 cluster formed: 3/3 EMQX nodes running (100ms)
func (l Line) String() string {
	head := l.Gate + ": "
	if l.AtEnd {
		head = atEnd + head
	}
	if !l.Holds {
		return head + fmt.Sprintf("waiting %s of %s: %s", l.Elapsed, l.Timeout, l.Seen)
	}
	if _, _, _, waits := cutWaiting(l.Seen); waits {
		head += " " // what was seen never begins so: it is kept apart from the words of a wait
	}
	return head + l.Found()
}

// Found is what was seen, and of a gate that holds how long that took: "3/3 nodes
// ready (6s)".
func (l Line) Found() string {
	if !l.Holds {
		return l.Seen
	}
	return fmt.Sprintf("%s (%s)", l.Seen, l.Elapsed)
}

var (
	named    = regexp.MustCompile(`^(verify: )?(G\d+[^:\n]*): ((?s).*)$`)
	waiting  = regexp.MustCompile(`^waiting ([^\s:]+) of ([^\s:]+):(?: |$)`)
	duration = regexp.MustCompile(`^((?s).*) \(([^\s()]+)\)$`)
)

// Parse reads what [Line.String] wrote; white space that its way has taken off the
// end does not matter. Other text, such as a provider's, is no line of a gate: false.
func Parse(text string) (Line, bool) {
	m := named.FindStringSubmatch(text)
	if m == nil {
		return Line{}, false
	}
	l := Line{AtEnd: m[1] != "", Gate: m[2]}
	if elapsed, timeout, seen, waits := cutWaiting(m[3]); waits {
		l.Elapsed, l.Timeout, l.Seen = elapsed, timeout, seen
		return l, true
	}
	if m = duration.FindStringSubmatch(m[3]); m == nil {
		return Line{}, false
	}
	l.Holds, l.Seen = true, m[1]
	if _, _, _, waits := cutWaiting(strings.TrimPrefix(l.Seen, " ")); waits {
		l.Seen = l.Seen[1:]
	}
	elapsed, ok := parseDuration(m[2])
	l.Elapsed = elapsed
	return l, ok
}

// cutWaiting reads the words of a wait: "waiting 4s of 10m0s: " and what was seen.
func cutWaiting(text string) (elapsed, timeout time.Duration, seen string, ok bool) {
	m := waiting.FindStringSubmatch(text)
	if m == nil {
		return 0, 0, "", false
	}
	elapsed, isElapsed := parseDuration(m[1])
	timeout, isTimeout := parseDuration(m[2])
	return elapsed, timeout, text[len(m[0]):], isElapsed && isTimeout
}

// parseDuration reads a duration in the one form that it is written in.
func parseDuration(text string) (time.Duration, bool) {
	d, err := time.ParseDuration(text)
	return d, err == nil && d.String() == text
}
