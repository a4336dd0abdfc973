package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/provider"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// packageSchema is generated from the settings and the component's comments (make settings). It has no version: that is
// the build's.
//
//go:embed schema.json
var packageSchema []byte

// server answers an engine. Its zero value has no host, and gets one from an engine that attaches.
type server struct {
	pulumirpc.UnimplementedResourceProviderServer
	version, schema string
	// ended ends with cancel, when the engine has sent its Cancel.
	ended  context.Context //nolint:containedctx // as long as the process
	cancel context.CancelFunc

	mu   sync.Mutex
	host *provider.HostClient
}

func newServer(host *provider.HostClient, version string) (*server, error) {
	var schema map[string]any
	if err := json.Unmarshal(packageSchema, &schema); err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	schema["version"] = version
	text, err := json.Marshal(schema)
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	s := &server{version: version, schema: string(text), host: host}
	s.ended, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

func (s *server) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: s.version}, nil
}

func (s *server) GetSchema(_ context.Context, req *pulumirpc.GetSchemaRequest) (*pulumirpc.GetSchemaResponse, error) {
	if v := req.GetVersion(); v != 0 {
		return nil, fmt.Errorf("giving the schema: version %d of schemas is not known here, only 0", v)
	}
	return &pulumirpc.GetSchemaResponse{Schema: s.schema}, nil
}

func (s *server) CheckConfig(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: req.GetNews()}, nil
}

func (s *server) DiffConfig(context.Context, *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
}

func (s *server) Configure(context.Context, *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	return &pulumirpc.ConfigureResponse{AcceptSecrets: true, AcceptResources: true, AcceptOutputs: true, SupportsPreview: true}, nil
}

func (s *server) Attach(_ context.Context, req *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	host, err := provider.NewHostClient(req.GetAddress())
	if err != nil {
		return nil, fmt.Errorf("attaching to the engine: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.host = host
	return &emptypb.Empty{}, nil
}

// Construct registers the component with all that is in it. Its gates are hooks in this process, which live as long as
// the call does, and the call lasts until every resource is registered.
func (s *server) Construct(ctx context.Context, req *pulumirpc.ConstructRequest) (*pulumirpc.ConstructResponse, error) {
	if req.GetType() != components.ClusterType {
		return nil, fmt.Errorf("constructing %q: the package has one component, %s", req.GetType(), components.ClusterType)
	}
	keep := plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, KeepResources: true, KeepOutputValues: true}
	given, err := plugin.UnmarshalProperties(req.GetInputs(), keep)
	if err != nil {
		return nil, fmt.Errorf("reading the arguments: %w", err)
	}
	args, err := arguments(resource.FromResourcePropertyMap(given))
	if err != nil {
		return nil, err
	}
	if req.Inputs, err = plugin.MarshalProperties(resource.ToResourcePropertyMap(args), keep); err != nil {
		return nil, fmt.Errorf("passing the arguments on: %w", err)
	}
	// What is taken from an output is a value by now, without what it depended on.
	req.InputDependencies = nil

	s.mu.Lock()
	host := s.host
	s.mu.Unlock()
	return provider.Construct(ctx, req, host.EngineConn(), s.cluster)
}

func (s *server) cluster(
	ctx *pulumi.Context, _, name string, inputs provider.ConstructInputs, opts pulumi.ResourceOption,
) (*provider.ConstructResult, error) {
	args := &components.ClusterArgs{}
	if err := inputs.CopyTo(args); err != nil {
		return nil, fmt.Errorf("reading the arguments: %w", err)
	}
	c, err := components.NewCluster(gates.WithContext(ctx, s.ended), name, args, opts)
	if err != nil {
		return nil, err
	}
	return provider.NewConstructResult(c)
}

// Cancel ends the gates that wait: the engine calls it on the first Ctrl-C.
func (s *server) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	s.cancel()
	return &emptypb.Empty{}, nil
}
