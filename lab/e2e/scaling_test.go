//go:build lab

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// scaling goes from three nodes to more and back, under clients that stay: new ones join
// empty, leave the cluster by themselves, and can come back; the others are not restarted.
// Consul answers more than three members in full only by TCP.
func scaling(t *testing.T, b *bed, count int) {
	const guards = "  emqx-oci:guards:\n    allowVolumeDelete: true\n    allowScaleIn: true\n"
	b.edit(t, "  emqx-oci:gates:\n", guards+"  emqx-oci:gates:\n")
	defer b.edit(t, guards, "")
	var out syncBuffer
	c := nomadClient(t) // one: Nomad counts the connections that each leaves open
	clients := 0
	var topics []string
	more := func(batch int) {
		t.Helper()
		// -c keeps the session. mosquitto_sub connects again by itself, but gives up
		// when that fails at once.
		b.start(t, &out, "lab", "exec", "--", "sh", "-c", fmt.Sprintf(
			`for i in $(seq %d); do (while :; do mosquitto_sub -h %s -i stays-%d-$i -c -q 1 -t e2e/stays/%d/$i; sleep 1; done) & done; wait`, batch, name, clients, clients))
		for i := range batch {
			topics = append(topics, fmt.Sprintf("e2e/stays/%d/%d", clients, i+1))
		}
		clients += batch
	}
	connected := func(nodes int) {
		t.Helper()
		// One whose CONNECT was lost finds out by its keep-alive, after a minute.
		eventually(t, 2*time.Minute, "every client connected", func() error {
			seen, count := staying(t, c), 0
			for _, n := range seen {
				count += n
			}
			if count != clients || len(seen) > nodes {
				return fmt.Errorf("of %d clients by node: %v", clients, seen)
			}
			return nil
		})
	}
	// Every broker has some of the clients: a message to each goes through all of them.
	reached := func(word string) {
		t.Helper()
		b.must(t, "lab", "exec", "--", "sh", "-c", fmt.Sprintf(`for t in %s; do mosquitto_pub -h %s -q 1 -t "$t" -m "%s $t" || exit; done`,
			strings.Join(topics, " "), name, word))
		eventually(t, time.Minute, "a message at every client", func() error {
			got := out.String()
			for _, topic := range topics {
				if !strings.Contains(got, word+" "+topic+"\n") {
					return fmt.Errorf("nothing came of %s", topic)
				}
			}
			return nil
		})
	}
	more(24)
	connected(3)
	before := allocations(t, c)

	few, many := "    count: 3\n", fmt.Sprintf("    count: %d\n", count)
	b.edit(t, few, many)
	b.must(t, "up", "lab", "--yes")
	wantMembers(t, c, count)
	// A new node has the fewest, so it gets new clients as soon as the proxies
	// know it: those that are there stay where they are.
	eventually(t, time.Minute, "clients on the new nodes", func() error {
		more(2 * count)
		time.Sleep(2 * time.Second)
		if seen := staying(t, c); len(seen) != count {
			return fmt.Errorf("clients by node: %v", seen)
		}
		return nil
	})
	connected(count)
	reached(fmt.Sprint("of ", count))
	b.edit(t, many, few)
	b.must(t, "up", "lab", "--yes")
	// No `emqx ctl cluster force-leave` by hand.
	wantMembers(t, c, 3)
	connected(3)
	assert.DeepEqual(t, allocations(t, c), before)
	r := b.must(t, "up", "lab", "--yes", "--json")
	assert.Equal(t, summary(t, r).Changed(), 0, "%s", r)
}

// allocations are the brokers' by their names: an id and the number of restarts.
func allocations(t *testing.T, c *nomad.Client) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, a := range running(t, c, emqxJob) {
		found[a.Name] = fmt.Sprintf("%s %d", a.ID, a.TaskStates["emqx"].Restarts)
	}
	return found
}

// wantMembers waits for every broker to say that exactly these nodes run, and none
// is stopped.
func wantMembers(t *testing.T, c *nomad.Client, count int) {
	t.Helper()
	client, err := gates.NewNomad(gates.NomadConfig{Address: "http://" + bedOf(t).door + ":4646"})
	assert.NilError(t, err)
	wantMembersBy(t, c, client, count)
}

// wantMembersBy is the same by a client that may have a token.
func wantMembersBy(t *testing.T, c *nomad.Client, client gates.NomadClient, count int) {
	t.Helper()
	want := make([]string, count)
	for i := range want {
		want[i] = fmt.Sprintf("emqx@emqx-lab-%d.node.dc1.consul", i)
	}
	eventually(t, 20*time.Second, "the cluster", func() error {
		for _, a := range running(t, c, emqxJob) {
			v, err := gates.AskMember(t.Context(), client, "emqx", a)
			if err != nil {
				return err
			}
			slices.Sort(v.Running)
			if !v.Answered || !slices.Equal(v.Running, want) || len(v.Stopped) > 0 || v.Nameless > 0 {
				return fmt.Errorf("%s says %+v", a.NodeName, v)
			}
		}
		return nil
	})
}

// staying counts this story's clients by node; nodes without one are left out.
func staying(t *testing.T, c *nomad.Client) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, a := range running(t, c, emqxJob) {
		// It ends with 1 where there are clients.
		for line := range strings.Lines(inBroker(t, c, a, "/bin/sh", "-c", "emqx ctl clients list || :")) {
			if strings.Contains(line, "Client(stays-") && strings.Contains(line, "connected=true") {
				count[a.NodeName]++
			}
		}
	}
	return count
}

func inBroker(t *testing.T, c *nomad.Client, stub *nomad.AllocationListStub, command ...string) string {
	t.Helper()
	a, _, err := c.Allocations().Info(stub.ID, nil)
	assert.NilError(t, err)
	var out, errs syncBuffer
	code, err := c.Allocations().Exec(t.Context(), a, "emqx", false, command, strings.NewReader(""), &out, &errs, nil, nil)
	assert.NilError(t, err)
	assert.Equal(t, code, 0, "%v: %s%s", command, out.String(), errs.String())
	return out.String()
}
