package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// sight is something that has to be seen: ask returns nil when it is.
type sight struct {
	what  string
	limit time.Duration
	ask   func(context.Context) error
}

// see looks for all at once, and notes when each was seen first. What is not seen within its limit breaks the promise;
// the work goes on.
func (r *Run) see(ctx context.Context, all ...sight) {
	steps := make([]Step, len(all))
	var wg sync.WaitGroup
	for i, s := range all {
		wg.Go(func() { steps[i] = r.look(ctx, s) })
	}
	wg.Wait()
	r.steps = append(r.steps, steps...)
	for _, s := range steps {
		if s.After < 0 {
			r.broke("not seen within %s: %s: %s", s.Limit, s.What, s.Last)
		}
	}
}

func (r *Run) look(ctx context.Context, s sight) Step {
	step := Step{What: s.what, Limit: s.limit, After: -1}
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	for {
		err := s.ask(ctx)
		if err == nil {
			step.After = time.Since(r.began)
			return step
		}
		if ctx.Err() == nil || step.Last == "" {
			step.Last = err.Error()
		}
		if pause(ctx, 150*time.Millisecond) != nil {
			return step
		}
	}
}

// brokers are the allocations of EMQX that run, in the order of their names.
func (d *Drill) brokers(ctx context.Context) ([]*nomad.AllocationListStub, error) {
	return d.allocations(ctx, brokerJob)
}

func (d *Drill) allocations(ctx context.Context, job string) ([]*nomad.AllocationListStub, error) {
	all, err := d.gateNomad.Allocations(ctx, job)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(a *nomad.AllocationListStub) bool {
		return a.ClientStatus != nomad.AllocClientStatusRunning || a.DesiredStatus != nomad.AllocDesiredStatusRun
	})
	slices.SortFunc(all, func(a, b *nomad.AllocationListStub) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// identities are the brokers by node: allocation and number of restarts. A node that is not in there has none.
func (d *Drill) identities(ctx context.Context, job, task string) (map[string]string, error) {
	all, err := d.allocations(ctx, job)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, a := range all {
		restarts := uint64(0)
		if s := a.TaskStates[task]; s != nil {
			restarts = s.Restarts
		}
		found[a.NodeName] = fmt.Sprintf("%s, %d restarts", a.ID, restarts)
	}
	return found, nil
}

// restarted is seen when another process of the task runs on the node.
func (r *Run) restarted(ctx context.Context, job, task string, node int) (sight, error) {
	was, err := r.identities(ctx, job, task)
	if err != nil {
		return sight{}, err
	}
	name := nodeName(node)
	return sight{what: "Nomad starts " + task + " again", limit: time.Minute, ask: func(ctx context.Context) error {
		now, err := r.identities(ctx, job, task)
		if err == nil && (now[name] == "" || now[name] == was[name]) {
			err = fmt.Errorf("%s has %q", name, now[name])
		}
		return err
	}}, nil
}

// untouched fails the run when another node than the given ones has another broker now.
func (r *Run) untouched(ctx context.Context, was map[string]string, but ...int) {
	now, err := r.identities(ctx, brokerJob, brokerTask)
	if err != nil {
		r.broke("asking for the brokers: %s", err)
		return
	}
	for node, id := range was {
		if !slices.ContainsFunc(but, func(n int) bool { return nodeName(n) == node }) && now[node] != id {
			r.broke("the broker of %s was %s, and is %s", node, id, now[node])
		}
	}
}

// outOfConsul is seen when Consul does not name the node's broker as healthy.
func (r *Run) outOfConsul(node int) sight {
	return sight{what: "Consul's check of the broker fails", limit: 30 * time.Second, ask: func(ctx context.Context) error {
		entries, err := r.gateConsul.Service(ctx, "emqx", stack)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Node.Node == nodeName(node) && e.Checks.AggregatedStatus() != "critical" {
				return errors.New("it is " + e.Checks.AggregatedStatus())
			}
		}
		return nil
	}}
}

// markedDown is seen when the HAProxy of node 0, which the callers leave alone, has this many brokers up.
func (r *Run) markedDown(ctx context.Context, servers int) (sight, error) {
	const at = 0
	i, err := r.instance(ctx, at)
	if err != nil {
		return sight{}, err
	}
	if len(i.Reserved) == 0 {
		return sight{}, fmt.Errorf("%s has no reserved address", i.Name)
	}
	script := fmt.Sprintf(`curl -fsS -m 2 'http://%s:8080/metrics?scope=backend' | grep -E '^haproxy_backend_active_servers\{proxy="mqtt"\} %d$'`, i.Reserved[0], servers)
	return sight{what: "HAProxy on another node marks the broker down", limit: 20 * time.Second, ask: func(ctx context.Context) error {
		return r.in(ctx, nodeName(at), script)
	}}, nil
}

// turnedAway is seen when the balancer sends nobody to the node any more.
func (r *Run) turnedAway(node int) sight {
	return sight{what: "the balancer takes the node out", limit: 30 * time.Second, ask: func(ctx context.Context) error {
		health, err := r.edge(ctx)
		if err != nil {
			return err
		}
		for name, h := range health {
			if strings.Contains(name, nodeName(node)) && h == "OK" {
				return fmt.Errorf("%s is OK", name)
			}
		}
		return nil
	}}
}

// elsewhere is seen when ten new clients at once get an acknowledgement, each within its patience.
func (r *Run) elsewhere() sight {
	return r.served(10, patience, 40*time.Second)
}

// served is seen when so many of ten new clients at once get an acknowledgement, each within its patience.
func (r *Run) served(atLeast int, patience, limit time.Duration) sight {
	what := "ten new clients are served"
	if atLeast < 10 {
		what = fmt.Sprintf("%d of ten new clients are served within %.0f s", atLeast, patience.Seconds())
	}
	// mosquitto_pub gives up after its keep-alive without an answer, which is 60 s unless told.
	script := fmt.Sprintf(`n=0; for i in 1 2 3 4 5 6 7 8 9 10; do timeout %.0f mosquitto_pub -k 300 -h %s -q 1 -t drill/new -m x & all="$all $!"; done
		for one in $all; do wait $one && n=$((n+1)); done; [ $n -ge %d ] || { echo "$n were" >&2; exit 1; }`, patience.Seconds(), publicName, atLeast)
	return sight{what: what, limit: limit, ask: func(ctx context.Context) error {
		return r.in(ctx, "internet", script)
	}}
}

// counts is seen when the broker of a node counts exactly these in.
func (r *Run) counts(at int, running ...int) sight {
	var want []string
	for _, i := range running {
		want = append(want, member(i))
	}
	return sight{limit: 3 * time.Minute, ask: func(ctx context.Context) error {
		allocs, err := r.brokers(ctx)
		if err != nil {
			return err
		}
		for _, a := range allocs {
			if a.NodeName != nodeName(at) {
				continue
			}
			said, err := gates.AskMember(ctx, r.gateNomad, brokerTask, a)
			if err != nil {
				return err
			}
			if !said.Answered {
				return fmt.Errorf("%s: %s", a.NodeName, said.Says)
			}
			if slices.Sort(said.Running); !slices.Equal(said.Running, want) {
				return fmt.Errorf("%s counts %v in", a.NodeName, said.Running)
			}
			return nil
		}
		return fmt.Errorf("%s has no broker", nodeName(at))
	}}
}

// instance is the node's youngest.
func (d *Drill) instance(ctx context.Context, node int) (out cloud.InstanceStatus, err error) {
	s, err := d.Status(ctx)
	if err != nil {
		return out, err
	}
	for _, i := range s.Cloud.Instances {
		if i.Index == fmt.Sprint(node) && !i.Created.Before(out.Created) {
			out = i
		}
	}
	if out.ID == "" {
		return out, fmt.Errorf("node %d has no instance", node)
	}
	return out, nil
}

// relaunched are seen when another instance has the node's address, and its volume.
func (r *Run) relaunched(ctx context.Context, node int) ([]sight, error) {
	was, err := r.instance(ctx, node)
	if err != nil {
		return nil, err
	}
	another := func(ctx context.Context) (cloud.InstanceStatus, error) {
		now, err := r.instance(ctx, node)
		if err == nil && now.ID == was.ID {
			err = errors.New("there is no other instance yet")
		}
		return now, err
	}
	return []sight{
		{"the pool launches another instance, with another primary address", 90 * time.Second, func(ctx context.Context) error {
			now, err := another(ctx)
			if err == nil && (now.State != "RUNNING" || now.Address == was.Address || now.Name != was.Name) {
				err = fmt.Errorf("%s %s at %s, before %s at %s", now.Name, now.State, now.Address, was.Name, was.Address)
			}
			return err
		}},
		{"it has the node's volume", 2 * time.Minute, func(ctx context.Context) error {
			now, err := another(ctx)
			if err != nil {
				return err
			}
			s, err := r.Status(ctx)
			if err != nil {
				return err
			}
			for _, v := range s.Cloud.Volumes {
				if v.Index == fmt.Sprint(node) && v.Instance == now.ID {
					return nil
				}
			}
			return errors.New("the volume is not attached to it")
		}},
		{"it has the node's address", 2 * time.Minute, func(ctx context.Context) error {
			now, err := another(ctx)
			if err == nil && !slices.Equal(now.Reserved, was.Reserved) {
				err = fmt.Errorf("reserved addresses %v, before %v", now.Reserved, was.Reserved)
			}
			return err
		}},
		{"Nomad has the node ready, by its old name", 2 * time.Minute, func(ctx context.Context) error {
			if _, err := another(ctx); err != nil {
				return err
			}
			nodes, err := r.gateNomad.Nodes(ctx)
			if err != nil {
				return err
			}
			for _, n := range nodes {
				if n.Name == nodeName(node) && n.Status == nomad.NodeStatusReady {
					return nil
				}
			}
			return errors.New("it is not ready")
		}},
	}, nil
}
