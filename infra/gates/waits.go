package gates

import (
	"context"
	"sync"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// waitsEvery is how often members are asked why they do not serve while something else
// is missing: those who start need the processor.
const waitsEvery = 5 * time.Second

// waitsWatch remembers what members said while the same was missing.
type waitsWatch struct {
	client NomadClient
	args   ClusterFormedArgs

	mu      sync.Mutex // a gate may be asked from two places at once
	missing string
	asked   time.Time
	answer  Status
}

// explain adds to what is missing that those who are there wait for it.
func (w *waitsWatch) explain(ctx context.Context, missing Status) (Status, error) {
	if missing.Next != "" { // there is more to say already
		return missing, nil
	}
	w.mu.Lock()
	known, answer := missing.Seen == w.missing && time.Since(w.asked) < waitsEvery, w.answer
	w.mu.Unlock()
	if known {
		return answer, nil
	}
	members, err := w.members(ctx)
	if err != nil {
		return Status{}, err
	}
	answer = missing
	if what, next := WhoWaits(members); what != "" {
		answer.Seen, answer.Next = missing.Seen+"; "+what, next
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.missing, w.asked, w.answer = missing.Seen, time.Now(), answer
	return answer, nil
}

// members asks those whose task runs, and says of the others why they are away.
func (w *waitsWatch) members(ctx context.Context) ([]Member, error) {
	client, args := w.client, w.args
	allocs, err := client.Allocations(ctx, args.Job)
	if err != nil {
		return nil, err
	}
	members := make([]Member, len(args.Nodes))
	var ask []*nomad.AllocationListStub
	var asked []*Member
	for i, n := range args.Nodes {
		host, _ := cluster.NodeOf(n)
		members[i] = Member{Node: host, Name: n, Away: "not placed"}
		m := &members[i]
		for _, a := range allocs {
			switch {
			case a.NodeName != host || !meantToRun(a) || m.Alloc != "":
			case a.ClientStatus == nomad.AllocClientStatusUnknown:
				m.Away = "its node is gone"
			case a.ClientStatus != nomad.AllocClientStatusRunning || !tasksRun(a):
				m.Away = "its task is " + a.ClientStatus
			default:
				m.Alloc = a.ID
				ask, asked = append(ask, a), append(asked, m)
			}
		}
	}
	views, err := askMembers(ctx, client, args.Task, ask)
	if err != nil {
		return nil, err
	}
	for i, v := range views {
		if v.Lost {
			asked[i].Away = "its node does not answer"
			continue
		}
		asked[i].View = &v.MemberView
	}
	return members, nil
}
