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
// on its way to it may be lost, though its sessions live. OneSide and BeforeAndAfter are judged by when: across a cut
// messages are lost while it lasts, and on the way to sessions that move between brokers that all stop. None is not
// judged by messages: of the original's settings nothing is promised.
const (
	All            Promise = "all"
	OthersSessions Promise = "sessions of others"
	StaysConnected Promise = "who stays connected"
	OneSide        Promise = "one side"
	BeforeAndAfter Promise = "before and after"
	None           Promise = "none"
)

// hop is how long a message may be on its way between two brokers.
const hop = time.Second

// broken tells what of the promise a report does not keep. The fault lasted from began to ended.
func (p Promise) broken(r load.Report, began, ended time.Time) (faults []string) {
	count := func(n uint64, what string) {
		if n > 0 {
			faults = append(faults, fmt.Sprintf("%d acknowledged messages %s", n, what))
		}
	}
	switch p {
	case StaysConnected:
		count(lostUnbroken(r), "lost by subscribers whose connection stayed")
	case OneSide:
		// The brokers' connections need as long again to notice that the other side is back.
		count(lostOutside(r, began.Add(-hop), ended.Add(ended.Sub(began)+hop)), "lost before or after the cut")
	case BeforeAndAfter:
		count(lostOutside(r, began, ended), "lost before the brokers stopped or after they came back")
	case All, OthersSessions:
		count(r.Lost, "lost")
		for _, l := range r.Losses[:min(3, len(r.Losses))] {
			if l.Fate == load.Lost {
				faults = append(faults, fmt.Sprintf("%s lost %d to %d of %s, acknowledged until %.3f s", l.Subscriber, l.From, l.To, l.Publisher, l.AckedAtSeconds))
			}
		}
	case None: // not judged by messages
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

// lostOutside counts the losses that were not sent and acknowledged in a time.
func lostOutside(r load.Report, from, to time.Time) (n uint64) {
	at := func(seconds float64) time.Time { return r.Started.Add(time.Duration(seconds * float64(time.Second))) }
	for _, l := range r.Losses {
		if l.Fate == load.Lost && (at(l.SentAtSeconds).Before(from) || at(l.AckedAtSeconds).After(to)) {
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
	// Calm is how long the clients may take to be back once the work is done and the cluster is whole; 0 is 45 s.
	Calm time.Duration
	// Work breaks something and repairs it, or does it; it sees to what has to be seen meanwhile.
	Work func(context.Context, *Run) error
}

func (s Scenario) limit() time.Duration {
	if s.Limit > 0 {
		return s.Limit
	}
	return 5 * time.Minute
}

func (s Scenario) calm() time.Duration {
	if s.Calm > 0 {
		return s.Calm
	}
	return calmTime
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

	// reverted: it changed the stack file, failed, and the file is again what it was.
	reverted bool
}
