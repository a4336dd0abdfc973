package nomad

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/internal/jobtest"
)

func testEMQX() *EMQXArgs {
	return &EMQXArgs{EMQXVars: EMQXVars{
		Environment: "prod", Datacenter: "dc1", NodeCount: 3, Image: "emqx/emqx:5.8.9",
		CPU: 2000, MemoryMB: 4096, KeepAliveMax: 600, NoFile: 1048576,
	}}
}

func testSecrets() *SecretsArgs {
	return &SecretsArgs{
		Environment: "prod",
		EMQX: map[string]string{
			ItemErlangCookie: "aCookieThatIsLongEnough", ItemDashboardPassword: "hidden-password",
			ItemAPIKey: "hidden-key", ItemAPISecret: "hidden-secret",
		},
		Proxy: &JobSecrets{
			JobID: "emqx-prod-proxy", Name: "proxy", Items: map[string]string{"password": "hidden-too"},
			Check: func(items map[string]string) error {
				var f fault.List
				f.Require("password", items["password"])
				return f.Err()
			},
		},
	}
}

func TestJobComponent(t *testing.T) {
	r := jobtest.RecordBoth(t, func(ctx *pulumi.Context) error {
		cluster, err := NewEMQX(ctx, "emqx", testEMQX())
		if err != nil {
			return err
		}
		assert.Equal(t, cluster.JobID, "emqx-prod")
		return nil
	})
	jobtest.Registered(t, r, "emqx", EMQXJob)
}

// ADR 0007: handed over as Nomad variables, never in clear.
func TestSecretsComponent(t *testing.T) {
	r := jobtest.RecordBoth(t, func(ctx *pulumi.Context) error {
		_, err := NewSecrets(ctx, "secrets", testSecrets())
		return err
	})
	variables := r.Kind("Variable")
	assert.Equal(t, len(variables), 2)
	paths := []string{"nomad/jobs/emqx-prod", "nomad/jobs/emqx-prod-proxy"}
	for i, v := range variables {
		assert.Equal(t, v.Inputs["path"].StringValue(), paths[i])
		assert.Equal(t, v.Inputs["namespace"].StringValue(), "default")
		assert.Assert(t, v.Inputs["items"].IsSecret())
	}
	for i, want := range []map[string]string{testSecrets().EMQX, testSecrets().Proxy.Items} {
		items := variables[i].Inputs["items"].SecretValue().Element.ObjectValue()
		assert.Equal(t, len(items), len(want))
		for name, value := range want {
			assert.Equal(t, items[resource.PropertyKey(name)].StringValue(), value)
		}
	}
	for i, name := range []string{"secrets-emqx", "secrets-proxy"} {
		assert.Equal(t, variables[i].Name, name)
	}
}

func TestSecretsWithoutAProxy(t *testing.T) {
	r := jobtest.RecordBoth(t, func(ctx *pulumi.Context) error {
		args := testSecrets()
		args.Proxy = nil
		_, err := NewSecrets(ctx, "secrets", args)
		return err
	})
	assert.Equal(t, len(r.Kind("Variable")), 1)
}

func TestBadArgsRegisterNothingAndShowNoSecret(t *testing.T) {
	for name, program := range map[string]pulumi.RunFunc{
		"emqx": func(ctx *pulumi.Context) error {
			args := testEMQX()
			args.KillTimeout, args.Image = 100e9, "emqx/emqx:5.9.0"
			_, err := NewEMQX(ctx, "emqx", args)
			assert.ErrorContains(t, err, "killTimeout: must be at least")
			assert.ErrorContains(t, err, "licence key")
			return err
		},
		"secrets": func(ctx *pulumi.Context) error {
			args := testSecrets()
			args.EMQX[ItemErlangCookie] = "hidden#cookie"
			args.Proxy.Items = map[string]string{"user": "hidden-user"}
			args.TLS = true
			_, err := NewSecrets(ctx, "secrets", args)
			assert.ErrorContains(t, err, "emqx.erlang_cookie: must be")
			assert.ErrorContains(t, err, "emqx.tls_key: must be set")
			assert.ErrorContains(t, err, "proxy.password: must be set")
			assert.Assert(t, !strings.Contains(err.Error(), "hidden"))
			return err
		},
		"a proxy without a job": func(ctx *pulumi.Context) error {
			args := testSecrets()
			args.Proxy.JobID, args.Proxy.Name = "", ""
			_, err := NewSecrets(ctx, "secrets", args)
			assert.ErrorContains(t, err, "proxy.jobId: must be set")
			assert.ErrorContains(t, err, "proxy.name: must be set")
			return err
		},
		"nothing given": func(ctx *pulumi.Context) error {
			_, err := NewEMQX(ctx, "emqx", nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := recorder.Run(program, recorder.Options{})
			assert.Assert(t, err != nil)
			assert.Equal(t, len(r.Resources), 0)
		})
	}
}
