package cluster

import (
	"cmp"
	"fmt"
	"time"

	"github.com/emqx-oci/emqx-oci/components/fault"
)

// Times are how patiently Nomad rolls a job.
type Times struct {
	// ShutdownDelay: for EMQX, between leaving Consul and the stop signal; for HAProxy,
	// how long it still accepts clients while its health page fails already.
	ShutdownDelay time.Duration
	// KillTimeout is between the stop signal and the kill, for HAProxy counting its
	// ShutdownDelay. The clients' max_kill_timeout ([MaxKillTimeout]) caps it.
	KillTimeout time.Duration
	// MinHealthyTime is how long an allocation passes its checks before the
	// next is replaced.
	MinHealthyTime time.Duration
	// HealthyDeadline is how long one allocation may take, with the pull of its image.
	HealthyDeadline time.Duration
	// ProgressDeadline is within which the next one must; above HealthyDeadline.
	ProgressDeadline time.Duration
}

// Drain is how a stopping node moves the clients that are still connected to it.
type Drain struct {
	// Rate is in clients per second; 0 moves none.
	Rate int
	// Timeout is how long that may take; whoever is left then is cut.
	Timeout time.Duration
}

// Time is how long a stop may take longer for it.
func (d Drain) Time() time.Duration {
	if d.Rate == 0 {
		return 0
	}
	return d.Timeout
}

const (
	// BrokerStop is how long EMQX may take to stop (bin/emqx, EMQX_WAIT_FOR_STOP:
	// 120 s), and 10 s for the container.
	BrokerStop = 130 * time.Second
	// ProxyStop is the least that HAProxy has to end in, once it accepts nobody.
	ProxyStop = 10 * time.Second
	// MaxKillTimeout is the max_kill_timeout of the nodes' Nomad clients: what a job asks
	// for beyond it, it does not get. Nomad's own is 30 s.
	MaxKillTimeout = 10 * time.Minute
	// Forgotten is how long after a broker left Consul a HAProxy may still send it new
	// clients: haproxy.cfg's hold nx (3 s) and hold valid (1 s), counted from an
	// answer that may be one hold valid old, and three answers that may be lost, 1 s each
	// (resolve_retries, timeout retry); 1 s for Consul to tell its agents.
	Forgotten = 9 * time.Second
)

// DefaultDrain of a stack that names no other.
var DefaultDrain = Drain{Rate: 500, Timeout: 2 * time.Minute}

// defaultPace is that of both jobs.
var defaultPace = Times{MinHealthyTime: 15 * time.Second, HealthyDeadline: 5 * time.Minute, ProgressDeadline: 10 * time.Minute}

// BrokerTimes are those of EMQX's job where none are given: it leaves Consul for longer
// than [Forgotten], and has 20 s more than it needs to stop after its drain.
func BrokerTimes(d Drain) Times {
	t := defaultPace
	t.ShutdownDelay, t.KillTimeout = 15*time.Second, BrokerStop+20*time.Second+d.Time()
	return t
}

// ProxyTimes are those of HAProxy's job where none are given: the balancer's health
// check takes about 30 s to notice that it fails.
func ProxyTimes() Times {
	t := defaultPace
	t.ShutdownDelay, t.KillTimeout = 40*time.Second, 60*time.Second
	return t
}

// Or takes from other what is zero.
func (t Times) Or(other Times) Times {
	return Times{
		ShutdownDelay:    cmp.Or(t.ShutdownDelay, other.ShutdownDelay),
		KillTimeout:      cmp.Or(t.KillTimeout, other.KillTimeout),
		MinHealthyTime:   cmp.Or(t.MinHealthyTime, other.MinHealthyTime),
		HealthyDeadline:  cmp.Or(t.HealthyDeadline, other.HealthyDeadline),
		ProgressDeadline: cmp.Or(t.ProgressDeadline, other.ProgressDeadline),
	}
}

// BrokerFaults are what is wrong with the times of EMQX's job.
func (t Times) BrokerFaults(d Drain) []Fault {
	found := t.faults()
	if d.Rate > 0 && d.Timeout < time.Second {
		found = append(found, Fault{Of: "drain.timeout", Text: fmt.Sprintf("must be at least 1s, got %s", fault.Duration(d.Timeout))})
	}
	switch least := BrokerStop + d.Time(); {
	case t.KillTimeout >= least:
	case d.Time() == 0:
		found = append(found, Fault{
			Of: "killTimeout", Text: fmt.Sprintf("must be at least %s, as EMQX takes up to 120 s to stop, got %s", seconds(BrokerStop), fault.Duration(t.KillTimeout)),
		})
	default:
		found = append(found, Fault{
			Of: "killTimeout", With: []string{"drain.timeout"},
			Text: fmt.Sprintf("must be at least %s above drain.timeout (%s), as EMQX stops after it, got %s",
				seconds(BrokerStop), fault.Duration(d.Timeout), fault.Duration(t.KillTimeout)),
		})
	}
	return found
}

// ProxyFaults are what is wrong with the times of HAProxy's job.
func (t Times) ProxyFaults() []Fault {
	found := t.faults()
	if t.KillTimeout < t.ShutdownDelay+ProxyStop {
		found = append(found, Fault{
			Of: "killTimeout", With: []string{"shutdownDelay"},
			Text: fmt.Sprintf("must be at least %s above shutdownDelay (%s), got %s", seconds(ProxyStop), fault.Duration(t.ShutdownDelay), fault.Duration(t.KillTimeout)),
		})
	}
	return found
}

// faults are what Nomad's server would refuse only during the update, and what its
// clients would not do.
func (t Times) faults() []Fault {
	var found []Fault
	for _, x := range []struct {
		of string
		d  time.Duration
	}{{"shutdownDelay", t.ShutdownDelay}, {"killTimeout", t.KillTimeout}, {"minHealthyTime", t.MinHealthyTime}} {
		if x.d < time.Second {
			found = append(found, Fault{Of: x.of, Text: fmt.Sprintf("must be at least 1s, got %s", fault.Duration(x.d))})
		}
	}
	if t.HealthyDeadline <= t.MinHealthyTime {
		found = append(found, Fault{
			Of: "healthyDeadline", With: []string{"minHealthyTime"},
			Text: fmt.Sprintf("must be longer than minHealthyTime (%s), got %s", fault.Duration(t.MinHealthyTime), fault.Duration(t.HealthyDeadline)),
		})
	}
	switch {
	case t.ProgressDeadline <= t.HealthyDeadline:
		found = append(found, Fault{
			Of:   "progressDeadline",
			Text: fmt.Sprintf("must be longer than healthyDeadline (%s), got %s", fault.Duration(t.HealthyDeadline), fault.Duration(t.ProgressDeadline)),
		})
	case t.KillTimeout > MaxKillTimeout:
		found = append(found, Fault{
			Of:   "killTimeout",
			Text: fmt.Sprintf("must be at most %s, which is what the nodes' Nomad clients allow, got %s", fault.Duration(MaxKillTimeout), fault.Duration(t.KillTimeout)),
		})
	case t.ProgressDeadline < t.KillTimeout:
		found = append(found, Fault{
			Of:   "killTimeout",
			Text: fmt.Sprintf("must be at most progressDeadline (%s), or Nomad refuses the job, got %s", fault.Duration(t.ProgressDeadline), fault.Duration(t.KillTimeout)),
		})
	}
	return found
}

// seconds prints a limit as the settings' page has it: "130s".
func seconds(d time.Duration) string { return fmt.Sprintf("%ds", int(d.Seconds())) }
