package gates

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	nomad "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// JobPlan is what Nomad says of a job before it is registered.
type JobPlan struct {
	// ID is the job's; empty for a text that Nomad cannot read.
	ID string
	// Errors are why Nomad would refuse the job, in its words. With any, it has not planned.
	Errors []string
	// Warnings are Nomad's, each once.
	Warnings []string
	// Changed says whether the job that is registered becomes another one.
	Changed bool
	// Groups are what happens to the job's allocations, by the name of their group.
	Groups map[string]GroupPlan
}

// GroupPlan counts the allocations of a group by what happens to them. What stays as it is
// is not counted.
type GroupPlan struct {
	// Restart end, and run anew: in a roll, one after another.
	Restart int
	// InPlace get the new version, and run on.
	InPlace int
	// Stop end, and nothing takes their place.
	Stop int
	// Place are new ones, Unplaced those of them, and of Restart, that no node can have
	// now. Why is what Nomad says of the first one.
	Place, Unplaced int
	Why             string
}

// parse has the servers read a job file with its variables. Words of theirs are a fault of
// the text.
func (c *nomadClient) parse(ctx context.Context, text JobText) (job *nomad.Job, fault string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	job = &nomad.Job{}
	_, err = c.api.Raw().Write("/v1/jobs/parse", &nomad.JobsParseRequest{JobHCL: text.File, Variables: text.Variables}, job,
		(&nomad.WriteOptions{}).WithContext(ctx))
	var answer nomad.UnexpectedResponseError
	if errors.As(err, &answer) && answer.StatusCode() == http.StatusBadRequest {
		return nil, OneLine(answer.Body()), nil
	}
	return job, "", c.explain("the text of a job", err)
}

func (c *nomadClient) plan(ctx context.Context, job *nomad.Job) (*nomad.JobPlanResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	plan, _, err := c.api.Jobs().PlanOpts(job, &nomad.PlanOptions{Diff: true}, (&nomad.WriteOptions{}).WithContext(ctx))
	return plan, c.explain("the plan of job "+Deref(job.ID), err)
}

func (c *nomadClient) validate(ctx context.Context, job *nomad.Job) (*nomad.JobValidateResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	found, _, err := c.api.Jobs().Validate(job, (&nomad.WriteOptions{}).WithContext(ctx))
	return found, c.explain("the validation of job "+Deref(job.ID), err)
}

func (c *nomadClient) Stands(ctx context.Context, text JobText) (bool, error) {
	job, fault, err := c.parse(ctx, text)
	if fault != "" {
		err = fmt.Errorf("reading the text of a job from Nomad at %s: %s", c.address, fault)
	}
	if err != nil {
		return false, err
	}
	plan, err := c.plan(ctx, job)
	return err == nil && !changes(plan), err
}

// changes: the servers' own comparison knows every default.
func changes(plan *nomad.JobPlanResponse) bool { return plan.Diff == nil || plan.Diff.Type != "None" }

func (c *nomadClient) Plan(ctx context.Context, text JobText) (JobPlan, error) {
	job, fault, err := c.parse(ctx, text)
	if err != nil || fault != "" {
		return JobPlan{Errors: slices.DeleteFunc([]string{fault}, func(s string) bool { return s == "" })}, err
	}
	p := JobPlan{ID: Deref(job.ID)}
	valid, err := c.validate(ctx, job)
	if err != nil {
		return p, err
	}
	p.warn(valid.Warnings)
	for _, e := range valid.ValidationErrors {
		p.Errors = append(p.Errors, OneLine(e))
	}
	if len(p.Errors) == 0 && valid.Error != "" {
		p.Errors = []string{OneLine(valid.Error)}
	}
	if len(p.Errors) > 0 {
		return p, nil
	}
	plan, err := c.plan(ctx, job)
	if err != nil {
		return p, err
	}
	p.warn(plan.Warnings)
	p.Changed, p.Groups = changes(plan), groupPlans(plan)
	return p, nil
}

// warn takes the warnings out of the text that Nomad makes of them: "2 warnings:", and a
// line with a star for each.
func (p *JobPlan) warn(text string) {
	items := strings.Split("\n"+text, "\n* ")
	if len(items) > 1 {
		items = items[1:]
	}
	for _, item := range items {
		if item = OneLine(item); item != "" && !slices.Contains(p.Warnings, item) {
			p.Warnings = append(p.Warnings, item)
		}
	}
}

// count is a number of allocations, which no job has more of than an int can say.
func count(n uint64) int { return int(min(n, math.MaxInt32)) } //nolint:gosec // it fits by then

func groupPlans(plan *nomad.JobPlanResponse) map[string]GroupPlan {
	groups := map[string]GroupPlan{}
	if plan.Annotations != nil {
		for name, u := range plan.Annotations.DesiredTGUpdates {
			g := GroupPlan{Restart: count(u.DestructiveUpdate), InPlace: count(u.InPlaceUpdate), Stop: count(u.Stop), Place: count(u.Place)}
			// Nomad counts of a roll what it does at once, which is nothing where it places
			// new ones first, and ignores those whose turn comes later: of a job that
			// changes, no allocation stays as it is.
			if changes(plan) {
				g.Restart += count(u.Ignore)
			}
			groups[name] = g
		}
	}
	for name, m := range plan.FailedTGAllocs {
		g := groups[name]
		g.Unplaced, g.Why = m.CoalescedFailures+1, metricText(m)
		groups[name] = g
	}
	return groups
}

// Absence is why a node of a stack cannot be given work now.
type Absence struct {
	// Registered is set where Nomad has the node, and waits for something of it.
	Registered bool
	Why        string
}

// Absences are the nodes 0 to count-1 of a stack for which gate G1 would wait, by index. One
// whose predecessor Nomad has not forgotten is among them, and one whose agent answers no
// more: after a destroy Nomad may have what has gone as ready, until it misses a heartbeat.
func Absences(ctx context.Context, client NomadClient, environment string, count int) (map[int]Absence, error) {
	args := NodesReadyArgs{Environment: environment, Count: count, driver: "docker"}
	nodes, err := newNodeReader(client).read(ctx)
	if err != nil {
		return nil, err
	}
	why := make([]Absence, count)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOnce)
	for i := range count {
		live, dead := nodesOf(args, i, nodes)
		problem := nodeProblem(args, i, nodes)
		if problem == "" && len(dead) > 0 {
			problem = "Nomad still has the instance that was " + cluster.NodeName(args.Environment, i) + " before"
		}
		if problem != "" {
			why[i] = Absence{Registered: len(live)+len(dead) > 0, Why: problem}
			continue
		}
		group.Go(func() error {
			if err := client.Alive(ctx, live[0].ID); err != nil && !IsFatal(err) {
				why[i] = Absence{Registered: true, Why: silentNode(cluster.NodeName(args.Environment, i), err)}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	absent := map[int]Absence{}
	for i, a := range why {
		if a.Why != "" {
			absent[i] = a
		}
	}
	return absent, nil
}

// Runners are the nodes that a job's allocations run on, in the order of their indexes;
// none where Nomad does not have the job.
func Runners(ctx context.Context, client NomadClient, job string) ([]string, error) {
	allocs, err := client.Allocations(ctx, job)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	nodes := map[int]string{}
	for _, a := range allocs {
		if pendingOrRunning(a) && a.DesiredStatus == nomad.AllocDesiredStatusRun {
			_, number, _ := strings.Cut(a.Name[strings.LastIndexByte(a.Name, '.')+1:], "[")
			i, err := strconv.Atoi(strings.TrimSuffix(number, "]"))
			if err != nil {
				return nil, fmt.Errorf("reading the index of allocation %q of job %s: %w", a.Name, job, err)
			}
			nodes[i] = a.NodeName
		}
	}
	names := make([]string, 0, len(nodes))
	for _, i := range slices.Sorted(maps.Keys(nodes)) {
		names = append(names, nodes[i])
	}
	return names, err
}
