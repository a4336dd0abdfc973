package nomad

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/recorder"
)

func testEMQX() *EMQXArgs {
	return &EMQXArgs{EMQXVars: EMQXVars{
		Environment: "prod", Datacenter: "dc1", NodeCount: 3, Image: "emqx/emqx:5.8.9",
		CPU: 2000, MemoryMB: 4096, KeepAliveMax: 600, NoFile: 1048576,
	}}
}

func testHAProxy() *HAProxyArgs {
	return &HAProxyArgs{HAProxyVars: HAProxyVars{
		Environment: "prod", Datacenter: "dc1", NodeCount: 3, Image: "haproxy:3.2.25",
		CPU: 1000, MaxConn: 50000, NoFile: 101000, KeepAliveMax: 600,
	}}
}

func testSecrets() *SecretsArgs {
	return &SecretsArgs{
		Environment: "prod",
		EMQX: map[string]string{
			ItemErlangCookie: "aCookieThatIsLongEnough", ItemDashboardPassword: "hidden-password",
			ItemAPIKey: "hidden-key", ItemAPISecret: "hidden-secret",
		},
		HAProxy: map[string]string{ItemStatsUser: "stats", ItemStatsPassword: "hidden-stats"},
	}
}

func buildBoth(t *testing.T, program pulumi.RunFunc) *recorder.Recording {
	t.Helper()
	up, err := recorder.Run(program, recorder.Options{})
	assert.NilError(t, err)
	preview, err := recorder.Run(program, recorder.Options{Preview: true})
	assert.NilError(t, err)
	assert.Equal(t, preview.Text(), up.Text(), "everything here is known at plan time")
	return up
}

func TestJobComponents(t *testing.T) {
	r := buildBoth(t, func(ctx *pulumi.Context) error {
		cluster, err := NewEMQX(ctx, "emqx", testEMQX())
		if err != nil {
			return err
		}
		assert.Equal(t, cluster.JobID, "emqx-prod")
		args := testHAProxy()
		args.ChildOptions = []pulumi.ResourceOption{pulumi.DependsOn(cluster.Each)}
		_, err = NewHAProxy(ctx, "haproxy", args)
		return err
	})
	for name, text := range map[string]string{"emqx": EMQXJob, "haproxy": HAProxyJob} {
		job, ok := r.Find("Job", name)
		assert.Assert(t, ok)
		assert.Equal(t, job.Type, "nomad:index/job:Job")
		assert.Equal(t, job.Parent, name)
		assert.Equal(t, job.Inputs["jobspec"].StringValue(), text, "the file, untouched")
		for _, flag := range []string{"detach", "rerunIfDead", "purgeOnDestroy"} {
			assert.Equal(t, job.Inputs.Mappable()[flag], true, flag)
		}
		// Of the variables the provider sees only that they change.
		assert.DeepEqual(t, job.ReplaceOnChanges, []string{"hcl2.vars.environment", "hcl2.vars.namespace", "hcl2.vars.region"})
		// Every variable that the file declares without a default is given.
		vars := job.Inputs["hcl2"].ObjectValue()["vars"].ObjectValue().Mappable()
		for _, line := range strings.Split(text, "\n") {
			if variable, ok := strings.CutPrefix(line, `variable "`); ok {
				_, given := vars[variable[:strings.Index(variable, `"`)]]
				assert.Assert(t, given, line)
			}
		}
	}
	proxies, _ := r.Find("Job", "haproxy")
	assert.DeepEqual(t, proxies.DependsOn, []string{"emqx"})
}

// ADR 0007: handed over as Nomad variables, never in clear.
func TestSecretsComponent(t *testing.T) {
	r := buildBoth(t, func(ctx *pulumi.Context) error {
		_, err := NewSecrets(ctx, "secrets", testSecrets())
		return err
	})
	variables := r.Kind("Variable")
	assert.Equal(t, len(variables), 2)
	paths := []string{"nomad/jobs/emqx-prod", "nomad/jobs/emqx-prod-haproxy"}
	for i, v := range variables {
		assert.Equal(t, v.Inputs["path"].StringValue(), paths[i])
		assert.Equal(t, v.Inputs["namespace"].StringValue(), "default")
		assert.Assert(t, v.Inputs["items"].IsSecret())
	}
	items := variables[0].Inputs["items"].SecretValue().Element.ObjectValue()
	assert.Equal(t, items["dashboard_password"].StringValue(), "hidden-password")
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
		"haproxy": func(ctx *pulumi.Context) error {
			args := testHAProxy()
			args.MemoryMB, args.NoFile = 512, 1000
			_, err := NewHAProxy(ctx, "haproxy", args)
			assert.ErrorContains(t, err, "memoryMb: must be at least 1682 for 50000 connections")
			assert.ErrorContains(t, err, "noFile: must be at least")
			return err
		},
		"secrets": func(ctx *pulumi.Context) error {
			args := testSecrets()
			args.EMQX[ItemErlangCookie] = "hidden#cookie"
			args.TLS = true
			_, err := NewSecrets(ctx, "secrets", args)
			assert.ErrorContains(t, err, "emqx.erlang_cookie: must be")
			assert.ErrorContains(t, err, "emqx.tls_key: must be set")
			assert.Assert(t, !strings.Contains(err.Error(), "hidden"))
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
