package blast

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Seconds on the real cloud: those of lab/cloud/latency.go, which names source or
// assumption of each, and a test compares. A cloud may have a part of them
// (settings.Latency).
const (
	secondsVolume   = 11
	secondsPool     = 15
	secondsLaunch   = 75
	secondsBoot     = 60
	secondsAttach   = 15
	secondsAddress  = 3
	secondsEnd      = 60
	secondsBalancer = 60
	secondsChild    = 12
	secondsRecord   = 4
)

// Seconds of programs: EMQX's own are measured on one without clients (it may
// take up to killTimeout to stop), the rest is what a small image takes.
const (
	secondsInstall    = 60 // packages and agents of a fresh instance; none where the image has them
	secondsEMQXStop   = 5
	secondsEMQXStart  = 10
	secondsForm       = 15
	secondsPull       = 20
	secondsProxyStart = 3
	secondsChecks     = 5
	secondsUnits      = 8 // of an instance: what its boot takes on a cloud without latencies
)

// waits are what is waited for besides nodes that come, go and restart.
type waits struct {
	volumes, emqxStarts, proxiesStart, pull, balancer, record bool
	// emqxWatched and proxiesWatched: Nomad takes a job's new version over in
	// place, and still waits until every allocation has stayed healthy with it.
	emqxWatched, proxiesWatched bool
	// turns are the instances that are relaunched one after another.
	turns int
	// edge and listeners are the balancer's children, which OCI takes one by one.
	edge, listeners int
}

// estimate adds up the phases of the graph: instances and the balancer's inside
// beside each other, then EMQX, HAProxy, listeners, the record.
func (a *assessment) estimate() Estimate {
	var e Estimate
	if len(a.report.Lines) == 0 {
		return Estimate{Parts: []Part{}}
	}
	n, w := a.report.Nodes, a.waits
	for _, l := range a.report.Lines {
		if l.Area == "nodes" { // sets that get and lose their backends came along
			for _, r := range l.Resources {
				if strings.HasPrefix(r, typeSet+" ") {
					w.edge++
				}
			}
		}
	}

	var cloud []Part
	if len(n.Added)+len(n.Relaunched)-w.turns > 0 {
		seconds := a.launch(secondsVolume + secondsPool + secondsLaunch + secondsBoot + secondsInstall + secondsAttach + secondsAddress)
		cloud = append(cloud, Part{What: "launch and boot of instances, all at once", Seconds: seconds})
	} else if w.volumes {
		cloud = append(cloud, Part{What: "volumes", Seconds: a.latency(secondsVolume)})
	}
	if w.balancer || w.edge > 0 {
		seconds := w.edge * secondsChild
		what := inTurn(w.edge, "part") + " of the balancer"
		if w.balancer {
			seconds += secondsBalancer
			what = "the balancer with " + strings.TrimSuffix(inTurn(w.edge, "part"), ",")
		}
		cloud = append(cloud, Part{What: what, Seconds: a.latency(seconds)})
	}
	if len(cloud) == 2 {
		if cloud[1].Seconds > cloud[0].Seconds {
			cloud[0], cloud[1] = cloud[1], cloud[0]
		}
		cloud[1].Beside = true
	}
	e.Parts = append(e.Parts, cloud...)

	if w.turns > 0 {
		e.Parts = append(e.Parts, Part{What: inTurn(w.turns, "instance") + " relaunched", Seconds: w.turns * a.away()})
	}
	if len(n.Removed) > 0 {
		e.Parts = append(e.Parts, Part{What: "end of instances", Seconds: a.latency(secondsEnd + secondsPool)})
	}
	e.Parts = append(e.Parts, a.rolls()...)
	if w.listeners > 0 {
		e.Parts = append(e.Parts, Part{What: strings.TrimSuffix(inTurn(w.listeners, "listener"), ","), Seconds: a.latency(w.listeners * secondsChild)})
	}
	if w.record {
		e.Parts = append(e.Parts, Part{What: "the DNS record", Seconds: a.latency(secondsRecord)})
	}
	e.Parts = append(e.Parts, Part{What: "the engine and its checks", Seconds: secondsChecks})
	e.Parts = slices.DeleteFunc(e.Parts, func(p Part) bool { return p.Seconds == 0 })
	for _, p := range e.Parts {
		if !p.Beside {
			e.Seconds += p.Seconds
		}
	}
	return e
}

// latency is what the cloud takes for what takes OCI these seconds.
func (a *assessment) latency(seconds int) int { return int(math.Round(a.s.Latency * float64(seconds))) }

// launch is what an instance takes: it boots, however quick the cloud.
func (a *assessment) launch(seconds int) int { return max(secondsUnits, a.latency(seconds)) }

// pull is the time of an image.
func (a *assessment) pull() int { return a.latency(secondsPull) }

// rolls are the two jobs.
func (a *assessment) rolls() []Part {
	var parts []Part
	n, w := a.report.Nodes, a.waits
	b, p := a.s.Broker, a.s.Proxy
	if len(n.Restarted) > 0 {
		pull := 0
		if w.pull {
			pull = a.pull()
		}
		each := whole(b.ShutdownDelay) + secondsEMQXStop + pull + secondsEMQXStart + whole(b.MinHealthyTime)
		what := fmt.Sprintf("EMQX on each of %s: %d s to leave HAProxy, %d to stop, ", count(len(n.Restarted), "node"), whole(b.ShutdownDelay), secondsEMQXStop)
		if pull > 0 {
			what += fmt.Sprintf("%d for the image, ", pull)
		}
		what += fmt.Sprintf("%d to start, %d healthy", secondsEMQXStart, whole(b.MinHealthyTime))
		times := len(n.Restarted)
		if a.report.atOnce {
			times = 1
		}
		parts = append(parts, Part{What: what, Seconds: each * times})
	} else if w.emqxStarts {
		parts = append(parts, Part{What: "EMQX on new nodes: image, start, join", Seconds: a.pull() + secondsForm + whole(b.MinHealthyTime)})
	}
	if w.emqxWatched && len(n.Restarted) == 0 && !w.emqxStarts {
		parts = append(parts, Part{What: "EMQX to stay healthy", Seconds: whole(b.MinHealthyTime)})
	}
	if len(n.ProxyRestarted) > 0 {
		stop := whole(p.KillTimeout) - 5
		each := stop + secondsProxyStart + whole(p.MinHealthyTime)
		parts = append(parts, Part{
			What:    fmt.Sprintf("HAProxy on each of %s: %d s to let its clients go, %d to start, %d healthy", count(len(n.ProxyRestarted), "node"), stop, secondsProxyStart, whole(p.MinHealthyTime)),
			Seconds: each * len(n.ProxyRestarted),
		})
	} else if w.proxiesStart {
		parts = append(parts, Part{What: "HAProxy on new nodes", Seconds: a.pull() + secondsProxyStart + whole(p.MinHealthyTime)})
	} else if w.proxiesWatched {
		parts = append(parts, Part{What: "HAProxy to stay healthy", Seconds: whole(p.MinHealthyTime)})
	}
	return parts
}

// inTurn counts what OCI does one after another.
func inTurn(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return count(n, what) + ", one after another,"
}

func whole(d time.Duration) int { return int(d.Round(time.Second).Seconds()) }

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
