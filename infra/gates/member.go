package gates

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"
)

// MemberView is what one member says of the cluster and of itself, or why it said
// nothing. At most one of Answered, Closed and Late is set.
type MemberView struct {
	// Answered: it serves, and told which members it sees run and stopped.
	Answered         bool
	Running, Stopped []string
	// Nameless counts stopped members whose names it did not tell.
	Nameless int
	// Clients are connected to it now; Sessions are theirs and those of clients that
	// are away. Nil is unknown: an operator may have closed the page.
	Clients, Sessions *int

	// Closed: its task runs and nothing listens on its API's port. It starts, joins or
	// waits for another member, and serves nobody yet.
	Closed bool
	// Fresh: it has no data of an earlier life, so it waits for nobody.
	Fresh bool
	// Late: no answer came in time. That says nothing of the member: a node that is
	// busy answers late, one that hangs never.
	Late bool
	// Lost: nothing came back from its node at all.
	Lost bool
	// Says is why it did not answer.
	Says string
}

const (
	// askTime bounds what a member does to answer, sessionTime what Nomad takes to bring
	// the question there and the answer back. The member answers within 0.1 s on an idle
	// node; one of 2 cores on which five brokers start took 4 s.
	askTime     = 10 * time.Second
	sessionTime = 5 * time.Second
	// ctlTime bounds `emqx ctl`, which starts a virtual machine of Erlang: 1.1 s of
	// processor time, 1.4 to 2 s on an idle node.
	ctlTime = 30 * time.Second
	// birthMargin: the data's folder of a first start is made within a moment of it.
	birthMargin = 5 * time.Second
)

// AskMember asks the member in a running allocation's task, through Nomad. The error is
// a fatal one: everything else is part of the answer.
func AskMember(ctx context.Context, client NomadClient, task string, a *nomad.AllocationListStub) (MemberView, error) {
	if asked, ok := ctx.Value(onceKey{}).(*askedOnce); ok {
		return asked.ask(a.ID, func() (MemberView, error) { return askMember(ctx, client, task, a) })
	}
	return askMember(ctx, client, task, a)
}

func askMember(ctx context.Context, client NomadClient, task string, a *nomad.AllocationListStub) (MemberView, error) {
	result, late, err := execWithin(ctx, client, askTime+sessionTime, a.ID, task, askCommand()...)
	switch {
	case IsFatal(err):
		return MemberView{}, err
	case late:
		return MemberView{Late: true, Says: fmt.Sprintf("no answer within %s", askTime+sessionTime)}, nil
	case err != nil:
		lost := errors.Is(err, ErrOutputLost)
		return MemberView{Late: lost, Lost: !lost, Says: err.Error()}, nil
	case result.Exit == timeoutExit:
		return MemberView{Late: true, Says: fmt.Sprintf("its API did not answer within %s", askTime)}, nil
	}
	said := splitMemberAnswers(result.Stdout)
	var v MemberView
	if at := taskStart(a, task); !at.IsZero() && said.born.After(at.Add(-birthMargin)) || said.born.IsZero() && said.noData {
		v.Fresh = true
	}
	if !said.open {
		v.Closed, v.Says = true, "nothing listens on its API's port"
		return v, nil
	}
	v.read(said)
	if v.Answered || !said.refused {
		return v, nil
	}
	return v, v.askCtl(ctx, client, task, a.ID)
}

var clusterStatusCommand = []string{"emqx", "ctl", "cluster", "status", "--json"}

// askCtl is for a member that does not take the stack's key: a new one is taken at a
// broker's start, and stands in the task before.
func (v *MemberView) askCtl(ctx context.Context, client NomadClient, task, alloc string) error {
	result, late, err := execWithin(ctx, client, ctlTime, alloc, task, clusterStatusCommand...)
	command := "`" + strings.Join(clusterStatusCommand, " ") + "`"
	switch {
	case IsFatal(err):
		return err
	case late || errors.Is(err, ErrOutputLost):
		v.Late, v.Says = true, fmt.Sprintf("%s, and no answer to %s within %s", v.Says, command, ctlTime)
	case err != nil:
		v.Lost, v.Says = true, err.Error()
	case result.Exit != 0:
		v.Says = fmt.Sprintf("%s, and %s ends with exit code %d: %s", v.Says, command, result.Exit, OneLine(result.Stderr+" "+result.Stdout))
	default:
		v.readStatus(result.Stdout)
	}
	return nil
}

// execWithin tells a command that ran out of its own time from one that ctx ended.
func execWithin(ctx context.Context, client NomadClient, limit time.Duration, alloc, task string, command ...string) (r ExecResult, late bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r, err = client.Exec(bounded, alloc, task, command...)
	return r, err != nil && bounded.Err() != nil, err
}

func taskStart(a *nomad.AllocationListStub, task string) time.Time {
	if t := a.TaskStates[task]; t != nil {
		return t.StartedAt
	}
	return time.Time{}
}
