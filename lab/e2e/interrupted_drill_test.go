//go:build lab && drill

package e2e

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// TestInterrupted cuts a lab's operations off at 20 points, which a seed decides: the
// one in EMQX_OCI_SEED, or another each time.
func TestInterrupted(t *testing.T) {
	seed, count := uint64(time.Now().UnixNano()), 20
	var err error
	if given := os.Getenv("EMQX_OCI_SEED"); given != "" {
		seed, err = strconv.ParseUint(given, 10, 64)
		assert.NilError(t, err)
	}
	if given := os.Getenv("EMQX_OCI_POINTS"); given != "" {
		count, err = strconv.Atoi(given)
		assert.NilError(t, err)
	}
	t.Logf("again with the same points: EMQX_OCI_SEED=%d EMQX_OCI_POINTS=%d", seed, count)
	b := newBed(t)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	s := newSeries(t, b)
	missed := 0
	for n, i := range draw(rand.New(rand.NewPCG(seed, 0)), count) {
		if !t.Run(strconv.Itoa(n+1)+" "+i.String(), func(t *testing.T) {
			if !s.perform(t, i) {
				missed++
			}
		}) {
			b.diagnose(t)
			t.FailNow()
		}
	}
	assert.Assert(t, missed <= count/10, "%d operations ended before their point", missed)
}

// TestWhatADeadEngineMadeIsFound kills engine and all while the cloud has made
// something and has not said so, once for each kind of thing. No token and no state
// knows of it: the next run has to look.
func TestWhatADeadEngineMadeIsFound(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	s := newSeries(t, b)
	known := map[string]bool{}
	fresh := func() (ids []string) {
		for _, id := range b.status(t).Cloud.Unclaimed {
			if !known[id] {
				ids = append(ids, id)
			}
		}
		return ids
	}
	// What the id of each kind holds.
	kinds := map[string]*regexp.Regexp{
		"NetworkSecurityGroup": regexp.MustCompile(`^ocid1\.networksecuritygroup\.`), "NetworkSecurityGroupSecurityRule": regexp.MustCompile("/securityRules/"),
		"Volume": regexp.MustCompile(`^ocid1\.volume\.`), "PrivateIp": regexp.MustCompile(`^ocid1\.privateip\.`),
		"InstanceConfiguration": regexp.MustCompile(`^ocid1\.instanceconfiguration\.`), "InstancePool": regexp.MustCompile(`^ocid1\.instancepool\.`),
		"NetworkLoadBalancer": regexp.MustCompile(`^ocid1\.networkloadbalancer\.`), "BackendSet": regexp.MustCompile("/backendSets/[^/]*$"),
		"Listener": regexp.MustCompile("/listeners/"),
	}
	for len(kinds) > 0 {
		for kind := range kinds {
			b.must(t, "lab", "fault", "fail-api", "lost-answer", "--match", "Create"+kind+" oci:")
		}
		var out syncBuffer
		cmd := b.command(context.Background(), "up", "lab", "--yes")
		cmd.Stdout, cmd.Stderr = &out, &out
		assert.NilError(t, cmd.Start())
		eventually(t, 3*time.Minute, "something that nobody knows", func() error {
			if len(fresh()) == 0 {
				return errors.New(out.String())
			}
			return nil
		})
		time.Sleep(time.Second) // others of the same time
		for _, pid := range append(ours(t, b.dir), cmd.Process.Pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = cmd.Wait()
		b.must(t, "lab", "fault", "--clear")
		for _, id := range fresh() {
			known[id] = true
			t.Logf("unknown: %s", id)
			maps.DeleteFunc(kinds, func(_ string, r *regexp.Regexp) bool { return r.MatchString(id) })
		}
	}
	r := b.must(t, "up", "lab", "--yes")
	assert.Assert(t, strings.Contains(r.stdout+r.stderr, "it exists, continuing with it"), "%s", r)
	s.whole(t)
	again := b.must(t, "up", "lab", "--yes", "--json")
	assert.Equal(t, summary(t, again).Changed(), 0, "%s", again)
}

// draw makes points that are spread over the whole of each operation: each part of an
// operation is as likely as any other, and none is left out.
func draw(rng *rand.Rand, count int) []interruption {
	names := []string{"update", "scale-in", "destroy"}
	var out []interruption
	for n := range count {
		per := (count + len(names) - 1 - n%len(names)) / len(names)
		i := interruption{
			operation: names[n%len(names)], at: (float64(n/len(names)) + rng.Float64()) / float64(per),
			pause: time.Duration(rng.IntN(1000)) * time.Millisecond, signal: syscall.SIGTERM, all: rng.IntN(3) == 0,
			next: []string{"up", "destroy"}[rng.IntN(2)], image: n/len(names)%2 == 0,
		}
		if n%2 == 1 {
			i.signal = syscall.SIGKILL
		}
		if i.operation != "destroy" {
			i.next = "up"
		}
		out = append(out, i)
	}
	// The parts in no order: early cuts do not meet the same signal always.
	for o := range names {
		for n := o; n < len(out); n += len(names) {
			m := o + len(names)*rng.IntN((len(out)-o+len(names)-1)/len(names))
			out[n].at, out[m].at = out[m].at, out[n].at
		}
	}
	return out
}
