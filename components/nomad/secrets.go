package nomad

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/sdks/nomad"
)

const secretsType = "emqx:nomad:Secrets" //nolint:gosec // the type of a resource

// SecretsArgs are what the jobs must not carry in their text.
type SecretsArgs struct {
	// Required.

	// Environment names the jobs, and so the paths they alone may read.
	Environment string
	// EMQX are the items of its job's variable, by the Item names of this package. They
	// are plain text here so that they can be checked; the component never hands them on
	// but as secrets.
	EMQX map[string]string

	// Defaulted.

	// Namespace of the jobs; default "default".
	Namespace string

	// Optional.

	// Proxy is what the job in front of EMQX must not carry in its text; none without it.
	Proxy *JobSecrets
	// Addresses are those of the nodes, by their index, for who asks for them by Members.
	Addresses []pulumi.StringOutput
	// TLS and License demand the items of EMQX that belong to them.
	TLS     bool
	License bool
}

// JobSecrets are the items of one more job's variable, which may be plain text for the
// same reason.
type JobSecrets struct {
	// Required.

	// JobID of the job that alone may read them.
	JobID string
	// Name of the variable behind that of the component, "<component>-<Name>", and what
	// the paths of faults begin with.
	Name  string
	Items map[string]string

	// Optional.

	// Members names one more item: the addresses of the nodes, with spaces between.
	Members string
	// Check returns the faults of the items, as a [*fault.Error] without their values.
	Check func(items map[string]string) error
}

// Secrets are one Nomad variable per job, at the path that Nomad opens to that
// job alone: encrypted in Pulumi's state and by Nomad's keyring.
//
//	secrets, err := nomad.NewSecrets(ctx, "secrets", &nomad.SecretsArgs{
//		Environment: "prod",
//		EMQX:        map[string]string{nomad.ItemErlangCookie: cookie},
//		Proxy: &nomad.JobSecrets{
//			JobID: "proxy-prod", Name: "proxy", Items: map[string]string{"password": password},
//		},
//	})
type Secrets struct {
	pulumi.ResourceState

	// Each are the variables, for others to depend on: see [EMQX].
	Each []pulumi.Resource
}

// NewSecrets registers the variables; every fault of args is reported before
// anything is, and no error holds a value.
func NewSecrets(ctx *pulumi.Context, name string, args *SecretsArgs, opts ...pulumi.ResourceOption) (*Secrets, error) {
	a := SecretsArgs{}
	if args != nil {
		a = *args
	}
	if a.Namespace == "" {
		a.Namespace = cluster.DefaultNamespace
	}
	if err := a.validate(); err != nil {
		return nil, fmt.Errorf("creating secrets %q: %w", name, err)
	}
	s := &Secrets{}
	if err := ctx.RegisterComponentResource(secretsType, name, s, opts...); err != nil {
		return nil, err
	}
	jobs := []JobSecrets{{JobID: cluster.EMQXJobID(a.Environment), Name: "emqx", Items: a.EMQX}}
	if a.Proxy != nil {
		jobs = append(jobs, *a.Proxy)
	}
	addresses, err := told(ctx, a.Addresses)
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		variable, err := nomad.NewVariable(ctx, name+"-"+j.Name, &nomad.VariableArgs{
			Path:      pulumi.String("nomad/jobs/" + j.JobID),
			Namespace: pulumi.String(a.Namespace),
			Items:     j.items(addresses),
		}, pulumi.Parent(s))
		if err != nil {
			return nil, fmt.Errorf("creating the Nomad variable of job %q: %w", j.JobID, err)
		}
		s.Each = append(s.Each, variable)
	}
	return s, ctx.RegisterResourceOutputs(s, pulumi.Map{})
}

// told are the addresses, and in a preview a stand-in for one that only an update makes known:
// among secrets, one unknown value would make all of them unknown.
func told(ctx *pulumi.Context, addresses []pulumi.StringOutput) ([]any, error) {
	all := make([]any, len(addresses))
	for i, address := range addresses {
		all[i] = address
		if !ctx.DryRun() {
			continue
		}
		got, err := internals.UnsafeAwaitOutput(ctx.Context(), address)
		if err != nil {
			return nil, fmt.Errorf("waiting for the address of node %d: %w", i, err)
		}
		if !got.Known {
			all[i] = pulumi.OutputWithDependencies(ctx.Context(), pulumi.String("(known-later)").ToStringOutput(), got.Dependencies...)
		}
	}
	return all, nil
}

// items are those of the variable, with what only the cloud knows.
func (j JobSecrets) items(addresses []any) pulumi.StringMap {
	items := pulumi.ToStringMap(j.Items)
	if j.Members != "" {
		items[j.Members] = pulumi.Sprintf(strings.TrimSuffix(strings.Repeat("%s ", len(addresses)), " "), addresses...)
	}
	return items
}

func (a *SecretsArgs) validate() error {
	var f fault.List
	f.Require("environment", a.Environment)
	if err := CheckEMQXSecrets(a.EMQX, a.TLS, a.License); err != nil {
		f.Merge("emqx", err)
	}
	if p := a.Proxy; p != nil {
		f.Require("proxy.jobId", p.JobID)
		f.Require("proxy.name", p.Name)
		if p.Check != nil {
			f.Merge(p.Name, p.Check(p.Items))
		}
	}
	return f.Err()
}
