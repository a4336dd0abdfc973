package components

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// jobPlanner has Nomad judge both jobs before they are registered. Where Nomad does not
// answer it says nothing: a preview says so itself, and an update waits at its gates.
type jobPlanner struct {
	nomad       gates.NomadClient
	environment string
	nodes       int
	jobs        []plannedJob
}

// plannedJob is a job as it would be registered, under the id that it would have.
type plannedJob struct {
	id   string
	text gates.JobText
}

func newJobPlanner(ctx *pulumi.Context, s settings.Settings, k kinds.Kinds) (jobPlanner, error) {
	if ctx.Value(withoutGates{}) != nil {
		return jobPlanner{}, nil
	}
	nomadAPI, _, err := agents(s)
	return jobPlanner{nomad: nomadAPI, environment: s.Environment, nodes: s.Nodes.Count, jobs: plannedJobs(s, k)}, err
}

// plannedJobs leaves out a job whose variables have a fault: whoever registers it says so.
func plannedJobs(s settings.Settings, k kinds.Kinds) []plannedJob {
	wanted := wantedJobs(s, k)
	return slices.DeleteFunc([]plannedJob{
		{cluster.EMQXJobID(s.Environment), wanted.emqx}, {k.Proxy.JobID(s.Environment), wanted.proxies},
	}, func(j plannedJob) bool { return j.text == gates.JobText{} })
}

// beforeUpdate ends an update whose jobs Nomad would refuse, before anything is touched.
// Whether their allocations find a place is asked when their nodes are there, by the gates.
func (p jobPlanner) beforeUpdate(ctx *pulumi.Context) error {
	if ctx.DryRun() {
		return nil
	}
	_, err := p.ask(ctx)
	return err
}

// afterPreview ends a preview, after it has shown everything, whose jobs Nomad would refuse
// or could not place. It does not expect what waits for nodes that are not there, or whose
// instance becomes another one.
func (p jobPlanner) afterPreview(ctx *pulumi.Context, relaunched []cluster.Node) error {
	if !ctx.DryRun() {
		return nil
	}
	plans, err := p.ask(ctx)
	if err != nil || !slices.ContainsFunc(plans, unplaced) {
		return err
	}
	absent, err := gates.Absences(ctx.Context(), p.nomad, p.environment, p.nodes)
	if err != nil {
		return fmt.Errorf("asking Nomad why it cannot place a job: %w", err)
	}
	return p.placement(ctx, plans, absent, relaunched)
}

func unplaced(plan gates.JobPlan) bool {
	for _, g := range plan.Groups {
		if g.Unplaced > 0 {
			return true
		}
	}
	return false
}

// reached is how long Nomad may take to show that it answers.
const reached = 3 * time.Second

// ask returns what Nomad would do, and its errors as one; warnings it tells. It returns
// nothing where Nomad is out of reach or does not let the token ask.
func (p jobPlanner) ask(ctx *pulumi.Context) ([]gates.JobPlan, error) {
	if p.nomad == nil || !p.answers(ctx.Context()) {
		return nil, nil
	}
	var plans []gates.JobPlan
	var faults []error
	for _, j := range p.jobs {
		plan, err := p.nomad.Plan(ctx.Context(), j.text)
		if gates.IsFatal(err) {
			return nil, ctx.Log.Warn(fmt.Sprintf("Nomad was not asked what it thinks of the jobs, which takes parse-job, read-job and plan-job: %v", err), nil)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("job %s: %w", j.id, err))
			continue
		}
		for _, w := range plan.Warnings {
			if err := ctx.Log.Warn(fmt.Sprintf("job %s: Nomad warns: %s", j.id, w), nil); err != nil {
				return nil, err
			}
		}
		for _, e := range plan.Errors {
			faults = append(faults, fmt.Errorf("job %s: Nomad refuses it: %s", j.id, e))
		}
		plans = append(plans, plan)
	}
	return plans, errors.Join(faults...)
}

func (p jobPlanner) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, reached)
	defer cancel()
	return p.nomad.Leader(ctx) == nil && p.nomad.Namespace(ctx) == nil
}

// placement is what Nomad cannot place though it has the nodes for it.
func (p jobPlanner) placement(ctx *pulumi.Context, plans []gates.JobPlan, absent map[int]gates.Absence, relaunched []cluster.Node) error {
	var waits []string
	for _, i := range slices.Sorted(maps.Keys(absent)) {
		if absent[i].Registered && !slices.ContainsFunc(relaunched, func(n cluster.Node) bool { return n.Index == i }) {
			waits = append(waits, absent[i].Why)
		}
	}
	for _, n := range relaunched {
		absent[n.Index] = gates.Absence{}
	}
	var faults []error
	for _, plan := range plans {
		for _, name := range slices.Sorted(maps.Keys(plan.Groups)) {
			g := plan.Groups[name]
			said := fmt.Sprintf("job %s: Nomad cannot place %d of group %s: %s", plan.ID, g.Unplaced, name, g.Why)
			switch {
			case g.Unplaced > len(absent):
				faults = append(faults, fmt.Errorf("%s; of its %d nodes %d are there", said, p.nodes, p.nodes-len(absent)))
			case g.Unplaced > 0 && len(waits) > 0:
				if err := ctx.Log.Warn(said+"; the update waits until that has changed: "+strings.Join(waits, "; "), nil); err != nil {
					return err
				}
			}
		}
	}
	return errors.Join(faults...)
}

// JobOutlook is what an update does to the allocations of a job, as Nomad says.
type JobOutlook struct {
	// Restarted are the nodes whose allocation ends and runs anew, in the order in which
	// their turn comes.
	Restarted []string
	// InPlace, Stopped and Placed count allocations that take the new version over as they
	// run, that end, and that are new.
	InPlace, Stopped, Placed int
}

// JobOutlooks ask Nomad what becomes of both jobs, by their ids. Those are missing that
// Nomad would refuse, and both where the token may not ask.
func JobOutlooks(ctx context.Context, s settings.Settings) (map[string]JobOutlook, error) {
	nomadAPI, _, err := agents(s)
	if err != nil {
		return nil, err
	}
	return jobOutlooks(ctx, nomadAPI, plannedJobs(s, kinds.Of(s)))
}

func jobOutlooks(ctx context.Context, client gates.NomadClient, jobs []plannedJob) (map[string]JobOutlook, error) {
	found := map[string]JobOutlook{}
	for _, j := range jobs {
		plan, err := client.Plan(ctx, j.text)
		switch {
		case gates.IsFatal(err):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("asking Nomad what becomes of job %q: %w", j.id, err)
		case len(plan.Errors) > 0:
			continue
		}
		runners, err := gates.Runners(ctx, client, j.id)
		if err != nil {
			return nil, fmt.Errorf("asking Nomad where job %q runs: %w", j.id, err)
		}
		var o JobOutlook
		restarts := 0
		for _, g := range plan.Groups {
			restarts += g.Restart
			o.InPlace, o.Stopped, o.Placed = o.InPlace+g.InPlace, o.Stopped+g.Stop, o.Placed+g.Place
		}
		o.Restarted = runners[:min(restarts, len(runners))]
		found[j.id] = o
	}
	return found, nil
}
