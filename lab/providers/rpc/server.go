package rpc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

type server struct {
	pulumirpc.UnimplementedResourceProviderServer
	plugin Plugin

	mu sync.Mutex
	// last is the client configured last. It serves a connection that was never
	// configured: gRPC drops one that was idle for half an hour (behind a slow gate)
	// and dials again without telling anybody.
	last Client
}

// New is the gRPC service of p.
func New(p Plugin) pulumirpc.ResourceProviderServer { return &server{plugin: p} }

func (s *server) Handshake(context.Context, *pulumirpc.ProviderHandshakeRequest) (*pulumirpc.ProviderHandshakeResponse, error) {
	return &pulumirpc.ProviderHandshakeResponse{AcceptSecrets: true}, nil
}

func (s *server) Attach(context.Context, *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (s *server) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: s.plugin.Version}, nil
}

func (s *server) GetSchema(context.Context, *pulumirpc.GetSchemaRequest) (*pulumirpc.GetSchemaResponse, error) {
	text, err := schemaJSON(s.plugin)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.GetSchemaResponse{Schema: text}, nil
}

func (s *server) GetMapping(context.Context, *pulumirpc.GetMappingRequest) (*pulumirpc.GetMappingResponse, error) {
	return &pulumirpc.GetMappingResponse{}, nil
}

func (s *server) GetMappings(context.Context, *pulumirpc.GetMappingsRequest) (*pulumirpc.GetMappingsResponse, error) {
	return &pulumirpc.GetMappingsResponse{}, nil
}

func (s *server) Cancel(ctx context.Context, _ *emptypb.Empty) (*emptypb.Empty, error) {
	sessionOf(ctx).cancel()
	return &emptypb.Empty{}, nil
}

// optionKeys are the engine's own keys in a provider's configuration.
var optionKeys = []resource.PropertyKey{"version", "pluginDownloadURL", "pluginChecksums", "__internal"}

func (s *server) CheckConfig(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	news, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	checked := news.Copy()
	for _, k := range optionKeys {
		delete(checked, k)
	}
	for k, v := range checked {
		p, known := s.plugin.Schema.Config.Get(string(k))
		if known && p.Type.Kind != table.String && table.Plain(v).IsString() {
			checked[k] = resource.MakeComputed(resource.NewProperty("")) // the engine sends JSON text
		}
	}
	resp := &pulumirpc.CheckResponse{Inputs: req.GetNews()}
	for _, reason := range s.plugin.Schema.Config.Check(resource.URN(req.GetUrn()).Name(), checked) {
		resp.Failures = append(resp.Failures, &pulumirpc.CheckFailure{Reason: "could not validate provider configuration: " + reason})
	}
	return resp, nil
}

func (s *server) DiffConfig(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	olds, err := unmarshal(req.GetOldInputs())
	if err != nil {
		return nil, err
	}
	news, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	r := table.Resource{In: s.plugin.Schema.Config}
	return diffResponse(r.Diff(olds, nil, news, req.GetIgnoreChanges())), nil
}

func (s *server) Configure(ctx context.Context, req *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	args, err := unmarshal(req.GetArgs())
	if err != nil {
		return nil, err
	}
	config := table.Values(args)
	for k, v := range config {
		p, known := s.plugin.Schema.Config.Get(k)
		text, isText := v.(string)
		if known && isText && p.Type.Kind != table.String {
			var decoded any
			if err := json.Unmarshal([]byte(text), &decoded); err != nil {
				return nil, fmt.Errorf("configuring the %s provider: %s is not valid JSON: %w", s.plugin.Name, k, err)
			}
			config[k] = decoded
		}
	}
	client, err := s.plugin.Open(s.plugin.Schema.Config.Canon(config))
	if err != nil {
		return nil, fmt.Errorf("configuring the %s provider: %w", s.plugin.Name, err)
	}
	sess := sessionOf(ctx)
	sess.mu.Lock()
	sess.client = client
	sess.mu.Unlock()
	s.mu.Lock()
	s.last = client
	s.mu.Unlock()
	return &pulumirpc.ConfigureResponse{AcceptSecrets: true, SupportsPreview: true}, nil
}

// client of the run that ctx belongs to.
func (s *server) client(ctx context.Context) (*session, Client, error) {
	sess := sessionOf(ctx)
	sess.mu.Lock()
	c := sess.client
	sess.mu.Unlock()
	if c == nil {
		s.mu.Lock()
		c = s.last
		s.mu.Unlock()
	}
	if c == nil {
		return nil, nil, status.Errorf(codes.FailedPrecondition, "the %s provider is not configured", s.plugin.Name)
	}
	return sess, c, nil
}

func (s *server) resource(urn, typ string) (*table.Resource, error) {
	if typ == "" {
		typ = string(resource.URN(urn).Type())
	}
	if r, ok := s.plugin.Schema.Resources[typ]; ok {
		return r, nil
	}
	return nil, status.Errorf(codes.Unimplemented, "the lab's %s provider has no resource type %s", s.plugin.Name, typ)
}

func (s *server) Check(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	r, err := s.resource(req.GetUrn(), req.GetType())
	if err != nil {
		return nil, err
	}
	olds, err := unmarshal(req.GetOlds())
	if err != nil {
		return nil, err
	}
	news, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	name := resource.URN(req.GetUrn()).Name()
	resp := &pulumirpc.CheckResponse{}
	reasons := r.In.Check(name, news)
	if s.plugin.Check != nil {
		reasons = append(reasons, s.plugin.Check(r, name, news)...)
	}
	for _, reason := range reasons {
		resp.Failures = append(resp.Failures, &pulumirpc.CheckFailure{Reason: reason})
	}
	if resp.Inputs, err = marshal(r.In.Autoname(name, suffix(req.GetRandomSeed()), olds, news)); err != nil {
		return nil, err
	}
	return resp, nil
}

// suffix is seven hex digits, from the engine's seed so that the preview and the
// update after it choose the same name.
func suffix(seed []byte) string {
	if len(seed) == 0 {
		seed = make([]byte, 8)
		_, _ = rand.Read(seed) // never fails
	}
	sum := sha256.Sum256(seed)
	return hex.EncodeToString(sum[:])[:7]
}

func (s *server) Invoke(ctx context.Context, req *pulumirpc.InvokeRequest) (*pulumirpc.InvokeResponse, error) {
	f, ok := s.plugin.Schema.Functions[req.GetTok()]
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "the lab's %s provider has no function %s", s.plugin.Name, req.GetTok())
	}
	sess, client, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	args, err := unmarshal(req.GetArgs())
	if err != nil {
		return nil, err
	}
	resp := &pulumirpc.InvokeResponse{}
	for _, reason := range f.In.Check(req.GetTok(), args) {
		resp.Failures = append(resp.Failures, &pulumirpc.CheckFailure{Reason: reason})
	}
	if len(resp.Failures) > 0 {
		return resp, nil
	}
	ctx, cancel := sess.work(ctx, 0)
	defer cancel()
	in := f.In.Canon(f.In.WithDefaults(table.Values(args)))
	out, err := client.Invoke(ctx, f, in)
	if err != nil {
		return nil, fmt.Errorf("invoking %s: %w", req.GetTok(), err)
	}
	resp.Return, err = marshal(outputs(f, args, in, out))
	return resp, err
}

func unmarshal(s *structpb.Struct) (resource.PropertyMap, error) {
	m, err := plugin.UnmarshalProperties(s, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, SkipNulls: false})
	if err != nil {
		return nil, fmt.Errorf("reading the engine's properties: %w", err)
	}
	return m, nil
}

func marshal(m resource.PropertyMap) (*structpb.Struct, error) {
	s, err := plugin.MarshalProperties(m, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, SkipNulls: true})
	if err != nil {
		return nil, fmt.Errorf("writing properties for the engine: %w", err)
	}
	return s, nil
}

// outputs is what the engine keeps: the inputs and what the client answered, in
// the rows' types. A property is secret when its row says so or when the program
// put anything secret into it.
func outputs(r *table.Resource, inputs resource.PropertyMap, in, out Props) resource.PropertyMap {
	all := resource.PropertyMap{}
	for _, m := range []Props{in, r.Out.Canon(r.In.Canon(out))} {
		for k, v := range m {
			all[resource.PropertyKey(k)] = resource.NewPropertyValue(v)
		}
	}
	return keepSecrets(r, inputs, all)
}

func keepSecrets(r *table.Resource, inputs, outs resource.PropertyMap) resource.PropertyMap {
	hide := func(k resource.PropertyKey) {
		if v, ok := outs[k]; ok && !v.IsSecret() {
			outs[k] = resource.MakeSecret(v)
		}
	}
	for k, v := range inputs {
		if v.ContainsSecrets() {
			hide(k)
		}
	}
	for _, k := range r.Secrets() {
		hide(resource.PropertyKey(k))
	}
	return outs
}
