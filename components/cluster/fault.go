package cluster

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
