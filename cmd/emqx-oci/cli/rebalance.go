package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/infra/operate"
)

func (a *app) rebalance() *cobra.Command {
	o := operate.RebalanceOptions{Tolerance: 10}
	var dry, yes bool
	c := &cobra.Command{
		Use:   "rebalance [stack]",
		Short: "Move connected clients from full nodes to those that have few",
		Long: `rebalance moves clients from nodes that have more than the mean to the others, at a set rate: a new node
gets only new connections by itself. Each client that is moved is disconnected with its session kept,
connects again, and is sent to the node with the fewest. It stops by itself when the cluster is not whole;
Ctrl-C ends it behind what is under way, some 5 seconds; what was moved stays moved.`,
		Args: oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			if o.Rate < 0 || o.Tolerance < 0 {
				return usage(errors.New("--rate and --tolerance: must be 0 or more"))
			}
			stack := a.stackOf(args)
			if !dry {
				if err := a.mustAsk(yes, "rebalance "+stack); err != nil {
					return err
				}
			}
			cluster, err := a.running(c.Context(), stack)
			if err != nil {
				return err
			}
			return a.moveClients(c.Context(), cluster, stack, o, dry, yes)
		},
	}
	c.Flags().IntVar(&o.Rate, "rate", 0, "clients moved per second, in the whole cluster (default: the stack's broker.drain.rate)")
	c.Flags().IntVar(&o.Tolerance, "tolerance", o.Tolerance, "how far above the mean a node may be, in percent")
	c.Flags().BoolVar(&dry, "dry-run", false, "show what would be moved, and move nothing")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// rebalanced is one object of --json: the plan, each round, and the end.
type rebalanced struct {
	Event string         `json:"event"` // plan, round, end
	Plan  *operate.Plan  `json:"plan,omitempty"`
	Round *operate.Round `json:"round,omitempty"`
	Error string         `json:"error,omitempty"`
}

func (a *app) moveClients(ctx context.Context, cluster Cluster, stack string, o operate.RebalanceOptions, dry, yes bool) error {
	plan, err := cluster.Plan(ctx, o.Tolerance)
	if err != nil {
		return err
	}
	if a.asJSON {
		if err := a.encode(rebalanced{Event: "plan", Plan: &plan}); err != nil {
			return err
		}
	} else {
		writePlan(a.Stdout, plan, o.Tolerance)
	}
	if dry || plan.Moves() == 0 {
		return nil
	}
	if !yes {
		ok, err := a.confirm(ctx, fmt.Sprintf("Move %s of stack %s? [y/N] ", count(plan.Moves(), "client"), stack), func(s string) bool {
			return s == "y" || s == "yes" || s == "Y"
		})
		if err != nil {
			return err
		}
		if !ok {
			return a.declined()
		}
	}
	a.announceSignals(func(string) {
		_, _ = fmt.Fprintln(a.Stderr, "stopping: waiting for what is under way, 5 s or a little more; Ctrl-C again does not wait")
	})
	o.Kill = a.kill
	begin := time.Now()
	o.Report = func(r operate.Round) {
		if a.asJSON {
			_ = a.encode(rebalanced{Event: "round", Round: &r})
			return
		}
		_, _ = fmt.Fprintf(a.Stdout, "%6.1fs  %s moved, %s connected:%s\n", time.Since(begin).Seconds(), count(r.Moved, "client"), fmt.Sprint(r.Clients), loads(r.Nodes))
	}
	end, err := cluster.Rebalance(ctx, plan, o)
	if a.asJSON {
		last := rebalanced{Event: "end", Round: &end}
		if err != nil {
			last.Error = err.Error()
		}
		if err := a.encode(last); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		text := fmt.Sprintf("rebalancing was stopped: %s moved, and stay so", count(end.Moved, "client"))
		select {
		case <-a.kill:
			text = fmt.Sprintf("rebalancing was stopped: %s moved and more under way, for 5 s at most", count(end.Moved, "client"))
		default:
		}
		return stopped(text)
	case err != nil:
		return err
	case !a.asJSON:
		_, _ = fmt.Fprintf(a.Stdout, "done in %s: %s moved\n", time.Since(begin).Round(100*time.Millisecond), count(end.Moved, "client"))
	}
	return nil
}

func writePlan(w io.Writer, p operate.Plan, tolerance int) {
	width := len("NODE")
	for _, n := range p.Nodes {
		width = max(width, len(n.Name))
	}
	_, _ = fmt.Fprintf(w, "%-*s  %8s  %8s  %8s\n", width, "NODE", "CLIENTS", "TARGET", "TO MOVE")
	for _, n := range p.Nodes {
		_, _ = fmt.Fprintf(w, "%-*s  %8d  %8d  %8d\n", width, n.Name, n.Clients, p.Target, n.Move)
	}
	if p.Moves() == 0 {
		_, _ = fmt.Fprintf(w, "no node is more than %d%% above the mean: nothing to move\n", tolerance)
	}
}

func loads(nodes []operate.Load) string {
	text := ""
	for _, n := range nodes {
		text += fmt.Sprintf(" %d", n.Clients)
	}
	return text
}
