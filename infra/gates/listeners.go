package gates

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"
)

// listenerTime bounds the question to a broker's listeners: one that hangs takes the
// script 7 s, and the session through Nomad may take some.
const listenerTime = 15 * time.Second

// ListenerState is one client listener of one broker.
type ListenerState struct {
	// Name is mqtt, mqtts, ws or wss.
	Name string
	// Wrong is what is the matter.
	Wrong string
	// Late is why nobody knows whether something is. Without either it speaks its protocol.
	Late string
}

// AskListeners has the listeners of the broker in an allocation's task asked, by a
// script that prints a line for each: its name, then "ok", "late: " and why nothing is
// known of it, or what is wrong.
// An error means that nobody knows: no answer in time, or none that can be read.
func AskListeners(ctx context.Context, client NomadClient, task, alloc, script string) ([]ListenerState, error) {
	bounded, cancel := context.WithTimeout(ctx, listenerTime)
	defer cancel()
	r, err := client.Exec(bounded, alloc, task, "/bin/bash", "-c", script, "listeners")
	if err != nil {
		if bounded.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("no answer within %s", listenerTime)
		}
		return nil, err
	}
	var found []ListenerState
	for line := range strings.Lines(r.Stdout) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		state := ListenerState{Name: name}
		if why, late := strings.CutPrefix(rest, "late: "); late {
			state.Late = OneLine(why)
		} else if rest != "ok" {
			state.Wrong = OneLine(rest)
		}
		found = append(found, state)
	}
	// 1: one is late. 2: one does not stand.
	if len(found) == 0 || r.Exit < 0 || r.Exit > 2 {
		return nil, fmt.Errorf("the script ends with exit code %d: %s", r.Exit, OneLine(r.Stderr+" "+r.Stdout))
	}
	slices.SortFunc(found, func(a, b ListenerState) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// NextOfListener is what to do about a listener of an allocation's broker that does not
// stand.
func NextOfListener(task, alloc string) string {
	short := ShortID(alloc)
	return fmt.Sprintf("`nomad alloc exec -task %s %s emqx ctl listeners` says what EMQX makes of it; what was changed at run time, in the dashboard say, is undone by `nomad alloc restart %s`", task, short, short)
}

// listenersStand is the last part of G2: `/status`, the members' views of each other and
// Nomad's checks may all be well while a broker accepts no MQTT.
func listenersStand(ctx context.Context, client NomadClient, args ClusterFormedArgs, allocs []*nomad.AllocationListStub, formed Status) (Status, error) {
	wrong, unknown := make([][]string, len(allocs)), make([][]string, len(allocs))
	var all errgroup.Group
	all.SetLimit(askedAtOnce)
	for i, a := range allocs {
		all.Go(func() error {
			listeners, err := AskListeners(ctx, client, args.Task, a.ID, args.Listeners)
			if IsFatal(err) {
				return err
			}
			if err != nil {
				unknown[i] = append(unknown[i], fmt.Sprintf("%s: %s", a.Name, err))
			}
			for _, l := range listeners {
				if l.Wrong != "" {
					wrong[i] = append(wrong[i], fmt.Sprintf("%s: %s %s", a.Name, l.Name, l.Wrong))
				}
				if l.Late != "" {
					unknown[i] = append(unknown[i], fmt.Sprintf("%s: %s: %s", a.Name, l.Name, l.Late))
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return Status{}, err
	}
	if err := ctx.Err(); err != nil {
		return Status{}, err
	}
	for i, a := range allocs {
		if len(wrong[i]) > 0 {
			return Status{Seen: formed.Seen + ", but not all listeners stand: " + joinSome(slices.Concat(wrong...)), Next: NextOfListener(args.Task, a.ID)}, nil
		}
	}
	if lost := slices.Concat(unknown...); len(lost) > 0 {
		return Status{Seen: formed.Seen + ", but whether their listeners stand is not known: " + joinSome(lost)}, nil
	}
	return formed, nil
}
