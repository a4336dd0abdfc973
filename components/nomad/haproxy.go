package nomad

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

const haproxyType = "emqx:nomad:HAProxyJob"

// HAProxyArgs describe the proxies' job.
type HAProxyArgs struct {
	// HAProxyVars are the variables of the job file, with their units and
	// defaults.
	HAProxyVars

	// Optional.

	// ChildOptions go to the Nomad job itself: hooks and dependencies of a
	// component do not reach its children.
	ChildOptions []pulumi.ResourceOption
}

// HAProxy is the job of the proxies, as many as nodes, on the fixed client
// ports. They find EMQX by Consul's SRV records.
//
//	proxies, err := nomad.NewHAProxy(ctx, "haproxy", &nomad.HAProxyArgs{
//		HAProxyVars: nomad.HAProxyVars{
//			Environment: "prod", Datacenter: "dc1", NodeCount: 3, Image: "haproxy:3.2.25",
//			CPU: 1000, MaxConn: 50000, NoFile: 101000, KeepAliveMax: 600,
//		},
//		ChildOptions: []pulumi.ResourceOption{pulumi.DependsOn(cluster.Each)},
//	})
type HAProxy struct {
	pulumi.ResourceState

	// JobID is the job's id in Nomad.
	JobID string
	// ModifyIndex grows with every version of the job; known once it is
	// registered.
	ModifyIndex pulumi.StringOutput

	// Each is the job, for others to depend on: see [EMQX].
	Each []pulumi.Resource
}

// NewHAProxy registers the job; every fault of args is reported before it is.
func NewHAProxy(ctx *pulumi.Context, name string, args *HAProxyArgs, opts ...pulumi.ResourceOption) (*HAProxy, error) {
	a := HAProxyArgs{}
	if args != nil {
		a = *args
	}
	vars, err := a.HCL2()
	if err != nil {
		return nil, fmt.Errorf("creating HAProxy job %q: %w", name, err)
	}
	h := &HAProxy{JobID: cluster.HAProxyJobID(a.Environment)}
	if err := ctx.RegisterComponentResource(haproxyType, name, h, opts...); err != nil {
		return nil, err
	}
	job, err := newJob(ctx, name, HAProxyJob, vars, h, a.ChildOptions)
	if err != nil {
		return nil, fmt.Errorf("creating Nomad job %q: %w", h.JobID, err)
	}
	h.ModifyIndex, h.Each = job.ModifyIndex, []pulumi.Resource{job}
	return h, ctx.RegisterResourceOutputs(h, pulumi.Map{"jobId": pulumi.String(h.JobID)})
}
