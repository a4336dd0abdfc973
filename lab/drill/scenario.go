package drill

import (
	"context"
	"fmt"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/load"
)

// Promise is what docs/availability.md says of acknowledged messages.
type Promise string

// The promises. StaysConnected is judged by the subscribers whose connection stayed: of a broker that was frozen, what was
// on its way to it may be lost, though its sessions live. OneSide and None are not judged by messages: across a cut they may be lost, and of the original's
// settings nothing is promised.
const (
	All            Promise = "all"
	OthersSessions Promise = "sessions of others"
	StaysConnected Promise = "who stays connected"
	OneSide        Promise = "one side"
	None           Promise = "none"
)

// broken tells what of the promise a report does not keep.
func (p Promise) broken(r load.Report) (faults []string) {
	count := func(n uint64, what string) {
		if n > 0 {
			faults = append(faults, fmt.Sprintf("%d acknowledged messages %s", n, what))
		}
	}
	switch p {
	case StaysConnected:
		count(lostUnbroken(r), "lost by subscribers whose connection stayed")
	case All, OthersSessions:
		count(r.Lost, "lost")
		for _, l := range r.Losses[:min(3, len(r.Losses))] {
			if l.Fate == load.Lost {
				faults = append(faults, fmt.Sprintf("%s lost %d to %d of %s, acknowledged until %.3f s", l.Subscriber, l.From, l.To, l.Publisher, l.AckedAtSeconds))
			}
		}
	case OneSide, None: // not judged by messages
	}
	if p == All {
		count(r.LostWithSession, "lost with their session")
		count(r.MissedWhileAway, "missed by clients without a session")
	}
	if r.StillAway > 0 {
		faults = append(faults, fmt.Sprintf("%d clients are not back", r.StillAway))
	}
	return faults
}

// lostUnbroken counts the losses of subscribers that were connected all the time.
func lostUnbroken(r load.Report) (n uint64) {
	broke := map[string]bool{}
	for _, b := range r.Breaks {
		broke[b.Client] = true
	}
	for _, l := range r.Losses {
		if l.Fate == load.Lost && !broke[l.Subscriber] {
			n += l.Messages
		}
	}
	return n
}

// Scenario is one thing that goes wrong, or is done.
type Scenario struct {
	// Name is what -run picks it by, Does one line for the reader.
	Name, Does string
	Promise    Promise
	// Runs by default; 0 is 1.
	Runs int
	// Limit bounds all of one run but the account; 0 is 5 minutes.
	Limit time.Duration
	// ConnectTimeout is how long a client waits until it is connected and subscribed; 0 is 5 s.
	ConnectTimeout time.Duration
	// Work breaks something and repairs it, or does it; it sees to what has to be seen meanwhile.
	Work func(context.Context, *Run) error
}

func (s Scenario) limit() time.Duration {
	if s.Limit > 0 {
		return s.Limit
	}
	return 5 * time.Minute
}

// Step is something that was seen on the way.
type Step struct {
	What string
	// After the fault, or -1: it was not seen within Limit.
	After, Limit time.Duration
	Last         string // why not
}

// Result is one run of a scenario.
type Result struct {
	Scenario Scenario
	Report   load.Report
	// Whole is the time from the fault (from its end, where it lasts) to full strength.
	Whole time.Duration
	Steps []Step
	// Broken is everything that is not as promised.
	Broken []string
}
