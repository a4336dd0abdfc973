package nomad

import (
	"fmt"

	"github.com/emqx-oci/emqx-oci/sdks/nomad"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

const secretsType = "emqx:nomad:Secrets" //nolint:gosec // the type of a resource

// SecretsArgs are what the jobs must not carry in their text.
type SecretsArgs struct {
	// Required.

	// Environment names the jobs, and so the paths they alone may read.
	Environment string
	// EMQX and HAProxy are the items of each job's variable, by the Item names
	// of this package. They are plain text here so that they can be checked; the
	// component never hands them on but as secrets.
	EMQX    map[string]string
	HAProxy map[string]string

	// Defaulted.

	// Namespace of the jobs; default "default".
	Namespace string

	// Optional.

	// TLS and License demand the items that belong to them.
	TLS     bool
	License bool
}

// Secrets are one Nomad variable per job, at the path that Nomad opens to that
// job alone: encrypted in Pulumi's state and by Nomad's keyring.
//
//	secrets, err := nomad.NewSecrets(ctx, "secrets", &nomad.SecretsArgs{
//		Environment: "prod",
//		EMQX:        map[string]string{nomad.ItemErlangCookie: cookie},
//		HAProxy:     map[string]string{nomad.ItemStatsUser: "stats", nomad.ItemStatsPassword: password},
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
	for _, v := range []struct {
		child, job string
		items      map[string]string
	}{
		{"emqx", cluster.EMQXJobID(a.Environment), a.EMQX},
		{"haproxy", cluster.HAProxyJobID(a.Environment), a.HAProxy},
	} {
		variable, err := nomad.NewVariable(ctx, name+"-"+v.child, &nomad.VariableArgs{
			Path:      pulumi.String("nomad/jobs/" + v.job),
			Namespace: pulumi.String(a.Namespace),
			Items:     pulumi.ToSecret(pulumi.ToStringMap(v.items)).(pulumi.StringMapOutput),
		}, pulumi.Parent(s))
		if err != nil {
			return nil, fmt.Errorf("creating the Nomad variable of job %q: %w", v.job, err)
		}
		s.Each = append(s.Each, variable)
	}
	return s, ctx.RegisterResourceOutputs(s, pulumi.Map{})
}

func (a *SecretsArgs) validate() error {
	var f fault.List
	f.Require("environment", a.Environment)
	if err := CheckEMQXSecrets(a.EMQX, a.TLS, a.License); err != nil {
		f.Merge("emqx", err)
	}
	if err := CheckHAProxySecrets(a.HAProxy); err != nil {
		f.Merge("haproxy", err)
	}
	return f.Err()
}
