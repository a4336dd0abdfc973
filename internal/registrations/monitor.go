package registrations

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	"gotest.tools/v3/assert"
)

// Recording is what a program asked the engine for.
type Recording struct {
	// Resources by "<type> <name>".
	Resources map[string]*pulumirpc.RegisterResourceRequest
	// Hooks by name.
	Hooks map[string]*pulumirpc.RegisterResourceHookRequest
	// Outputs are the stack's.
	Outputs *structpb.Struct
}

// Run is one run of a program.
type Run struct {
	Project, Stack string
	Config         map[string]string
	SecretKeys     []string
	// Answer answers functions such as a lookup.
	Answer func(token string, args resource.PropertyMap) (map[string]any, error)
}

// monitor is the engine as a program sees it in a preview: nothing has an id, and
// resources come back as they were given.
type monitor struct {
	pulumirpc.UnimplementedResourceMonitorServer
	pulumirpc.UnimplementedEngineServer
	run     Run
	address string

	mu     sync.Mutex
	seen   Recording
	root   string
	errors []string
}

func listen(t *testing.T, run Run) *monitor {
	t.Helper()
	m := &monitor{run: run, seen: Recording{
		Resources: map[string]*pulumirpc.RegisterResourceRequest{}, Hooks: map[string]*pulumirpc.RegisterResourceHookRequest{},
	}}
	cancel := make(chan bool)
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{Cancel: cancel, Init: func(s *grpc.Server) error {
		pulumirpc.RegisterResourceMonitorServer(s, m)
		pulumirpc.RegisterEngineServer(s, m)
		return nil
	}})
	assert.NilError(t, err)
	t.Cleanup(func() { close(cancel); <-handle.Done })
	m.address = fmt.Sprintf("127.0.0.1:%d", handle.Port)
	return m
}

// recording is what came in until now, with what differs from run to run taken
// out: places in source code, addresses of callbacks, the order of lists that
// have none.
func (m *monitor) recording(t *testing.T) Recording {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	assert.Equal(t, len(m.errors), 0, "the program logged errors: %v", m.errors)
	for _, r := range m.seen.Resources {
		r.SourcePosition, r.StackTrace = nil, nil
		slices.Sort(r.Dependencies)
		for _, d := range r.PropertyDependencies {
			slices.Sort(d.Urns)
		}
	}
	for _, h := range m.seen.Hooks {
		h.Callback = nil
	}
	return m.seen
}

func (m *monitor) SupportsFeature(context.Context, *pulumirpc.SupportsFeatureRequest) (*pulumirpc.SupportsFeatureResponse, error) {
	return &pulumirpc.SupportsFeatureResponse{HasSupport: true}, nil
}

func (m *monitor) RegisterResource(
	_ context.Context, r *pulumirpc.RegisterResourceRequest,
) (*pulumirpc.RegisterResourceResponse, error) {
	var above tokens.Type
	if parent := resource.URN(r.GetParent()); parent != "" && parent.Type() != resource.RootStackType {
		above = parent.QualifiedType()
	}
	urn := resource.NewURN(tokens.QName(m.run.Stack), tokens.PackageName(m.run.Project), above, tokens.Type(r.GetType()), r.GetName())
	key := r.GetType() + " " + r.GetName()
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, twice := m.seen.Resources[key]; twice {
		return nil, fmt.Errorf("%s is registered twice", key)
	}
	m.seen.Resources[key] = r
	return &pulumirpc.RegisterResourceResponse{Urn: string(urn), Object: r.GetObject()}, nil
}

func (m *monitor) RegisterResourceOutputs(_ context.Context, r *pulumirpc.RegisterResourceOutputsRequest) (*emptypb.Empty, error) {
	if resource.URN(r.GetUrn()).Type() == resource.RootStackType {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.seen.Outputs = r.GetOutputs()
	}
	return &emptypb.Empty{}, nil
}

func (m *monitor) RegisterResourceHook(_ context.Context, r *pulumirpc.RegisterResourceHookRequest) (*emptypb.Empty, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen.Hooks[r.GetName()] = r
	return &emptypb.Empty{}, nil
}

func (m *monitor) Invoke(_ context.Context, r *pulumirpc.ResourceInvokeRequest) (*pulumirpc.ResourceInvokeResponse, error) {
	if m.run.Answer == nil {
		return nil, fmt.Errorf("calling %s: nothing answers", r.GetTok())
	}
	args, err := plugin.UnmarshalProperties(r.GetArgs(), plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true})
	if err != nil {
		return nil, err
	}
	answer, err := m.run.Answer(r.GetTok(), args)
	if err != nil {
		return nil, err
	}
	values, err := plugin.MarshalProperties(resource.NewPropertyMapFromMap(answer), plugin.MarshalOptions{})
	return &pulumirpc.ResourceInvokeResponse{Return: values}, err
}

func (m *monitor) SignalAndWaitForShutdown(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (m *monitor) Log(_ context.Context, r *pulumirpc.LogRequest) (*emptypb.Empty, error) {
	if r.GetSeverity() == pulumirpc.LogSeverity_ERROR {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.errors = append(m.errors, r.GetMessage())
	}
	return &emptypb.Empty{}, nil
}

func (m *monitor) GetRootResource(context.Context, *pulumirpc.GetRootResourceRequest) (*pulumirpc.GetRootResourceResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &pulumirpc.GetRootResourceResponse{Urn: m.root}, nil
}

func (m *monitor) SetRootResource(_ context.Context, r *pulumirpc.SetRootResourceRequest) (*pulumirpc.SetRootResourceResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.root = r.GetUrn()
	return &pulumirpc.SetRootResourceResponse{}, nil
}
