package nomad

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

func (c *client) Invoke(ctx context.Context, f *table.Resource, args rpc.Props) (rpc.Props, error) {
	switch f.Token {
	case "nomad:index/getNodes:getNodes":
		return c.getNodes(ctx, args)
	case "nomad:index/getAllocations:getAllocations":
		return c.getAllocations(ctx, args)
	case "nomad:index/getJob:getJob":
		job, _, err := c.api.Jobs().Info(text(args["jobId"]), c.query(ctx, namespaceOf(args)))
		if err != nil {
			return nil, fmt.Errorf("error checking for job: %w", err)
		}
		out := jobProps(job)
		out["id"] = deref(job.ID)
		out["jobModifyIndex"] = float64(deref(job.JobModifyIndex))
		return out, nil
	case "nomad:index/getVariable:getVariable":
		v, _, err := c.api.Variables().Read(text(args["path"]), c.query(ctx, namespaceOf(args)))
		if err != nil {
			return nil, fmt.Errorf("error getting information about %s: %w", text(args["path"]), err)
		}
		return rpc.Props{"id": v.Path + "@" + v.Namespace, "path": v.Path, "namespace": v.Namespace, "items": table.StringMap(v.Items)}, nil
	}
	return nil, fmt.Errorf("the lab's nomad provider has no function %s", f.Token)
}

func (c *client) filtered(ctx context.Context, namespace string, args rpc.Props) *api.QueryOptions {
	q := c.query(ctx, namespace)
	q.Prefix, q.Filter = text(args["prefix"]), text(args["filter"])
	q.Params = map[string]string{}
	for _, flag := range []string{"os", "resources"} {
		if on, _ := args[flag].(bool); on {
			q.Params[flag] = "true"
		}
	}
	return q
}

func (c *client) getNodes(ctx context.Context, args rpc.Props) (rpc.Props, error) {
	nodes, _, err := c.api.Nodes().List(c.filtered(ctx, "", args))
	if err != nil {
		return nil, fmt.Errorf("error listing nodes: %w", err)
	}
	out := []any{}
	for _, n := range nodes {
		drivers := []any{}
		for _, name := range slices.Sorted(maps.Keys(n.Drivers)) {
			d := n.Drivers[name]
			drivers = append(drivers, map[string]any{"name": name, "detected": d.Detected, "healthy": d.Healthy, "attributes": table.StringMap(d.Attributes)})
		}
		out = append(out, map[string]any{
			"id": n.ID, "name": n.Name, "address": n.Address, "datacenter": n.Datacenter,
			"nodeClass": n.NodeClass, "nodePool": n.NodePool, "version": n.Version, "drain": n.Drain,
			"schedulingEligibility": n.SchedulingEligibility, "status": n.Status,
			"statusDescription": n.StatusDescription, "attributes": table.StringMap(n.Attributes), "drivers": drivers,
		})
	}
	return rpc.Props{"id": "nodes", "nodes": out}, nil
}

func (c *client) getAllocations(ctx context.Context, args rpc.Props) (rpc.Props, error) {
	allocs, _, err := c.api.Allocations().List(c.filtered(ctx, namespaceOf(args), args))
	if err != nil {
		return nil, fmt.Errorf("error listing allocations: %w", err)
	}
	out := []any{}
	for _, a := range allocs {
		out = append(out, map[string]any{
			"id": a.ID, "evalId": a.EvalID, "name": a.Name, "namespace": a.Namespace, "nodeId": a.NodeID,
			"nodeName": a.NodeName, "jobId": a.JobID, "jobType": a.JobType, "jobVersion": float64(a.JobVersion),
			"taskGroup": a.TaskGroup, "desiredStatus": a.DesiredStatus, "clientStatus": a.ClientStatus,
			"followupEvalId": a.FollowupEvalID, "nextAllocation": a.NextAllocation,
			"preemptedByAllocation": a.PreemptedByAllocation,
			"createIndex":           float64(a.CreateIndex), "modifyIndex": float64(a.ModifyIndex),
			"createTime": float64(a.CreateTime), "modifyTime": float64(a.ModifyTime),
		})
	}
	return rpc.Props{"id": "allocations", "allocations": out}, nil
}
