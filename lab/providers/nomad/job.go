package nomad

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

// deployTimeout is the plugin's own, shorter than Nomad's progress deadline of ten
// minutes: a customTimeouts option overrides it.
const deployTimeout = 5 * time.Minute

// planTimeout bounds what a preview waits for a server that does not answer.
const planTimeout = 10 * time.Second

// Plan parses a new text or new variables, so that a preview fails on bad ones. Of a new
// text it finds out whether it is the same job and still the one that was registered last.
// Where only the variables are others the real plugin compares nothing: see jobspecEqual of
// terraform-provider-nomad, which reads both texts with the new variables.
func (c *client) Plan(ctx context.Context, r *table.Resource, p *rpc.Plan) error {
	if r.Token != jobToken {
		return nil
	}
	if dead(p.State) && table.Plain(p.News["rerunIfDead"]).V == true {
		p.Diff.Changes = append(p.Diff.Changes, table.Change{Path: "status", Kind: table.Update, Output: true})
	}
	created := p.State == nil
	compares := created || p.Diff.Touches("jobspec")
	if !compares && !p.Diff.Touches("hcl2") {
		return nil
	}
	if jobspec := table.Plain(p.News["jobspec"]); table.Unknown(jobspec) || jobspec.ContainsUnknowns() {
		return nil // as a whole unknown: looked at when it is known
	}
	ctx, cancel := context.WithTimeout(ctx, planTimeout)
	defer cancel()
	// An unknown variable counts as not given, as in the plugin: a job without a
	// default for it fails the preview.
	job, err := c.parse(ctx, specOf(r.In.Canon(table.Values(p.News))))
	if errors.Is(err, errNoServer) {
		return nil // the server may be part of what this update creates
	}
	if err != nil || !compares {
		return err
	}
	p.Known = known(job)
	if created {
		return nil
	}
	return c.planUpdate(ctx, p, job)
}

func dead(state rpc.Props) bool { return state["status"] == "dead" }

func (c *client) planUpdate(ctx context.Context, p *rpc.Plan, job *api.Job) error {
	replace := false
	switch {
	case namespaceOf(p.State) != *job.Namespace:
		replace = true
	case jobID(text(p.State["id"]), p.State) != *job.ID:
		replace = table.Plain(p.News["deregisterOnIdChange"]).V != false
	default:
		now, err := c.modifyIndex(ctx, *job.ID, *job.Namespace)
		if err == nil && now != text(p.State["modifyIndex"]) {
			return errors.New("job modify index has changed since last refresh")
		}
	}
	for i, change := range p.Diff.Changes {
		if replace && change.Path == "jobspec" {
			p.Diff.Changes[i].Replace = true
			return nil
		}
	}
	if replace {
		p.Diff.Changes = append(p.Diff.Changes, table.Change{Path: "name", Kind: table.Update, Replace: true, Output: true})
	}
	return nil
}

// modifyIndex of the job as it is registered now, "0" for none.
func (c *client) modifyIndex(ctx context.Context, id, namespace string) (string, error) {
	job, _, err := c.api.Jobs().Info(id, c.query(ctx, namespace))
	if status, ok := answered(err); ok && status == http.StatusNotFound {
		return "0", nil
	}
	if err != nil {
		return "", err
	}
	return index(job.JobModifyIndex), nil
}

func index(n *uint64) string {
	if n == nil {
		return "0"
	}
	return strconv.FormatUint(*n, 10)
}

// jobID is the registered job's: an id change without deregistration leaves the
// resource's own id behind.
func jobID(id string, state rpc.Props) string {
	if name := text(state["name"]); name != "" {
		return name
	}
	return id
}

func (c *client) registerJob(ctx context.Context, state, in rpc.Props) (string, rpc.Props, error) {
	job, err := c.parse(ctx, specOf(in))
	if err != nil {
		return "", nil, err
	}
	on := func(key string) bool { b, _ := in[key].(bool); return b }
	// The index is sent but not enforced, as the plugin does; it was compared when
	// the change was planned.
	want, _ := strconv.ParseUint(text(state["modifyIndex"]), 10, 64)
	resp, _, err := c.api.Jobs().RegisterOpts(job, &api.RegisterOptions{
		PolicyOverride: on("policyOverride"),
		PreserveCounts: on("preserveCounts"),
		ModifyIndex:    want,
	}, c.write(ctx, *job.Namespace))
	if err != nil {
		return "", nil, fmt.Errorf("error applying jobspec: %w", err)
	}
	known := rpc.Props{"namespace": *job.Namespace, "name": *job.ID, "readAllocationIds": in["readAllocationIds"]}
	var deployment *api.Deployment
	if !on("detach") && resp.EvalID != "" {
		if deployment, err = c.monitor(ctx, *job.Namespace, resp.EvalID); err != nil {
			err = fmt.Errorf("error waiting for job '%s' to schedule/deploy successfully: %w", *job.ID, err)
		}
	}
	out, readErr := c.readJob(context.WithoutCancel(ctx), *job.ID, known)
	if readErr != nil {
		out = known
	}
	if deployment != nil {
		out["deploymentId"], out["deploymentStatus"] = deployment.ID, deployment.Status
	}
	return *job.ID, out, errors.Join(err, readErr)
}

func (c *client) readJob(ctx context.Context, id string, state rpc.Props) (rpc.Props, error) {
	namespace := namespaceOf(state)
	id = jobID(id, state)
	job, _, err := c.api.Jobs().Info(id, c.query(ctx, namespace))
	if status, ok := answered(err); ok && status == http.StatusNotFound {
		return nil, rpc.ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("error checking for job: %w", err)
	}
	out := jobProps(job)
	out["modifyIndex"] = index(job.JobModifyIndex)
	out["deploymentId"], out["deploymentStatus"] = text(state["deploymentId"]), text(state["deploymentStatus"])
	ids := []any{}
	if read, _ := state["readAllocationIds"].(bool); read {
		allocs, _, err := c.api.Jobs().Allocations(id, false, c.query(ctx, namespace))
		if err != nil {
			return nil, fmt.Errorf("error listing allocations of job %s: %w", id, err)
		}
		for _, a := range allocs {
			ids = append(ids, a.ID)
		}
	}
	out["allocationIds"] = ids
	return out, nil
}

// deregisterJob returns when Nomad has accepted it: the tasks stop after that.
func (c *client) deregisterJob(ctx context.Context, id string, state rpc.Props) error {
	if deregister, ok := state["deregisterOnDestroy"].(bool); ok && !deregister {
		return nil
	}
	purge, _ := state["purgeOnDestroy"].(bool)
	if _, _, err := c.api.Jobs().Deregister(jobID(id, state), purge, c.write(ctx, namespaceOf(state))); err != nil {
		return fmt.Errorf("error deregistering job: %w", err)
	}
	return nil
}

// monitor follows an evaluation and the deployment that comes of it, to the end.
func (c *client) monitor(ctx context.Context, namespace, evalID string) (*api.Deployment, error) {
	if _, set := ctx.Deadline(); !set {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, deployTimeout)
		defer cancel()
	}
	state := "monitoring_evaluation"
	var deploymentID string
	for {
		var done bool
		var deployment *api.Deployment
		var err error
		if deploymentID == "" {
			evalID, deploymentID, done, err = c.evaluation(ctx, namespace, evalID)
		} else {
			state = "monitoring_deployment"
			deployment, done, err = c.deployment(ctx, namespace, deploymentID)
		}
		if err != nil && ctx.Err() == nil {
			return deployment, fmt.Errorf("error waiting for evaluation: %w", err)
		}
		if done && err == nil {
			return deployment, nil
		}
		select {
		case <-ctx.Done():
			return deployment, fmt.Errorf("error waiting for evaluation: timeout while waiting for state to become 'deployment_successful' (last state: '%s'): %w", state, ctx.Err())
		case <-time.After(time.Second):
		}
	}
}

// evaluation returns the evaluation to look at next, and the deployment once
// there is one; done means that there will be none.
func (c *client) evaluation(ctx context.Context, namespace, id string) (next, deployment string, done bool, err error) {
	e, _, err := c.api.Evaluations().Info(id, c.query(ctx, namespace))
	switch {
	case err != nil:
		return id, "", false, err
	case e.Status == "failed" || e.Status == "canceled" || e.Status == "cancelled":
		return id, "", false, fmt.Errorf("evaluation failed: %s", e.StatusDescription)
	case e.Status != "complete":
		return id, "", false, nil
	case e.NextEval != "":
		return e.NextEval, "", false, nil
	default:
		return id, e.DeploymentID, e.DeploymentID == "", nil
	}
}

func (c *client) deployment(ctx context.Context, namespace, id string) (*api.Deployment, bool, error) {
	d, _, err := c.api.Deployments().Info(id, c.query(ctx, namespace))
	switch {
	case err != nil:
		return nil, false, err
	case d.Status == "failed" || d.Status == "cancelled":
		return d, false, fmt.Errorf("deployment '%s' terminated with status '%s': '%s'", d.ID, d.Status, d.StatusDescription)
	default:
		return d, d.Status == "successful", nil
	}
}
