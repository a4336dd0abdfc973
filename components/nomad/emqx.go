package nomad

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/sdks/nomad"
)

const emqxType = "emqx:nomad:EMQXJob"

// EMQXArgs describe the cluster's job.
type EMQXArgs struct {
	// EMQXVars are the variables of the job file, with their units and defaults.
	EMQXVars

	// Optional.

	// ChildOptions go to the Nomad job itself: hooks and dependencies of a
	// component do not reach its children.
	ChildOptions []pulumi.ResourceOption
}

// EMQX is the job of the cluster: one group, one allocation per node, updated
// one node after another whatever happens to the program that asked. The
// resource only registers the job (detach); whether the deployment succeeds is
// watched by gates (ADR 0008).
//
//	cluster, err := nomad.NewEMQX(ctx, "emqx", &nomad.EMQXArgs{
//		EMQXVars: nomad.EMQXVars{
//			Environment: "prod", Datacenter: "dc1", NodeCount: 3, Image: "emqx/emqx:5.8.9",
//			CPU: 2000, MemoryMB: 4096, KeepAliveMax: 600, NoFile: 1048576,
//		},
//		ChildOptions: []pulumi.ResourceOption{pulumi.DependsOn(pools.Each)},
//	})
type EMQX struct {
	pulumi.ResourceState

	// JobID is the job's id in Nomad.
	JobID string
	// ModifyIndex grows with every version of the job; known once it is
	// registered.
	ModifyIndex pulumi.StringOutput

	// Each are its custom resources, for others to depend on. A dependency on
	// the component itself is a race: the SDK learns of children in the
	// background.
	Each []pulumi.Resource
}

// NewEMQX registers the job; every fault of args is reported before it is.
func NewEMQX(ctx *pulumi.Context, name string, args *EMQXArgs, opts ...pulumi.ResourceOption) (*EMQX, error) {
	a := EMQXArgs{}
	if args != nil {
		a = *args
	}
	vars, err := a.HCL2()
	if err != nil {
		return nil, fmt.Errorf("creating EMQX job %q: %w", name, err)
	}
	e := &EMQX{JobID: cluster.EMQXJobID(a.Environment)}
	if err := ctx.RegisterComponentResource(emqxType, name, e, opts...); err != nil {
		return nil, err
	}
	job, err := NewJob(ctx, name, EMQXJob, vars, e, a.ChildOptions)
	if err != nil {
		return nil, fmt.Errorf("creating Nomad job %q: %w", e.JobID, err)
	}
	e.ModifyIndex, e.Each = job.ModifyIndex, []pulumi.Resource{job}
	return e, ctx.RegisterResourceOutputs(e, pulumi.Map{"jobId": pulumi.String(e.JobID)})
}

// CertificateVariable is the path of the Nomad variable, beside that of the secrets, in which the job finds a certificate
// that comes from outside the stack: [cluster.ItemCertificate] and [cluster.ItemPrivateKey].
func CertificateVariable(environment string) string {
	return cluster.CertificateVariable(cluster.EMQXJobID(environment), "emqx")
}

// ShownCertificate is a command in the job's task, which prints the certificate that EMQX reads by now, with its chain and
// without its key, and behind it why a newer one was refused, if one was.
func ShownCertificate() (task string, command []string) {
	return "emqx", []string{"/bin/sh", "-c", "cat /tmp/emqx-certificate/tls.crt /tmp/emqx-certificate/refused 2>/dev/null; :"}
}

// jobPlace are the variables that say which job of Nomad's it is. The provider looks for
// another id or namespace only when the text changes, and would leave the old job running.
var jobPlace = []string{"hcl2.vars.environment", "hcl2.vars.namespace", "hcl2.vars.region"}

// NewJob registers a job file with its values of hcl2.vars, as a child of parent. Another
// environment, namespace or region makes another job of it. Text and variables are known
// at plan time, so that every preview parses them and shows a readable difference. It
// waits for no deployment: gates do.
func NewJob(
	ctx *pulumi.Context, name, spec string, vars map[string]string, parent pulumi.Resource, opts []pulumi.ResourceOption,
) (*nomad.Job, error) {
	return nomad.NewJob(ctx, name, &nomad.JobArgs{
		Jobspec: pulumi.String(spec),
		Hcl2:    nomad.JobHcl2Args{Vars: pulumi.ToStringMap(vars)},
		// The provider's own wait tells no reason, and later reports success
		// over a deployment that failed.
		Detach: pulumi.Bool(true),
		// A job stopped from outside would otherwise look unchanged for ever.
		RerunIfDead: pulumi.Bool(true),
		// A job that is only stopped keeps its id, and a new stack of the same
		// name would inherit its versions.
		PurgeOnDestroy: pulumi.Bool(true),
	}, append([]pulumi.ResourceOption{
		// Both jobs want the nodes' ports and volumes.
		pulumi.Parent(parent), pulumi.ReplaceOnChanges(jobPlace), pulumi.DeleteBeforeReplace(true),
	}, opts...)...)
}
