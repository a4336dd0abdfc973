package stacks

import (
	"errors"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/stacks/example"
)

type run struct {
	*recorder.Recording
	outputs map[string]any
	secret  map[string]bool
}

// record runs the program of a stack file, changed by change.
func record(t *testing.T, stack string, tls, preview bool, change func(config map[string]string)) (run, error) {
	t.Helper()
	opts, err := example.Options("..", stack, tls)
	assert.NilError(t, err)
	opts.Preview = preview
	if preview {
		answering(t, opts.Config)
	}
	if change != nil {
		change(opts.Config)
	}
	r := run{outputs: map[string]any{}, secret: map[string]bool{}}
	r.Recording, err = recorder.Run(func(ctx *pulumi.Context) error {
		s, err := settings.Load(ctx.Stack(), settings.Source{Get: ctx.GetConfig, IsSecret: ctx.IsConfigSecret})
		if err != nil {
			return err
		}
		if !preview { // a recording has no cluster to ask
			ctx = components.WithoutGates(ctx)
		}
		outputs, err := deploy(ctx, s)
		if err != nil {
			return err
		}
		pulumi.All(outputs).ApplyT(func(v []any) error {
			for key, value := range v[0].(map[string]any) {
				r.outputs[key] = value
			}
			return nil
		})
		for key := range outputs {
			o := pulumi.ToOutput(outputs[key])
			r.secret[key] = pulumi.IsSecret(o)
		}
		return nil
	}, opts)
	return r, err
}

// answering makes the servers of a configuration answer while the test lasts.
func answering(t *testing.T, config map[string]string) {
	t.Helper()
	stop, err := example.Answering(config)
	assert.NilError(t, err)
	t.Cleanup(stop)
}

func mustRecord(t *testing.T, stack string, tls, preview bool) run {
	t.Helper()
	r, err := record(t, stack, tls, preview, nil)
	assert.NilError(t, err)
	return r
}

// The whole graph of every stack file, so that a change of it is seen in a
// review. `go test ./stacks -update` writes them.
func TestGraphOfEveryStackIsTheReviewedOne(t *testing.T) {
	for _, stack := range []string{"prod", "staging", "lab"} {
		t.Run(stack, func(t *testing.T) {
			golden.Assert(t, mustRecord(t, stack, stack == "lab", false).Text(), stack+".golden")
		})
	}
}

// Nothing in the graph may hang on a value that only an update knows, but for
// ids and addresses.
func TestPreviewRegistersTheSameGraph(t *testing.T) {
	up, preview := mustRecord(t, "lab", true, false), mustRecord(t, "lab", true, true)
	assert.Equal(t, len(preview.Resources), len(up.Resources))
	for _, want := range up.Resources {
		kind := want.Type[strings.LastIndex(want.Type, ":")+1:]
		got, ok := preview.Find(kind, want.Name)
		assert.Assert(t, ok, "%s %s is missing in the preview", want.Type, want.Name)
		assert.DeepEqual(t, got.DependsOn, want.DependsOn)
		assert.DeepEqual(t, got.Gates, want.Gates)
	}
}

func TestJobsAreKnownInAPreview(t *testing.T) {
	r := mustRecord(t, "lab", true, true)
	jobs := r.Kind("Job")
	assert.Equal(t, len(jobs), 2)
	for _, job := range jobs {
		assert.Assert(t, !job.Inputs.ContainsUnknowns(), "%s: one unknown variable fails every preview", job.Name)
		assert.Assert(t, !job.Inputs.ContainsSecrets(), job.Name)
		assert.Equal(t, job.Inputs["detach"].BoolValue(), true)
		assert.Equal(t, job.Inputs["rerunIfDead"].BoolValue(), true)
		assert.Equal(t, job.Inputs["purgeOnDestroy"].BoolValue(), true)
	}
	for _, config := range r.Kind("InstanceConfiguration") {
		metadata := config.Inputs["instanceDetails"].ObjectValue()["launchDetails"].ObjectValue()["metadata"]
		assert.Assert(t, !metadata.ContainsUnknowns(), "%s would be replaced in every preview", config.Name)
	}
}

func TestNoSecretStandsInClear(t *testing.T) {
	secrets := example.Secrets()
	for _, preview := range []bool{false, true} {
		r := mustRecord(t, "lab", true, preview)
		found := 0
		for _, x := range r.Resources {
			for key, value := range x.Inputs {
				for _, text := range recorder.Texts(value) {
					for path, secret := range secrets {
						assert.Assert(t, !strings.Contains(text, secret), "%s %s: %s holds %s", x.Type, x.Name, key, path)
					}
					assert.Assert(t, !strings.Contains(text, "PRIVATE KEY"), "%s %s: %s", x.Type, x.Name, key)
				}
				if value.IsSecret() {
					found++
				}
			}
		}
		assert.Equal(t, found, 3, "the items of both Nomad variables, and the layout's cookie")
	}
}

func TestGatesStandBeforeWhatMustWait(t *testing.T) {
	r := mustRecord(t, "lab", true, false)
	want := map[string]string{
		"cluster-emqx": "G1 nodes ready", "cluster-haproxy": "G1 nodes ready, G2 cluster formed", "cluster-dns": "G4 edge healthy",
		"cluster-listeners-mqtt": "G3 proxies ready", "cluster-listeners-mqtts": "G3 proxies ready",
		"cluster-listeners-ws": "G3 proxies ready", "cluster-listeners-wss": "G3 proxies ready",
	}
	for _, x := range r.Resources {
		if gate, ok := want[x.Name]; ok && x.Custom {
			assert.Equal(t, strings.ReplaceAll(strings.Join(x.Gates, ", "), "cluster: ", ""), gate)
			assert.DeepEqual(t, x.UpdateGates, x.Gates)
			delete(want, x.Name)
			continue
		}
		if x.Type == components.LayoutType {
			assert.DeepEqual(t, x.Gates, []string{"cluster: guards"})
			assert.DeepEqual(t, x.UpdateGates, []string{"cluster: guards"})
			continue
		}
		assert.Equal(t, len(x.Gates), 0, "%s waits for %v", x.Name, x.Gates)
	}
	assert.Equal(t, len(want), 0, "not registered: %v", want)
}

// Refused by a guard, nothing of the cluster is registered; in a preview whose
// violations are collected, everything is.
func TestGuardsStandBeforeEverything(t *testing.T) {
	open := func(config map[string]string) {
		config["emqx-oci:network"] = strings.Replace(config["emqx-oci:network"], "{", `{"dashboardCidrs": ["0.0.0.0/0"],`, 1)
	}
	for _, preview := range []bool{false, true} {
		r, err := record(t, "lab", false, preview, open)
		var refused *guards.Error
		assert.Assert(t, errors.As(err, &refused), "%v", err)
		assert.Equal(t, refused.Violations[0].Guard, guards.PublicDashboard)
		for _, x := range r.Resources {
			assert.Assert(t, x.Type == components.LayoutType || x.Type == components.ClusterType || strings.HasPrefix(x.Type, "pulumi:"), "%s %s", x.Type, x.Name)
		}
	}
}

func TestOrderOfThePhases(t *testing.T) {
	r := mustRecord(t, "lab", true, false)
	for _, c := range []struct{ kind, later, earlier string }{
		{"InstancePool", "cluster-pools-1", "cluster-volumes-1"},
		{"InstancePool", "cluster-pools-1", "cluster-addresses-1"},
		{"InstanceConfiguration", "cluster-pools-1-config", "cluster-groups-nodes"},
		{"InstancePool", "cluster-pools-1", "cluster-groups-nodes-out"},
		{"Job", "cluster-emqx", "cluster-pools-2"},
		{"Job", "cluster-emqx", "cluster-secrets-emqx"},
		{"Job", "cluster-emqx", "cluster-members-2"},
		{"Job", "cluster-emqx", "cluster-entries"},
		{"Job", "cluster-haproxy", "cluster-emqx"},
		{"Job", "cluster-haproxy", "cluster-secrets-haproxy"},
		{"Listener", "cluster-listeners-mqtt", "cluster-haproxy"},
		{"Rrset", "cluster-dns", "cluster-listeners-wss"},
		{"Rrset", "cluster-dns", "cluster-balancer"},
	} {
		x, ok := r.Find(c.kind, c.later)
		assert.Assert(t, ok, c.later)
		assert.Assert(t, contains(x.DependsOn, c.earlier), "%s waits for %v, not for %s", c.later, x.DependsOn, c.earlier)
	}
	// What may be slow is made beside phase 1: it waits for no node and no job.
	for _, x := range append(r.Kind(setKind), r.Kind("NetworkLoadBalancer")...) {
		for _, dep := range x.DependsOn {
			assert.Assert(t, !strings.HasPrefix(dep, "cluster-pools") && dep != "cluster-emqx" && dep != "cluster-haproxy", "%s waits for %s", x.Name, dep)
		}
	}
}

// setKind is the provider's backend set with its backends inside.
const setKind = "NetworkLoadBalancersBackendSetsUnified"

// OCI answers 409 to parallel changes of one balancer.
func TestChildrenOfTheBalancerAreOneChain(t *testing.T) {
	r := mustRecord(t, "lab", true, false)
	children := map[string]recorder.Resource{}
	for _, kind := range []string{setKind, "Listener"} {
		for _, x := range r.Kind(kind) {
			children[x.Name] = x
		}
	}
	assert.Equal(t, len(children), 4+4, "backends are in their sets: ADR 0040")
	// Each child is the direct or indirect dependent of all before it: walking
	// the longest path from the last one must meet every child.
	var depth func(name string) int
	depth = func(name string) int {
		deepest := 0
		for _, dep := range children[name].DependsOn {
			if _, ok := children[dep]; ok {
				deepest = max(deepest, depth(dep))
			}
		}
		return deepest + 1
	}
	seen := map[int]string{}
	for name := range children {
		d := depth(name)
		assert.Equal(t, seen[d], "", "%s and %s may be created at once", seen[d], name)
		seen[d] = name
	}
	assert.Equal(t, len(seen), len(children))
}

func TestNodeLiesInOneDomainWithItsVolume(t *testing.T) {
	for _, stack := range []string{"lab", "prod"} {
		r := mustRecord(t, stack, false, false)
		pools, volumes := r.Kind("InstancePool"), r.Kind("Volume")
		assert.Equal(t, len(pools), 3)
		assert.Equal(t, len(volumes), 3)
		for i := range pools {
			placement := pools[i].Inputs["placementConfigurations"].ArrayValue()[0].ObjectValue()
			ad := placement["availabilityDomain"].StringValue()
			assert.Equal(t, ad, volumes[i].Inputs["availabilityDomain"].StringValue())
			assert.Assert(t, strings.HasSuffix(ad, "AD-"+string(rune('1'+i))), "node %d in %s", i, ad)
			assert.Equal(t, pools[i].Inputs["size"].NumberValue(), 1.0)
		}
	}
}

// ADR 0005: any update would take the address off its running node.
func TestAddressesAreNeverUpdated(t *testing.T) {
	for _, ip := range mustRecord(t, "lab", false, false).Kind("PrivateIp") {
		assert.Equal(t, ip.Inputs["lifetime"].StringValue(), "RESERVED")
		for _, property := range []resource.PropertyKey{
			"vnicId", "displayName", "freeformTags", "definedTags", "hostnameLabel", "lifetime", "routeTableId",
		} {
			assert.Assert(t, contains(ip.IgnoreChanges, string(property)), "%s: %s may be updated", ip.Name, property)
		}
	}
}

func TestWithoutACertificateTheTLSPortsExistNowhere(t *testing.T) {
	r := mustRecord(t, "lab", false, false)
	assert.Equal(t, len(r.Kind("Listener")), 2)
	assert.Equal(t, len(r.Kind(setKind)), 2)
	for _, x := range r.Resources {
		assert.Assert(t, !strings.Contains(x.Name, "mqtts") && !strings.Contains(x.Name, "wss"), x.Name)
		for _, n := range numbers(resource.NewObjectProperty(x.Inputs)) {
			assert.Assert(t, n != 8883 && n != 8084, "%s %s", x.Type, x.Name)
		}
	}
	for _, job := range r.Kind("Job") {
		vars := job.Inputs["hcl2"].ObjectValue()["vars"].ObjectValue()
		assert.Equal(t, vars["tls"].StringValue(), "false")
	}
	assert.Assert(t, strings.HasPrefix(r.outputs["tls"].(string), "off: "), r.outputs["tls"])
}

func TestOutputs(t *testing.T) {
	r := mustRecord(t, "lab", true, false)
	assert.DeepEqual(t, r.outputs["endpoints"], map[string]string{
		"mqtt": "mqtt://mqtt.lab.test:1883", "mqtts": "mqtts://mqtt.lab.test:8883",
		"ws": "ws://mqtt.lab.test:8083/mqtt", "wss": "wss://mqtt.lab.test:8084/mqtt",
	})
	assert.Equal(t, r.outputs["dnsName"], "mqtt.lab.test")
	assert.Equal(t, r.outputs["balancerAddress"], "198.51.100.1")
	assert.DeepEqual(t, r.outputs["nodeNames"], []string{"emqx-lab-0", "emqx-lab-1", "emqx-lab-2"})
	assert.DeepEqual(t, r.outputs["jobNames"], map[string]string{"emqx": "emqx-lab", "haproxy": "emqx-lab-haproxy"})
	assert.Equal(t, r.outputs["dashboardAddress"], "http://lab.emqx-dashboard.service.consul:18083")
	for key, secret := range r.secret {
		want := key == "dashboardPassword" || key == "apiKey" || key == "apiSecret" || key == "statsPassword"
		assert.Equal(t, secret, want, key)
	}
}

// ADR 0006: one setting derives the timeouts.
func TestKeepAliveDerivesTheIdleTimeout(t *testing.T) {
	r := mustRecord(t, "lab", true, false)
	for _, l := range r.Kind("Listener") {
		assert.Equal(t, l.Inputs["tcpIdleTimeout"].NumberValue(), 180.0)
	}
	for _, job := range r.Kind("Job") {
		vars := job.Inputs["hcl2"].ObjectValue()["vars"].ObjectValue()
		assert.Equal(t, vars["keepalive_max"].StringValue(), "120")
	}
}

func TestBadSettingsRegisterNothing(t *testing.T) {
	r, err := record(t, "lab", false, false, func(config map[string]string) {
		config["emqx-oci:nodes"] = `{"count": 0, "image": "ocid1.image.oc1..x", "cuont": 3}`
	})
	assert.ErrorContains(t, err, "emqx-oci:nodes.count: must be 1 to 100, got 0")
	assert.ErrorContains(t, err, `emqx-oci:nodes.cuont: is not a known setting; did you mean "count"?`)
	assert.Equal(t, len(r.Resources), 0)
}

// The engine would take a preview for a good one in which nobody answered.
func TestPreviewThatReachesNobodyFails(t *testing.T) {
	opts, err := example.Options("..", "lab", true)
	assert.NilError(t, err)
	stop, err := example.Answering(opts.Config)
	assert.NilError(t, err)
	stop()
	opts.Preview = true
	r, err := recorder.Run(Run, opts)
	for _, says := range []string{
		"emqx-oci:nomad.address: cannot reach Nomad at http://127.0.0.1:", "emqx-oci:consul.address: cannot reach Consul at http://127.0.0.1:",
	} {
		assert.ErrorContains(t, err, says)
	}
	assert.Assert(t, len(r.Resources) > 60, "the plan is shown all the same")
}

// What a guard refuses is no fault of the settings: only the engine's own run
// knows what was before, and ends with an exit code of its own.
func TestGuardsAreNoPreflightChecks(t *testing.T) {
	opts, err := example.Options("..", "lab", true)
	assert.NilError(t, err)
	get := func(key string) (string, bool) { v, ok := opts.Config[key]; return v, ok }
	s, err := settings.Load("lab", settings.Source{Get: get, IsSecret: func(key string) bool { return contains(opts.SecretKeys, key) }})
	assert.NilError(t, err)
	s.Network.DashboardCIDRs = []string{"0.0.0.0/0"}
	assert.Equal(t, len(guards.Static(s)), 1)
	_, err = Record(s)
	assert.NilError(t, err)
}

func contains(list []string, wanted string) bool {
	for _, x := range list {
		if x == wanted {
			return true
		}
	}
	return false
}

func numbers(v resource.PropertyValue) []float64 {
	var found []float64
	switch {
	case v.IsNumber():
		found = append(found, v.NumberValue())
	case v.IsArray():
		for _, item := range v.ArrayValue() {
			found = append(found, numbers(item)...)
		}
	case v.IsObject():
		for _, item := range v.ObjectValue() {
			found = append(found, numbers(item)...)
		}
	}
	return found
}
