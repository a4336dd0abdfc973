//go:build lab

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/infra/operate"
)

// look is what `emqx-oci status` says, and its exit code.
func (b *bed) look(t *testing.T) (operate.Status, int) {
	t.Helper()
	r := b.run(t, "status", "--json")
	var s operate.Status
	assert.NilError(t, json.Unmarshal([]byte(r.stdout), &s), "%s", r)
	assert.Equal(t, r.code == 0, s.Well, "%s", r)
	return s, r.code
}

func (b *bed) well(t *testing.T, within time.Duration) {
	t.Helper()
	eventually(t, within, "a cluster that is well", func() error {
		if s, code := b.look(t); code != 0 {
			return fmt.Errorf("%+v", s.Problems)
		}
		return nil
	})
}

// sees waits until status says all of the words in one problem.
func (b *bed) sees(t *testing.T, within time.Duration, words ...string) operate.Problem {
	t.Helper()
	var found operate.Problem
	eventually(t, within, fmt.Sprintf("status naming %q", words), func() error {
		s, _ := b.look(t)
		for _, p := range s.Problems {
			all := true
			for _, w := range words {
				all = all && strings.Contains(p.What+" "+p.Next, w)
			}
			if all {
				found = p
				return nil
			}
		}
		return fmt.Errorf("%+v", s.Problems)
	})
	return found
}

// rebalanced: a broker that was away comes back empty, and clients stay where they went
// until somebody moves them. Nothing that was acknowledged is lost.
func rebalanced(t *testing.T, b *bed) {
	b.well(t, time.Minute)
	b.underLoad(t, func() {
		b.fault(t, "kill-broker 2")
		b.sees(t, 20*time.Second, "emqx-lab-2")
		b.well(t, 2*time.Minute)
		before := b.spread(t)
		assert.Equal(t, before[2], 0, "%v", before)

		r := b.must(t, "rebalance", "--dry-run")
		assert.Assert(t, strings.Contains(r.stdout, "TO MOVE"), "%s", r)
		assert.DeepEqual(t, b.spread(t), before)

		r = b.must(t, "rebalance", "--yes", "--rate", "10", "--tolerance", "20")
		after := b.spread(t)
		t.Logf("clients by node: %v, then %v\n%s", before, after, r.stdout)
		mean := (after[0] + after[1] + after[2] + 2) / 3
		for _, n := range after {
			assert.Assert(t, n*100 <= mean*120, "%v", after)
		}
	})
}

func (b *bed) spread(t *testing.T) []int {
	t.Helper()
	var clients []int
	eventually(t, 30*time.Second, "a count of every node's clients", func() error {
		clients = nil
		s, _ := b.look(t)
		for _, n := range s.Nodes {
			if n.Clients == nil {
				return fmt.Errorf("%s does not say", n.Name)
			}
			clients = append(clients, *n.Clients)
		}
		return nil
	})
	return clients
}

// fullStop takes the power from all nodes and gives it back, one node last; then Nomad
// stops and starts the job. Status says who waits for whom, and no update is needed.
func fullStop(t *testing.T, b *bed) {
	const topic = "e2e/full-stop"
	b.must(t, "lab", "exec", "--", "mosquitto_pub", "-h", name, "-q", "1", "-r", "-t", topic, "-m", "kept")
	kept := func() {
		t.Helper()
		eventually(t, time.Minute, "the retained message", func() error {
			if r := b.run(t, "lab", "exec", "--", "mosquitto_sub", "-h", name, "-t", topic, "-C", "1", "-W", "5"); strings.TrimSpace(r.stdout) != "kept" {
				return fmt.Errorf("%s", r)
			}
			return nil
		})
	}
	power := func(on bool, nodes ...int) {
		t.Helper()
		var all sync.WaitGroup
		for _, i := range nodes {
			args := []string{"lab", "fault", "stop-instance", fmt.Sprint(i)}
			if on {
				args = append(args, "--undo")
			}
			all.Go(func() { assert.Check(t, b.run(t, args...).code == 0) })
		}
		all.Wait()
	}

	power(false, 0, 1, 2)
	b.sees(t, time.Minute, "emqx-lab-0", "emqx-lab-1", "emqx-lab-2", "whether the instance runs")
	power(true, 0, 1)
	p := b.sees(t, 2*time.Minute, "no member serves", "emqx-lab-0 and emqx-lab-1 wait", "emqx@emqx-lab-2.node.dc1.consul", "force-load", "force-leave")
	t.Logf("%s\nnext: %s", p.What, p.Next)
	begin := time.Now()
	power(true, 2)
	b.well(t, 4*time.Minute)
	t.Logf("well %s after the last node had power again", time.Since(begin).Round(time.Second))
	kept()

	jobs := nomadClient(t).Jobs()
	_, _, err := jobs.Deregister(emqxJob, false, nil)
	assert.NilError(t, err)
	b.sees(t, time.Minute, "job "+emqxJob+" is stopped", "nomad job start")
	eventually(t, time.Minute, "every task ended", func() error {
		s, _ := b.look(t)
		for _, n := range s.Nodes {
			if n.Broker.State != "complete" {
				return fmt.Errorf("%s is %s", n.Name, n.Broker.State)
			}
		}
		return nil
	})
	job, _, err := jobs.Info(emqxJob, nil)
	assert.NilError(t, err)
	start := false
	job.Stop = &start
	_, _, err = jobs.Register(job, nil)
	assert.NilError(t, err)
	begin = time.Now()
	b.well(t, 3*time.Minute)
	t.Logf("well %s after the job was started", time.Since(begin).Round(time.Second))
	kept()
	b.must(t, "verify")
}

// wholeAnswers asks often and side by side, through Nomad's docker driver, which ends
// one session in a hundred before the command has begun.
func wholeAnswers(t *testing.T) {
	api := nomadClient(t)
	client, err := gates.NewNomad(gates.NomadConfig{Address: "http://" + bedOf(t).door + ":4646"})
	assert.NilError(t, err)
	var wg sync.WaitGroup
	for _, a := range running(t, api, emqxJob) {
		for range 2 {
			wg.Go(func() {
				for n := range 60 {
					r, err := client.Exec(t.Context(), a.ID, "emqx", "/bin/sh", "-c", fmt.Sprintf("echo out; echo err >&2; exit %d", n))
					assert.Check(t, err)
					assert.Check(t, r == gates.ExecResult{Stdout: "out\n", Stderr: "err\n", Exit: n}, "%+v", r)
				}
			})
		}
	}
	wg.Wait()
}
