package haproxy

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/internal/jobtest"
)

func testArgs() *Args {
	return &Args{Vars: Vars{
		Environment: "prod", Datacenter: "dc1", NodeCount: 3, Image: "haproxy:3.2.25",
		CPU: 1000, MaxConn: 50000, NoFile: 101000, KeepAliveMax: 600,
	}}
}

func testEMQX() *nomad.EMQXArgs {
	return &nomad.EMQXArgs{EMQXVars: nomad.EMQXVars{
		Environment: "prod", Datacenter: "dc1", NodeCount: 3, Image: "emqx/emqx:5.8.9",
		CPU: 2000, MemoryMB: 4096, KeepAliveMax: 600, NoFile: 1048576,
	}}
}

func TestJobComponent(t *testing.T) {
	r := jobtest.RecordBoth(t, func(ctx *pulumi.Context) error {
		broker, err := nomad.NewEMQX(ctx, "emqx", testEMQX())
		if err != nil {
			return err
		}
		args := testArgs()
		args.ChildOptions = []pulumi.ResourceOption{pulumi.DependsOn(broker.Each)}
		proxies, err := New(ctx, "haproxy", args)
		if err != nil {
			return err
		}
		assert.Equal(t, proxies.JobID, "emqx-prod-haproxy")
		return nil
	})
	job := jobtest.Registered(t, r, "haproxy", Job)
	assert.DeepEqual(t, job.DependsOn, []string{"emqx"})
}

func TestBadArgsRegisterNothing(t *testing.T) {
	for name, program := range map[string]pulumi.RunFunc{
		"faults": func(ctx *pulumi.Context) error {
			args := testArgs()
			args.MemoryMB, args.NoFile = 512, 1000
			_, err := New(ctx, "haproxy", args)
			assert.ErrorContains(t, err, "memoryMb: must be at least 1682 for 50000 connections")
			assert.ErrorContains(t, err, "noFile: must be at least")
			return err
		},
		"nothing given": func(ctx *pulumi.Context) error {
			_, err := New(ctx, "haproxy", nil)
			return err
		},
		// Those of both jobs are told at once.
		"secrets": func(ctx *pulumi.Context) error {
			_, err := nomad.NewSecrets(ctx, "secrets", &nomad.SecretsArgs{
				Environment: "prod",
				EMQX:        map[string]string{nomad.ItemErlangCookie: "hidden#cookie"},
				Proxy: &nomad.JobSecrets{
					JobID: JobID("prod"), Name: "haproxy", Check: func(items map[string]string) error { return CheckSecrets(items, false) },
					Items: map[string]string{ItemStatsUser: "hidden:user", ItemStatsPassword: "hidden"},
				},
			})
			assert.ErrorContains(t, err, "emqx.erlang_cookie: must be")
			assert.ErrorContains(t, err, "haproxy.stats_user: must be")
			assert.ErrorContains(t, err, "haproxy.stats_password: must be")
			assert.Assert(t, !strings.Contains(err.Error(), "hidden"))
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
