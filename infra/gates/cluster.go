package gates

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// ClusterFormedArgs describe gate G2.
type ClusterFormedArgs struct {
	// Job is the id of the EMQX job; Task defaults to "emqx".
	Job, Task string
	// Nodes are the EMQX node names that must run, exactly these:
	// "emqx@emqx-lab-0.node.dc1.consul".
	Nodes []string
	// Discovery is the name by which EMQX looks for its members: one SRV record for the
	// host of each of Nodes. Empty: it is not asked.
	Discovery string
	// Listeners is the script that asks a broker's own listeners, see [AskListeners];
	// empty asks none.
	Listeners string
	// Text is what the job is to be. After a version that Nomad took back it tells
	// whether what stands is what is wanted; empty means that it is, whatever it is.
	Text JobText
	// Timeout and Interval default to [DefaultTimeout] and [DefaultInterval].
	// Timeout should exceed the job's progress deadline, or the gate gives up
	// before Nomad says why.
	Timeout, Interval time.Duration
}

// ClusterFormed is gate G2: the latest deployment of the EMQX job's current
// version succeeded, len(Nodes) allocations run and are healthy, each member
// says that exactly these nodes run and none is stopped, Discovery, asked there as
// EMQX asks, answers all of them, and each listener of each broker speaks its
// protocol.
//
// A deployment that fails while the gate waits ends the wait at once, with the
// failing task's last events or the reason why an allocation could not be
// placed. One that had failed before is judged by what runs now, because
// Nomad never takes its verdict back: when all allocations of the current
// version have come up since, the cluster is whole.
func ClusterFormed(client NomadClient, args ClusterFormedArgs) Gate {
	if args.Task == "" {
		args.Task = cluster.EMQXTask
	}
	jobs := newJobWatch(client, args.Job, len(args.Nodes), args.Text)
	waits := &waitsWatch{client: client, args: args}
	return withDiscovery(client, args, Gate{
		ID: "G2", Title: "cluster formed", Timeout: args.Timeout, Interval: args.Interval,
		Next: fmt.Sprintf("`nomad job status %s`, and `nomad alloc logs` of the allocation named", args.Job),
		Check: func(ctx context.Context) (Status, error) {
			deployed, allocs, err := jobs.check(ctx)
			if err != nil {
				return deployed, err
			}
			if !deployed.Holds {
				return waits.explain(ctx, deployed)
			}
			formed, err := askCluster(ctx, client, args, allocs)
			if err != nil || !formed.Holds || args.Listeners == "" {
				return formed, err
			}
			return listenersStand(ctx, client, args, allocs, formed)
		},
	})
}

// askedAtOnce bounds how many members are asked side by side.
const askedAtOnce = 8

// askMembers asks the members in allocations, side by side.
func askMembers(ctx context.Context, client NomadClient, task string, allocs []*nomad.AllocationListStub) ([]namedView, error) {
	views := make([]namedView, len(allocs))
	var all errgroup.Group
	all.SetLimit(askedAtOnce)
	for i, a := range allocs {
		all.Go(func() (err error) {
			views[i].name = a.Name
			views[i].MemberView, err = AskMember(ctx, client, task, a)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	return views, ctx.Err()
}

type namedView struct {
	name string // of its allocation
	MemberView
}

// askCluster asks all members. One does not suffice: where two of three were out of touch with
// each other for long, the third one sees nothing of it, and one that hangs is missed by
// nobody for two minutes.
func askCluster(ctx context.Context, client NomadClient, args ClusterFormedArgs, allocs []*nomad.AllocationListStub) (Status, error) {
	slices.SortFunc(allocs, func(a, b *nomad.AllocationListStub) int { return strings.Compare(a.Name, b.Name) })
	views, err := askMembers(ctx, client, args.Task, allocs)
	if err != nil {
		return Status{}, err
	}
	return compareViews(args.Nodes, views), nil
}

const (
	splitNext = "see \"A cut that lasts\" in docs/availability.md: once the members reach each other, EMQX restarts the smaller side within a minute"
	lateNext  = "whether their nodes are busy: they are asked again, and one that never answers hangs (`nomad alloc logs` of it)"
	waitsNext = "the log of each emqx task: a member that waits for another, after a full stop, says for whom; " +
		"if that one never returns, see \"Stopping and starting all nodes\" in docs/runbook.md"
	startsNext = "the log of each emqx task (`nomad alloc logs`): it says what it waits for"
)

// silentNext says what to look at when members did not answer: each reason has its own.
func silentNext(silent []namedView) string {
	is := func(what func(namedView) bool) bool { return slices.ContainsFunc(silent, what) }
	switch {
	case is(func(v namedView) bool { return v.Lost }):
		return "whether their nodes and the Nomad agents there run"
	case is(func(v namedView) bool { return v.Late }):
		return lateNext
	case is(func(v namedView) bool { return !v.Closed || v.Fresh }):
		return startsNext
	}
	return waitsNext
}

func compareViews(want []string, views []namedView) Status {
	var said []string
	var silent, answered []namedView
	for _, v := range views {
		if v.Answered {
			answered = append(answered, v)
			continue
		}
		silent, said = append(silent, v), append(said, v.name+": "+v.Says)
	}
	if len(answered) == 0 {
		return Status{Seen: "no member answers: " + joinSome(said), Next: silentNext(silent)}
	}
	status := clusterFormed(want, answered[0].MemberView)
	for _, v := range answered[1:] {
		if other := clusterFormed(want, v.MemberView); other.Seen != status.Seen {
			return Status{
				Seen: fmt.Sprintf("the members do not agree: %s says %s; %s says %s", answered[0].name, status.Seen, v.name, other.Seen),
				Next: splitNext,
			}
		}
	}
	if status.Holds && len(silent) > 0 {
		return Status{Seen: status.Seen + fmt.Sprintf(", but %d of %d do not answer: ", len(silent), len(views)) + joinSome(said), Next: silentNext(silent)}
	}
	return status
}

// noMember is said of a node that the one asked has never met, or has let go.
const noMember = " is no member"

func clusterFormed(want []string, v MemberView) Status {
	var problems []string
	running := 0
	for _, n := range want {
		switch {
		case slices.Contains(v.Running, n):
			running++
		case v.Nameless > 0: // it may be one of those
			problems = append(problems, n+" does not run")
		case !slices.Contains(v.Stopped, n):
			problems = append(problems, n+noMember)
		}
	}
	for _, n := range v.Stopped {
		p := n + " is stopped"
		if !slices.Contains(want, n) {
			p += fmt.Sprintf(" and no longer wanted (`emqx ctl cluster force-leave %s` on a running member)", n)
		}
		problems = append(problems, p)
	}
	if v.Nameless > 0 {
		problems = append(problems, fmt.Sprintf("%d stopped, whose names it did not tell in time", v.Nameless))
	}
	for _, n := range v.Running {
		if !slices.Contains(want, n) {
			problems = append(problems, n+" runs but does not belong here")
		}
	}
	seen := fmt.Sprintf("%d/%d EMQX nodes running", running, len(want))
	if len(problems) == 0 {
		return Status{Holds: true, Seen: seen}
	}
	return Status{Seen: seen + ": " + joinSome(problems)}
}
