//go:build lab

package gates

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// thingProvider is a provider with one type of resource that does nothing but
// remember what was done with it.
type thingProvider struct {
	pulumirpc.UnimplementedResourceProviderServer
	mu  sync.Mutex
	ops []string
}

func (p *thingProvider) did(op, urn string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ops = append(p.ops, op+" "+urn[strings.LastIndex(urn, "::")+2:])
}

// take returns what was done since the last call.
func (p *thingProvider) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	ops := append([]string{}, p.ops...)
	p.ops = nil
	return ops
}

func (p *thingProvider) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "1.0.0"}, nil
}

func (p *thingProvider) Configure(context.Context, *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	return &pulumirpc.ConfigureResponse{AcceptSecrets: true, SupportsPreview: true}, nil
}

func (p *thingProvider) CheckConfig(_ context.Context, r *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: r.News}, nil
}

func (p *thingProvider) DiffConfig(context.Context, *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
}

func (p *thingProvider) Check(_ context.Context, r *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: r.News}, nil
}

func (p *thingProvider) Diff(_ context.Context, r *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	if r.OldInputs.String() == r.News.String() {
		return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
	}
	return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_SOME}, nil
}

func (p *thingProvider) Create(_ context.Context, r *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	if !r.Preview {
		p.did("create", r.Urn)
	}
	return &pulumirpc.CreateResponse{Id: "id", Properties: r.Properties}, nil
}

func (p *thingProvider) Update(_ context.Context, r *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	if !r.Preview {
		p.did("update", r.Urn)
	}
	return &pulumirpc.UpdateResponse{Properties: r.News}, nil
}

func (p *thingProvider) Delete(_ context.Context, r *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	p.did("delete", r.Urn)
	return &emptypb.Empty{}, nil
}

func (p *thingProvider) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (p *thingProvider) Attach(context.Context, *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

type thing struct {
	pulumi.CustomResourceState
}

func newThing(ctx *pulumi.Context, name, value string, opts ...pulumi.ResourceOption) (*thing, error) {
	t := &thing{}
	return t, ctx.RegisterResource("gatetest:index:Thing", name, pulumi.Map{"value": pulumi.String(value)}, t, opts...)
}

// engine is a stack on the real Pulumi engine whose only resources are things.
type engine struct {
	t        *testing.T
	provider *thingProvider
	stack    auto.Stack
}

func newEngine(t *testing.T, program pulumi.RunFunc) *engine {
	t.Helper()
	p := &thingProvider{}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	server := grpc.NewServer()
	pulumirpc.RegisterResourceProviderServer(server, p)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	dir := t.TempDir()
	backend := filepath.Join(dir, "state")
	assert.NilError(t, os.MkdirAll(backend, 0o700))
	command, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: agenttest.Root()})
	assert.NilError(t, err, "the tests of this build need the pinned pulumi; build it with make tools")
	stack, err := auto.UpsertStackInlineSource(t.Context(), "lab", "gatetest", program, auto.Pulumi(command),
		auto.EnvVars(map[string]string{
			"PULUMI_BACKEND_URL":       "file://" + backend,
			"PULUMI_CONFIG_PASSPHRASE": "test",
			"PULUMI_HOME":              filepath.Join(dir, "home"),
			"PULUMI_SKIP_UPDATE_CHECK": "true",
			"PULUMI_DEBUG_PROVIDERS":   fmt.Sprintf("gatetest:%d", listener.Addr().(*net.TCPAddr).Port),
		}))
	assert.NilError(t, err)
	return &engine{t: t, provider: p, stack: stack}
}

// up runs an update and returns what it printed and did.
func (e *engine) up(ctx context.Context) (output string, ops []string, err error) {
	e.t.Helper()
	var out, errOut bytes.Buffer
	_, err = e.stack.Up(ctx, optup.ProgressStreams(&out), optup.ErrorProgressStreams(&errOut))
	return out.String() + errOut.String(), e.provider.take(), err
}

func (e *engine) preview() (output string, err error) {
	e.t.Helper()
	var out bytes.Buffer
	_, err = e.stack.Preview(e.t.Context(), optpreview.ProgressStreams(&out))
	assert.Assert(e.t, len(e.provider.take()) == 0, "a preview did something")
	return out.String(), err
}

func (e *engine) outputs() map[string]any {
	e.t.Helper()
	outs, err := e.stack.Outputs(e.t.Context())
	assert.NilError(e.t, err)
	values := map[string]any{}
	for k, v := range outs {
		values[k] = v.Value
	}
	return values
}

// export returns what the state holds of each resource.
func (e *engine) export() map[string]any {
	e.t.Helper()
	d, err := e.stack.Export(e.t.Context())
	assert.NilError(e.t, err)
	var state struct {
		Resources []struct {
			URN, ID         string
			Inputs, Outputs map[string]any
		}
	}
	assert.NilError(e.t, json.Unmarshal(d.Deployment, &state))
	resources := map[string]any{}
	for _, r := range state.Resources {
		resources[r.URN+" "+r.ID] = map[string]any{"inputs": r.Inputs, "outputs": r.Outputs}
	}
	return resources
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}
