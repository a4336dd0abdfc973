package cluster

import (
	"strings"
	"time"
)

// Fault is a rule between values that does not hold, in words that fit a setting and an
// argument alike.
type Fault struct {
	// Of is the value that is wrong: "killTimeout".
	Of string
	// Text says what is allowed and what was found: "must be at most 10m, got 1h".
	Text string
	// With are the other values that the rule looks at. Whoever knows that one of them is
	// wrong by itself need not tell this fault.
	With []string
}

// Duration prints one the way a person writes it: "5m", "4m30s".
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
