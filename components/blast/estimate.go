package blast

import (
	"fmt"
	"math"
	"slices"

	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

// Seconds of programs: EMQX's own are measured on one without clients (it may
// take up to killTimeout to stop), the rest is what a small image takes. What a
// cloud takes the words of its kind know.
const (
	secondsEMQXStop  = 5
	secondsEMQXStart = 10
	secondsForm      = 15
	secondsPull      = 20
	secondsChecks    = 5
)

// Phase is a part of an update that begins when the one before is over.
type Phase int

// The phases, in their order.
const (
	// Making: hosts and the edge's inside, beside each other.
	Making Phase = iota
	// Relaunching: hosts of nodes that stay, one after another.
	Relaunching
	// Ending: hosts of nodes that go.
	Ending
	// Rolling: EMQX, then the proxy.
	Rolling
	// Opening: listeners.
	Opening
	// Naming: the public name.
	Naming

	phases
)

// Takes adds a part of the time to a phase.
func (a *Assessment) Takes(p Phase, part Part) { a.takes[p] = append(a.takes[p], part) }

// Latency is what the cloud takes for what takes the real one these seconds.
func (a *Assessment) Latency(seconds int) int {
	return int(math.Round(a.Settings.Latency * float64(seconds)))
}

// Pull is the time of an image, in seconds.
func (a *Assessment) Pull() int { return a.Latency(secondsPull) }

// Rejoin is how long EMQX takes to leave a host and to join from another one, in seconds, without
// the time that the other one takes to come.
func (a *Assessment) Rejoin() int {
	b := a.Settings.Broker
	return phrase.Seconds(b.ShutdownDelay) + secondsEMQXStop + a.Pull() + secondsForm + phrase.Seconds(b.MinHealthyTime)
}

// estimate adds up the phases of the graph, and the engine's own.
func (a *Assessment) estimate() Estimate {
	var e Estimate
	if len(a.report.Lines) == 0 {
		return Estimate{Parts: []Part{}}
	}
	// What is made at the same time takes as long as the longest.
	making := a.takes[Making]
	slices.SortStableFunc(making, func(x, y Part) int { return y.Seconds - x.Seconds })
	for i := range making {
		making[i].Beside = i > 0
	}
	e.Parts = append(slices.Concat(a.takes[:]...), Part{What: "the engine and its checks", Seconds: secondsChecks})
	e.Parts = slices.DeleteFunc(e.Parts, func(p Part) bool { return p.Seconds == 0 })
	for _, p := range e.Parts {
		if !p.Beside {
			e.Seconds += p.Seconds
		}
	}
	return e
}

// About is the estimate in words, rounded as befits one: "about 4 min".
func (e Estimate) About() string {
	switch s := e.Seconds; {
	case s == 0:
		return "no time"
	case s < 90:
		return fmt.Sprintf("about %d s", (s+4)/5*5)
	case s < 3600:
		return fmt.Sprintf("about %d min", (s+30)/60)
	default:
		return fmt.Sprintf("about %d h %d min", s/3600, s%3600/60)
	}
}
