package cloud

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// A backend's health as OCI names it; a backend not yet checked has none.
const (
	healthOK       = "OK"
	healthCritical = "CRITICAL"
	healthWarning  = "WARNING"
	healthUnknown  = "UNKNOWN"
)

// probe is one health check that is due.
type probe struct {
	backend  string
	from     netip.Addr
	url      string
	timeout  time.Duration
	interval time.Duration
	retries  int
	want     int
}

// sets are the backend sets of all balancers.
func (s *state) sets() []*resource { return slices.Concat(s.of(typeBackendSet), s.of(typeFlexSet)) }

// probes are the checks of all backends by id.
func (s *state) probes() map[string]probe {
	out := map[string]probe{}
	for _, set := range s.sets() {
		nlb, ok := s.Resources[parentOf(set)]
		if !ok || nlb.State == terminating || set.State != active {
			continue
		}
		checker := sub(set.In, "healthChecker")
		scheme := map[string]string{"HTTP": "http", "HTTPS": "https", "TCP": "tcp"}[str(checker, "protocol")]
		for _, b := range s.backends(nlb.ID, childName(set)) {
			addr, ok := s.backendAddress(b)
			if !ok || b.State != active {
				continue
			}
			port := wholeOr(checker, "port", 0)
			if port == 0 {
				port = wholeOr(b.In, "port", 0)
			}
			out[b.ID] = probe{
				backend: b.ID, from: netip.MustParseAddr(nlb.Address),
				url:      fmt.Sprintf("%s://%s:%d%s", scheme, addr, port, str(checker, "urlPath")),
				timeout:  time.Duration(wholeOr(checker, "timeoutInMillis", 3000)) * time.Millisecond,
				interval: time.Duration(wholeOr(checker, "intervalInMillis", wholeOr(checker, "intervalMs", 10000))) * time.Millisecond,
				retries:  wholeOr(checker, "retries", 3), want: wholeOr(checker, "returnCode", 200),
			}
		}
	}
	return out
}

// check performs one and returns OCI's word for the result.
func (c *Cloud) check(ctx context.Context, p probe) string {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	status, err := c.machine.CheckHTTP(ctx, p.from, p.url)
	var timeout net.Error
	switch {
	case err == nil && (status == p.want || p.url[:3] == "tcp"):
		return healthOK
	case err == nil:
		return "INVALID_STATUS_CODE"
	case ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout():
		return "TIMED_OUT"
	default:
		return "CONNECT_FAILED"
	}
}

// record counts a result in. The first one decides at once; after that a state
// changes when as many results in a row contradict it as the checker has retries,
// down and up alike.
func (c *Cloud) record(p probe, result string) (changed bool, err error) {
	err = c.change(func(s *state) error {
		b, ok := s.Resources[p.backend]
		if !ok || b.State == terminating {
			delete(c.streaks, p.backend)
			return errNothing
		}
		b.Check, b.Checked = result, c.clock.Now().UTC()
		now := healthCritical
		if result == healthOK {
			now = healthOK
		}
		if b.Health == now {
			delete(c.streaks, p.backend)
			return errNothing // what was seen last need not survive a restart
		}
		c.streaks[p.backend]++
		if b.Health != "" && c.streaks[p.backend] < p.retries {
			return errNothing
		}
		delete(c.streaks, p.backend)
		c.logf("backend %s of %s is %s (%s)", childName(b), setOf(b), now, result)
		b.Health, changed = now, true
		return nil
	})
	if errors.Is(err, errNothing) {
		err = nil
	}
	return changed, err
}

// watchHealth checks every backend at its interval until ctx ends.
func (c *Cloud) watchHealth(ctx context.Context, tick time.Duration) {
	type result struct {
		p    probe
		seen string
	}
	results := make(chan result)
	due := map[string]time.Time{}
	underway := map[string]bool{}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-results:
			delete(underway, r.p.backend)
			changed, err := c.record(r.p, r.seen)
			if err == nil && changed {
				err = c.push(ctx)
			}
			if err != nil && ctx.Err() == nil {
				c.logf("publishing a change of health: %v", err)
			}
		case <-ticker.C:
			var probes map[string]probe
			c.read(func(s *state) { probes = s.probes() })
			now := time.Now()
			for id := range due {
				if _, ok := probes[id]; !ok {
					delete(due, id) // one that comes back under this name is checked at once
				}
			}
			for id, p := range probes {
				if underway[id] || now.Before(due[id]) {
					continue
				}
				underway[id], due[id] = true, now.Add(p.interval)
				go func() {
					seen := c.check(ctx, p)
					select {
					case results <- result{p, seen}:
					case <-ctx.Done():
					}
				}()
			}
		}
	}
}

// backendHealth is one backend's state as OCI's API words it.
func backendHealth(b *resource) string {
	if b.Health == "" {
		return healthUnknown
	}
	return b.Health
}

// setHealth sums up a backend set: OK when all are, WARNING when at least half
// are, UNKNOWN when more than half are unknown, CRITICAL otherwise.
func setHealth(backends []*resource) string {
	count := map[string]int{}
	for _, b := range backends {
		count[backendHealth(b)]++
	}
	switch n := len(backends); {
	case n == 0 || count[healthUnknown]*2 > n:
		return healthUnknown
	case count[healthOK] == n:
		return healthOK
	case count[healthOK]*2 >= n:
		return healthWarning
	default:
		return healthCritical
	}
}
