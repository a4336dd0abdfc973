package nomad

import (
	"maps"
	"slices"
	"strconv"

	"github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

// known is what a parsed job says about the outputs to come.
func known(job *api.Job) rpc.Props {
	out := rpc.Props{"name": *job.ID, "namespace": *job.Namespace}
	if job.Type != nil {
		out["type"] = *job.Type
	}
	if job.Region != nil {
		out["region"] = *job.Region
	}
	if len(job.Datacenters) > 0 {
		out["datacenters"] = table.StringList(job.Datacenters)
	}
	return out
}

// jobProps are the outputs of the resource and of the function getJob.
func jobProps(job *api.Job) rpc.Props {
	out := rpc.Props{
		"name": deref(job.ID), "type": deref(job.Type), "region": deref(job.Region),
		"namespace": deref(job.Namespace), "datacenters": table.StringList(job.Datacenters),
		"priority": float64(deref(job.Priority)), "allAtOnce": deref(job.AllAtOnce),
		"parentId": deref(job.ParentID), "stop": deref(job.Stop), "stable": deref(job.Stable),
		"status": deref(job.Status), "statusDescription": deref(job.StatusDescription),
		"version": float64(deref(job.Version)), "createIndex": float64(deref(job.CreateIndex)),
		"modifyIndex": float64(deref(job.ModifyIndex)),
		"submitTime":  strconv.FormatInt(deref(job.SubmitTime), 10),
		"constraints": constraints(job.Constraints), "taskGroups": taskGroups(job.TaskGroups),
		"updateStrategies": updateStrategies(job.Update),
		"periodicConfigs":  []any{},
	}
	if p := job.Periodic; p != nil {
		out["periodicConfigs"] = []any{map[string]any{
			"enabled": deref(p.Enabled), "spec": deref(p.Spec), "specType": deref(p.SpecType),
			"prohibitOverlap": deref(p.ProhibitOverlap), "timezone": deref(p.TimeZone),
		}}
	}
	return out
}

func constraints(all []*api.Constraint) []any {
	out := []any{}
	for _, c := range all {
		out = append(out, map[string]any{"ltarget": c.LTarget, "operand": c.Operand, "rtarget": c.RTarget})
	}
	return out
}

func updateStrategies(u *api.UpdateStrategy) []any {
	if u == nil {
		return []any{}
	}
	return []any{map[string]any{
		"stagger": deref(u.Stagger).String(), "maxParallel": float64(deref(u.MaxParallel)),
		"healthCheck": deref(u.HealthCheck), "minHealthyTime": deref(u.MinHealthyTime).String(),
		"healthyDeadline": deref(u.HealthyDeadline).String(), "autoRevert": deref(u.AutoRevert),
		"canary": float64(deref(u.Canary)),
	}}
}

func taskGroups(groups []*api.TaskGroup) []any {
	out := []any{}
	for _, g := range groups {
		volumes := []any{}
		for _, name := range slices.Sorted(maps.Keys(g.Volumes)) {
			v := g.Volumes[name]
			volumes = append(volumes, map[string]any{"name": v.Name, "type": v.Type, "readOnly": v.ReadOnly, "source": v.Source})
		}
		tasks := []any{}
		for _, t := range g.Tasks {
			mounts := []any{}
			for _, m := range t.VolumeMounts {
				mounts = append(mounts, map[string]any{
					"volume": deref(m.Volume), "destination": deref(m.Destination), "readOnly": deref(m.ReadOnly),
				})
			}
			tasks = append(tasks, map[string]any{"name": t.Name, "driver": t.Driver, "meta": table.StringMap(t.Meta), "volumeMounts": mounts})
		}
		out = append(out, map[string]any{
			"name": deref(g.Name), "count": float64(deref(g.Count)), "meta": table.StringMap(g.Meta),
			"tasks": tasks, "volumes": volumes, "updateStrategies": updateStrategies(g.Update),
		})
	}
	return out
}

// deref is the product's gates.Deref, which the lab does not know.
func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
