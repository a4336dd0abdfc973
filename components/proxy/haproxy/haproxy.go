package haproxy

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/nomad"
)

const proxiesType = "emqx:nomad:HAProxyJob"

// Args describe the proxies' job.
type Args struct {
	// Vars are the variables of the job file, with their units and defaults.
	Vars

	// Optional.

	// ChildOptions go to the Nomad job itself: hooks and dependencies of a
	// component do not reach its children.
	ChildOptions []pulumi.ResourceOption
}

// Proxies are the job of the proxies, as many as nodes, on the fixed client
// ports. They lead to EMQX at the nodes' own addresses, while Consul names the node.
//
//	proxies, err := haproxy.New(ctx, "haproxy", &haproxy.Args{
//		Vars: haproxy.Vars{
//			Environment: "prod", Datacenter: "dc1", NodeCount: 3, Image: "haproxy:3.2.25",
//			CPU: 1000, MaxConn: 50000, NoFile: 101000, KeepAliveMax: 600,
//		},
//		ChildOptions: []pulumi.ResourceOption{pulumi.DependsOn(cluster.Each)},
//	})
type Proxies struct {
	pulumi.ResourceState

	// JobID is the job's id in Nomad.
	JobID string
	// ModifyIndex grows with every version of the job; known once it is
	// registered.
	ModifyIndex pulumi.StringOutput

	// Each is the job, for others to depend on: see [nomad.EMQX].
	Each []pulumi.Resource
}

// New registers the job; every fault of args is reported before it is.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Proxies, error) {
	a := Args{}
	if args != nil {
		a = *args
	}
	vars, err := a.HCL2()
	if err != nil {
		return nil, fmt.Errorf("creating HAProxy job %q: %w", name, err)
	}
	p := &Proxies{JobID: JobID(a.Environment)}
	if err := ctx.RegisterComponentResource(proxiesType, name, p, opts...); err != nil {
		return nil, err
	}
	job, err := nomad.NewJob(ctx, name, Job, vars, p, a.ChildOptions)
	if err != nil {
		return nil, fmt.Errorf("creating Nomad job %q: %w", p.JobID, err)
	}
	p.ModifyIndex, p.Each = job.ModifyIndex, []pulumi.Resource{job}
	return p, ctx.RegisterResourceOutputs(p, pulumi.Map{"jobId": pulumi.String(p.JobID)})
}
