package nomad

import (
	"sort"
	"strconv"

	"github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
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
		out["datacenters"] = list(job.Datacenters)
	}
	return out
}

// jobProps are the outputs of the resource and of the function getJob.
func jobProps(job *api.Job) rpc.Props {
	out := rpc.Props{
		"name": value(job.ID), "type": value(job.Type), "region": value(job.Region),
		"namespace": value(job.Namespace), "datacenters": list(job.Datacenters),
		"priority": float64(value(job.Priority)), "allAtOnce": value(job.AllAtOnce),
		"parentId": value(job.ParentID), "stop": value(job.Stop), "stable": value(job.Stable),
		"status": value(job.Status), "statusDescription": value(job.StatusDescription),
		"version": float64(value(job.Version)), "createIndex": float64(value(job.CreateIndex)),
		"modifyIndex": float64(value(job.ModifyIndex)),
		"submitTime":  strconv.FormatInt(value(job.SubmitTime), 10),
		"constraints": constraints(job.Constraints), "taskGroups": taskGroups(job.TaskGroups),
		"updateStrategies": updateStrategies(job.Update),
		"periodicConfigs":  []any{},
	}
	if p := job.Periodic; p != nil {
		out["periodicConfigs"] = []any{map[string]any{
			"enabled": value(p.Enabled), "spec": value(p.Spec), "specType": value(p.SpecType),
			"prohibitOverlap": value(p.ProhibitOverlap), "timezone": value(p.TimeZone),
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
		"stagger": value(u.Stagger).String(), "maxParallel": float64(value(u.MaxParallel)),
		"healthCheck": value(u.HealthCheck), "minHealthyTime": value(u.MinHealthyTime).String(),
		"healthyDeadline": value(u.HealthyDeadline).String(), "autoRevert": value(u.AutoRevert),
		"canary": float64(value(u.Canary)),
	}}
}

func taskGroups(groups []*api.TaskGroup) []any {
	out := []any{}
	for _, g := range groups {
		volumes := []any{}
		for _, name := range sorted(g.Volumes) {
			v := g.Volumes[name]
			volumes = append(volumes, map[string]any{"name": v.Name, "type": v.Type, "readOnly": v.ReadOnly, "source": v.Source})
		}
		tasks := []any{}
		for _, t := range g.Tasks {
			mounts := []any{}
			for _, m := range t.VolumeMounts {
				mounts = append(mounts, map[string]any{
					"volume": value(m.Volume), "destination": value(m.Destination), "readOnly": value(m.ReadOnly),
				})
			}
			tasks = append(tasks, map[string]any{"name": t.Name, "driver": t.Driver, "meta": stringMap(t.Meta), "volumeMounts": mounts})
		}
		out = append(out, map[string]any{
			"name": value(g.Name), "count": float64(value(g.Count)), "meta": stringMap(g.Meta),
			"tasks": tasks, "volumes": volumes, "updateStrategies": updateStrategies(g.Update),
		})
	}
	return out
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func list(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

func stringMap(in map[string]string) map[string]any {
	out := make(map[string]any, len(in))
	for k, v := range in {
		out[k] = v
	}
	return out
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for k := range m {
		names = append(names, k)
	}
	sort.Strings(names)
	return names
}
