package gates

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"
)

// ClusterFormedArgs describe gate G2.
type ClusterFormedArgs struct {
	// Job is the id of the EMQX job; Task defaults to "emqx".
	Job, Task string
	// Nodes are the EMQX node names that must run, exactly these:
	// "emqx@emqx-lab-0.node.dc1.consul".
	Nodes []string
	// Text is what the job is to be. After a version that Nomad took back it tells
	// whether what stands is what is wanted; empty means that it is, whatever it is.
	Text JobText
	// Timeout and Interval default to [DefaultTimeout] and [DefaultInterval].
	// Timeout should exceed the job's progress deadline, or the gate gives up
	// before Nomad says why.
	Timeout, Interval time.Duration
}

// ClusterFormed is gate G2: the latest deployment of the EMQX job's current
// version succeeded, len(Nodes) allocations run and are healthy, and each member
// says that exactly these nodes run and none is stopped.
//
// A deployment that fails while the gate waits ends the wait at once, with the
// failing task's last events or the reason why an allocation could not be
// placed. One that had failed before is judged by what runs now, because
// Nomad never takes its verdict back: when all allocations of the current
// version have come up since, the cluster is whole.
func ClusterFormed(client NomadClient, args ClusterFormedArgs) Gate {
	if args.Task == "" {
		args.Task = brokerTask
	}
	jobs := newJobWatch(client, args.Job, len(args.Nodes), args.Text)
	return Gate{
		ID: "G2", Title: "cluster formed", Timeout: args.Timeout, Interval: args.Interval,
		Next: fmt.Sprintf("`nomad job status %s`, and `nomad alloc logs` of the allocation named", args.Job),
		Check: func(ctx context.Context) (Status, error) {
			deployed, allocs, err := jobs.check(ctx)
			if err != nil {
				return deployed, err
			}
			if !deployed.Holds {
				return whoWaits(ctx, client, args, deployed)
			}
			return askCluster(ctx, client, args, allocs)
		},
	}
}

var clusterStatusCommand = []string{"emqx", "ctl", "cluster", "status", "--json"}

// whoWaits adds to what is missing that those who are there wait for it.
func whoWaits(ctx context.Context, client NomadClient, args ClusterFormedArgs, missing Status) (Status, error) {
	if missing.Next != "" { // there is more to say already
		return missing, nil
	}
	allocs, err := client.Allocations(ctx, args.Job)
	if err != nil {
		return Status{}, err
	}
	members := make([]Member, len(args.Nodes))
	for i, n := range args.Nodes {
		host, _, _ := strings.Cut(strings.TrimPrefix(n, "emqx@"), ".")
		members[i] = Member{Node: host, Name: n, Away: "not placed"}
		m := &members[i]
		for _, a := range allocs {
			switch {
			case a.NodeName != host || !live(a) || m.Answers || m.Silent:
			case a.ClientStatus == nomad.AllocClientStatusUnknown:
				m.Away = "its node is gone"
			case a.ClientStatus != nomad.AllocClientStatusRunning || !tasksRun(a):
				m.Away = "its task is " + a.ClientStatus
			default:
				result, err := askStatus(ctx, client, args.Task, a.ID)
				if IsFatal(err) {
					return Status{}, err
				}
				m.Alloc, m.Answers, m.Silent = a.ID, err == nil && result.Exit == 0, err == nil && result.Exit != 0
				m.Away = "its node does not answer"
			}
		}
		if m.Answers {
			return missing, nil
		}
	}
	if what, next := WhoWaits(members); what != "" {
		missing.Seen, missing.Next = missing.Seen+"; "+what, next
	}
	return missing, nil
}

const waitsNext = "the log of each emqx task: a member that waits for another, after a full stop, says for whom; " +
	"if that one never returns, see \"Stopping and starting all nodes\" in docs/runbook.md"

// askCluster asks all members. One does not suffice: where two of three were out of touch with
// each other for long, the third one sees nothing of it, and one that hangs is missed by
// nobody for two minutes.
func askCluster(ctx context.Context, client NomadClient, args ClusterFormedArgs, allocs []*nomad.AllocationListStub) (Status, error) {
	slices.SortFunc(allocs, func(a, b *nomad.AllocationListStub) int { return strings.Compare(a.Name, b.Name) })
	views := make([]memberView, len(allocs))
	var all errgroup.Group
	all.SetLimit(askedAtOnce)
	for i, a := range allocs {
		all.Go(func() (err error) {
			views[i], err = askMember(ctx, client, args, a)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return Status{}, err
	}
	if err := ctx.Err(); err != nil {
		return Status{}, err
	}
	return compareViews(views), nil
}

const (
	// askedAtOnce bounds how many members are asked side by side, and askTime each
	// question: `emqx ctl` starts a virtual machine of Erlang, and a member that is
	// frozen never answers.
	askedAtOnce = 8
	askTime     = 10 * time.Second
)

func askStatus(ctx context.Context, client NomadClient, task, alloc string) (ExecResult, error) {
	bounded, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	result, err := client.Exec(bounded, alloc, task, clusterStatusCommand...)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("no answer within %s", askTime)
	}
	return result, err
}

// memberView is what one member sees, or why it does not answer.
type memberView struct {
	name   string
	status Status
	silent string
}

// askMember returns only a fatal error: else asking again is all there is to do.
func askMember(ctx context.Context, client NomadClient, args ClusterFormedArgs, a *nomad.AllocationListStub) (memberView, error) {
	v := memberView{name: a.Name}
	result, err := askStatus(ctx, client, args.Task, a.ID)
	switch {
	case IsFatal(err):
		return v, err
	case err != nil:
		v.silent = fmt.Sprintf("%s: %s", a.Name, err)
	case result.Exit != 0:
		v.silent = fmt.Sprintf("%s: exit code %d: %s", a.Name, result.Exit, oneLine(result.Stderr+" "+result.Stdout))
	default:
		v.status = clusterFormed(args.Nodes, result.Stdout)
	}
	return v, nil
}

const splitNext = "see \"A cut that lasts\" in docs/availability.md: once the members reach each other, EMQX restarts the smaller side within a minute"

func compareViews(views []memberView) Status {
	var silent []string
	var answered []memberView
	for _, v := range views {
		if v.silent != "" {
			silent = append(silent, v.silent)
		} else {
			answered = append(answered, v)
		}
	}
	if len(answered) == 0 {
		return Status{Seen: fmt.Sprintf("no member answers `%s`: %s", strings.Join(clusterStatusCommand, " "), joinSome(silent)), Next: waitsNext}
	}
	for _, v := range answered[1:] {
		if v.status.Seen != answered[0].status.Seen {
			return Status{
				Seen: fmt.Sprintf("the members do not agree: %s says %s; %s says %s", answered[0].name, answered[0].status.Seen, v.name, v.status.Seen),
				Next: splitNext,
			}
		}
	}
	status := answered[0].status
	if status.Holds && len(silent) > 0 {
		return Status{Seen: status.Seen + fmt.Sprintf(", but %d of %d do not answer: ", len(silent), len(views)) + joinSome(silent), Next: waitsNext}
	}
	return status
}

func clusterFormed(want []string, output string) Status {
	var status struct {
		Running []string `json:"running_nodes"`
		Stopped []string `json:"stopped_nodes"`
	}
	// Warnings may come before the answer, on the same stream.
	start := max(strings.Index(output, "{"), 0)
	if err := json.NewDecoder(strings.NewReader(output[start:])).Decode(&status); err != nil {
		return Status{Seen: fmt.Sprintf("EMQX's cluster status is no JSON (%s): %s", err, oneLine(output))}
	}
	var problems []string
	running := 0
	for _, n := range want {
		switch {
		case slices.Contains(status.Running, n):
			running++
		case !slices.Contains(status.Stopped, n):
			problems = append(problems, n+" is no member")
		}
	}
	for _, n := range status.Stopped {
		p := n + " is stopped"
		if !slices.Contains(want, n) {
			p += fmt.Sprintf(" and no longer wanted (`emqx ctl cluster force-leave %s` on a running member)", n)
		}
		problems = append(problems, p)
	}
	for _, n := range status.Running {
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
