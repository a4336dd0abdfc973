package components_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/stacks/example"
)

// stackOnly are settings that say something of a stack, not of a cluster.
var stackOnly = []string{"cloud", "latency", "secretsFrom"}

// argsOf are the args that say what a stack's configuration says. What has no argument fails the test.
func argsOf(t *testing.T, config map[string]string) *components.ClusterArgs {
	t.Helper()
	args := &components.ClusterArgs{}
	for key, text := range config {
		group := strings.TrimPrefix(key, settings.Project+":")
		if slices.Contains(stackOnly, group) {
			continue
		}
		var value any
		assert.NilError(t, json.Unmarshal([]byte(text), &value), key)
		give(t, reflect.ValueOf(args).Elem(), group, value)
	}
	return args
}

func give(t *testing.T, into reflect.Value, name string, value any) {
	t.Helper()
	for field, v := range into.Fields() {
		if tag, _, _ := strings.Cut(field.Tag.Get("pulumi"), ","); tag != name {
			continue
		}
		switch v.Interface().(type) {
		case pulumi.StringMapInput:
		default:
			if v.Kind() == reflect.Pointer {
				if v.IsNil() {
					v.Set(reflect.New(v.Type().Elem()))
				}
				v = v.Elem()
			}
		}
		switch {
		case v.Kind() == reflect.Struct:
			for inner, x := range value.(map[string]any) {
				give(t, v, inner, x)
			}
		case v.Type() == reflect.TypeFor[pulumi.StringInput]():
			v.Set(reflect.ValueOf(pulumi.String(value.(string))))
		case v.Type() == reflect.TypeFor[pulumi.StringMapInput]():
			values := pulumi.StringMap{}
			for k, x := range value.(map[string]any) {
				values[k] = pulumi.String(x.(string))
			}
			v.Set(reflect.ValueOf(values))
		default:
			text, err := json.Marshal(value)
			assert.NilError(t, err)
			assert.NilError(t, json.Unmarshal(text, v.Addr().Interface()), name)
		}
		return
	}
	t.Fatalf("%s has no argument %s", into.Type(), name)
}

// recorded is what a program of one cluster registers.
func recorded(t *testing.T, stack string, tls, preview bool, declare func(*pulumi.Context, map[string]string) error) (*recorder.Recording, error) {
	t.Helper()
	opts, err := example.Options("..", stack, tls)
	assert.NilError(t, err)
	opts.Preview = preview
	return recorder.Run(func(ctx *pulumi.Context) error {
		return declare(components.WithoutGates(guards.WithCollector(ctx, &guards.Collector{})), opts.Config)
	}, opts)
}

// Whatever a stack file says can be said in args, and makes the same graph.
func TestArgsMakeTheGraphOfTheSettings(t *testing.T) {
	for _, stack := range []string{"prod", "staging", "lab"} {
		want, err := recorded(t, stack, true, false, func(ctx *pulumi.Context, _ map[string]string) error {
			s, err := settings.Load(ctx.Stack(), settings.Source{Get: ctx.GetConfig, IsSecret: ctx.IsConfigSecret})
			assert.NilError(t, err)
			_, err = components.DeclareCluster(ctx, "emqx", s)
			return err
		})
		assert.NilError(t, err)
		got, err := recorded(t, stack, true, false, func(ctx *pulumi.Context, config map[string]string) error {
			_, err := components.NewCluster(ctx, "emqx", argsOf(t, config))
			return err
		})
		assert.NilError(t, err)
		assert.Equal(t, got.Text(), want.Text())
		assert.Assert(t, len(got.Resources) > 50)
	}
}

// Every setting but those of a stack has its argument.
func TestEverySettingHasAnArgument(t *testing.T) {
	found := map[string]bool{}
	var walk func(typ reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		for field := range typ.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("pulumi"), ",")
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			list := ""
			if inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct {
				inner, list = inner.Elem(), "[]"
			}
			if inner.Kind() == reflect.Struct {
				walk(inner, path+name+list+".")
				continue
			}
			found[path+name] = true
		}
	}
	walk(reflect.TypeFor[components.ClusterArgs](), "")
	for _, f := range settings.Spec().Values() {
		assert.Assert(t, found[f.Path] != slices.Contains(stackOnly, f.Path), f.Path)
		delete(found, f.Path)
	}
	assert.DeepEqual(t, found, map[string]bool{"environment": true})
}

func TestTwoClustersOfOneProgram(t *testing.T) {
	r, err := recorded(t, "lab", true, false, func(ctx *pulumi.Context, config map[string]string) error {
		for _, name := range []string{"one", "two"} {
			args := argsOf(t, config)
			args.Environment = &name
			if _, err := components.NewCluster(ctx, name, args); err != nil {
				return err
			}
		}
		return nil
	})
	assert.NilError(t, err)
	seen := map[string]bool{}
	for _, x := range r.Resources {
		key := x.Type + " " + x.Name
		assert.Assert(t, !seen[key], "%s is registered twice", key)
		seen[key] = true
		assert.Assert(t, strings.HasPrefix(x.Type, "pulumi:pulumi:") || strings.HasPrefix(x.Name, "one") || strings.HasPrefix(x.Name, "two"), key)
	}
}

func TestBadArgsAreToldByTheirPaths(t *testing.T) {
	count, size, delay := 0, 10, "soon"
	r, err := recorded(t, "lab", true, false, func(ctx *pulumi.Context, config map[string]string) error {
		args := argsOf(t, config)
		args.Nodes.Count, args.Volumes.SizeGB, args.Broker.ShutdownDelay = &count, &size, &delay
		args.Secrets.APIKey = nil
		_, err := components.NewCluster(ctx, "emqx", args)
		return err
	})
	var faults *fault.Error
	assert.Assert(t, errors.As(err, &faults), "%v", err)
	var paths []string
	for _, f := range faults.Faults {
		paths = append(paths, f.Path)
	}
	assert.DeepEqual(t, paths, []string{"broker.shutdownDelay", "nodes.count", "secrets.apiKey", "volumes.sizeGb"})
	assert.Assert(t, !slices.ContainsFunc(r.Resources, func(x recorder.Resource) bool { return x.Type == components.ClusterType }))

	_, err = recorded(t, "lab", true, false, func(ctx *pulumi.Context, _ map[string]string) error {
		_, err := components.NewCluster(ctx, "emqx", nil)
		return err
	})
	assert.ErrorContains(t, err, "nodes.image: must be set")
}

// A guard names what lets it pass as whoever wrote it down does.
func TestGuardsNameArgumentsByTheirPaths(t *testing.T) {
	_, err := recorded(t, "prod", true, false, func(ctx *pulumi.Context, config map[string]string) error {
		args := argsOf(t, config)
		args.Network.DashboardCIDRs = []string{"0.0.0.0/0"}
		_, err := components.NewCluster(ctx, "emqx", args)
		return err
	})
	var refused *guards.Error
	assert.Assert(t, errors.As(err, &refused), "%v", err)
	assert.ErrorContains(t, err, "network.dashboardCidrs opens EMQX's dashboard to public addresses (0.0.0.0/0)")
	assert.ErrorContains(t, err, "or set guards.allowPublicDashboard to true")
	assert.Assert(t, !strings.Contains(err.Error(), "emqx-oci:"), "%v", err)
	assert.Equal(t, refused.Violations[0].Allow, "guards.allowPublicDashboard")
}

// Secrets may come from other resources: a preview does not know them yet, and none of what it knows shows.
func TestSecretsThatAreNotKnownYet(t *testing.T) {
	r, err := recorded(t, "lab", true, true, func(ctx *pulumi.Context, config map[string]string) error {
		args := argsOf(t, config)
		args.Secrets.ErlangCookie = pulumi.UnsafeUnknownOutput(nil).ApplyT(func(any) string { return "" }).(pulumi.StringOutput)
		args.Broker.Env = pulumi.ToSecret(pulumi.StringMap{"EMQX_MQTT__MAX_PACKET_SIZE": pulumi.String("7654321")}).(pulumi.StringMapOutput)
		_, err := components.NewCluster(ctx, "emqx", args)
		return err
	})
	assert.NilError(t, err)
	assert.Equal(t, len(r.Kind("Job")), 2)
	for _, x := range r.Resources {
		for key, value := range x.Inputs {
			if !value.IsSecret() {
				for _, text := range recorder.Texts(value) {
					assert.Assert(t, !strings.Contains(text, "7654321"), "%s %s: %s", x.Type, x.Name, key)
				}
			}
		}
	}
}
