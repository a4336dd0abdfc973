//go:build lab && drill

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// TestRefused is about work that somebody refuses: a stack that is being worked on,
// and an API that fails.
func TestRefused(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	s := newSeries(t, b)
	for _, c := range []struct {
		name string
		f    func(*testing.T, *series)
	}{
		{"an API that fails for a while delays an update", flakyAPI},
		{"an API that refuses ends an update, and the next goes on", refusingAPI},
		{"two at once", twoAtOnce},
	} {
		if !t.Run(c.name, func(t *testing.T) { c.f(t, s) }) {
			b.diagnose(t)
			t.FailNow()
		}
	}
}

func flakyAPI(t *testing.T, s *series) {
	for _, f := range []string{
		"429 --rate 0.3 --for 20s", "InternalServerError --rate 0.3 --for 15s", "IncorrectState --rate 0.3 --for 10s",
		"timeout --match CreatePrivateIp --for 4s", "lost-answer --match CreateVolume --for 4s", "lost-answer --match CreateInstancePool --for 8s",
	} {
		s.fault(t, "fail-api "+f)
	}
	s.setNodes(t, 4)
	s.must(t, "up", "lab", "--yes")
	s.whole(t)
}

func refusingAPI(t *testing.T, s *series) {
	s.fault(t, "fail-api Conflict --match UpdateBackendSet")
	s.setNodes(t, 3)
	r := s.run(t, "up", "lab", "--yes")
	assert.Assert(t, r.code == 1 && strings.Contains(r.stderr, "409-Conflict") && strings.Contains(r.stderr, "balancer-"), "%s", r)
	s.fault(t, "--clear")
	s.must(t, "up", "lab", "--yes")
	s.whole(t)
}

// twoAtOnce lets each entry find the other at work. A refresh takes the same lock as
// an update, and long when the API is slow.
func twoAtOnce(t *testing.T, s *series) {
	p := newPlain(t, s.bed)
	s.fault(t, "slow-api 3s")
	held := func() {
		t.Helper()
		eventually(t, time.Minute, "a lock", func() error {
			locks, err := filepath.Glob(filepath.Join(s.dir, "pulumi", ".pulumi", "locks", "*", "*", "*", "*.json"))
			if err == nil && len(locks) == 0 {
				err = fmt.Errorf("none yet")
			}
			return err
		})
	}
	refused := func(text string) {
		t.Helper()
		assert.Assert(t, strings.Contains(text, `stack "lab" is locked by `) && strings.Contains(text, "wait until that run ends"), "%s", text)
	}

	var out syncBuffer
	first := s.start(t, &out, "refresh", "lab")
	held()
	r := s.run(t, "up", "lab", "--yes")
	assert.Equal(t, r.code, 1, "%s", r)
	refused(r.stderr)
	// The same as a person sees it: on a terminal.
	up := s.command(context.Background(), "up", "lab", "--yes")
	terminal := exec.CommandContext(t.Context(), "script", "-qec", strings.Join(up.Args, " "), "/dev/null")
	terminal.Dir, terminal.Env = up.Dir, up.Env
	screen, err := terminal.CombinedOutput()
	assert.ErrorContains(t, err, "exit status 1")
	refused(strings.Join(strings.Fields(string(screen)), " "))
	r = p.pulumi(t, "refresh", "--yes")
	assert.Assert(t, r.code != 0 && strings.Contains(r.stdout+r.stderr, "currently locked by"), "%s", r)
	assert.NilError(t, first.Wait(), "%s", out.String())

	other := make(chan result, 1)
	go func() { other <- p.pulumi(t, "refresh", "--yes") }()
	held()
	r = s.run(t, "up", "lab", "--yes")
	assert.Equal(t, r.code, 1, "%s", r)
	refused(r.stderr)
	r = <-other
	assert.Equal(t, r.code, 0, "%s", r)
	s.fault(t, "--clear")
	s.must(t, "up", "lab", "--yes")
	s.whole(t)
}
