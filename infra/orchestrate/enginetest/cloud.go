package enginetest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// Token is the one resource type that the cloud knows. Inputs: "name" (string, required), "text" (string),
// "size" (number), "zone" (string; a change replaces).
const Token = "sim:index:Thing" //nolint:gosec // a type token, no secret

// Cloud holds what exists. The zero value is not usable: see Start.
type Cloud struct {
	addr string

	mu      sync.Mutex
	next    int
	objects map[string]map[string]any
	calls   []string
	delay   map[string]time.Duration
	hold    map[string]chan struct{}
	fail    map[string]string
	entered chan string
	inputs  map[string]any

	pulumirpc.UnimplementedResourceProviderServer
}

// Start serves the provider on loopback until stop is called.
func Start() (c *Cloud, stop func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, fmt.Errorf("listening for the engine: %w", err)
	}
	c = &Cloud{
		addr: l.Addr().String(), objects: map[string]map[string]any{}, delay: map[string]time.Duration{},
		hold: map[string]chan struct{}{}, fail: map[string]string{}, entered: make(chan string, 100),
	}
	srv := grpc.NewServer()
	pulumirpc.RegisterResourceProviderServer(srv, c)
	go func() { _ = srv.Serve(l) }()
	return c, srv.Stop, nil
}

// Env is the value of PULUMI_DEBUG_PROVIDERS that attaches the engine to this cloud.
func (c *Cloud) Env() string {
	_, port, _ := net.SplitHostPort(c.addr)
	return "sim:" + port
}

// Delay makes every create, update and delete of the named thing take d.
func (c *Cloud) Delay(name string, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay[name] = d
}

// Fail makes creates and updates of the named thing fail with the message; "" heals it.
func (c *Cloud) Fail(name, message string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail[name] = message
}

// Hold makes the next operations on the named thing wait until the returned function is called.
func (c *Cloud) Hold(name string) (release func()) {
	ch := make(chan struct{})
	c.mu.Lock()
	c.hold[name] = ch
	c.mu.Unlock()
	return sync.OnceFunc(func() {
		c.mu.Lock()
		delete(c.hold, name)
		c.mu.Unlock()
		close(ch)
	})
}

// Entered waits until an operation such as "create a" has begun.
func (c *Cloud) Entered(op string, timeout time.Duration) error {
	deadline := time.After(timeout)
	for {
		select {
		case got := <-c.entered:
			if got == op {
				return nil
			}
		case <-deadline:
			return fmt.Errorf("waiting for %q: not begun after %s; so far: %v", op, timeout, c.Calls())
		}
	}
}

// Input is what the engine has last told the provider of itself.
func (c *Cloud) Input(name string) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inputs[name]
}

// Calls lists the operations that changed something, in the order of their completion, as "create a".
func (c *Cloud) Calls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

// Names lists the names of the things that exist, sorted; a duplicate shows twice.
func (c *Cloud) Names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, o := range c.objects {
		names = append(names, o["name"].(string))
	}
	slices.Sort(names)
	return names
}

// Change sets a property of a thing behind the engine's back; nil removes the thing.
func (c *Cloud) Change(name, key string, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, o := range c.objects {
		if o["name"] != name {
			continue
		}
		if value == nil {
			delete(c.objects, id)
			continue
		}
		o[key] = value
	}
}

// ID is the id of the first thing with that name, "" when there is none.
func (c *Cloud) ID(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(c.objects)) {
		if c.objects[id]["name"] == name {
			return id
		}
	}
	return ""
}

func (c *Cloud) begin(ctx context.Context, verb, name string) error {
	select {
	case c.entered <- verb + " " + name:
	default:
	}
	c.mu.Lock()
	d, hold, fail := c.delay[name], c.hold[name], c.fail[name]
	c.mu.Unlock()
	if hold != nil {
		<-hold // like a real cloud, it goes on although the caller is gone
	}
	if d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			<-time.After(d)
		}
	}
	if fail != "" && verb != "delete" {
		return status.Error(codes.Unknown, fail)
	}
	return nil
}

func (c *Cloud) done(verb, name string) { c.calls = append(c.calls, verb+" "+name) }

// The methods below are the provider protocol, as far as one plain resource needs it.

// GetPluginInfo names a version.
func (c *Cloud) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "1.0.0"}, nil
}

// Attach has nothing to attach to.
func (c *Cloud) Attach(context.Context, *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// Cancel has nothing to end: the context of a call does.
func (c *Cloud) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// GetSchema is the least that the engine takes.
func (c *Cloud) GetSchema(context.Context, *pulumirpc.GetSchemaRequest) (*pulumirpc.GetSchemaResponse, error) {
	return &pulumirpc.GetSchemaResponse{Schema: `{"name":"sim","version":"1.0.0"}`}, nil
}

// CheckConfig takes every configuration.
func (c *Cloud) CheckConfig(_ context.Context, r *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: r.GetNews()}, nil
}

// DiffConfig sees no change.
func (c *Cloud) DiffConfig(context.Context, *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	return &pulumirpc.DiffResponse{}, nil
}

// Configure lets previews ask, too.
func (c *Cloud) Configure(_ context.Context, r *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inputs = decode(r.GetArgs())
	return &pulumirpc.ConfigureResponse{AcceptSecrets: false, SupportsPreview: true}, nil
}

// Check wants a name.
func (c *Cloud) Check(_ context.Context, r *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	res := &pulumirpc.CheckResponse{Inputs: r.GetNews()}
	if r.GetNews().GetFields()["name"].GetStringValue() == "" {
		res.Failures = append(res.Failures, &pulumirpc.CheckFailure{Property: "name", Reason: "missing required property"})
	}
	return res, nil
}

// Diff replaces for another zone, and updates for the rest.
func (c *Cloud) Diff(_ context.Context, r *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	olds, news := decode(r.GetOlds()), decode(r.GetNews())
	res := &pulumirpc.DiffResponse{
		Changes: pulumirpc.DiffResponse_DIFF_NONE, HasDetailedDiff: true,
		DetailedDiff: map[string]*pulumirpc.PropertyDiff{},
	}
	for _, k := range []string{"name", "text", "size", "zone"} {
		if fmt.Sprint(olds[k]) == fmt.Sprint(news[k]) {
			continue
		}
		kind := pulumirpc.PropertyDiff_UPDATE
		if k == "zone" {
			kind = pulumirpc.PropertyDiff_UPDATE_REPLACE
			res.Replaces = append(res.Replaces, k)
		}
		res.Changes = pulumirpc.DiffResponse_DIFF_SOME
		res.Diffs = append(res.Diffs, k)
		res.DetailedDiff[k] = &pulumirpc.PropertyDiff{Kind: kind}
	}
	return res, nil
}

// Create makes an object.
func (c *Cloud) Create(ctx context.Context, r *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	if r.GetPreview() {
		return &pulumirpc.CreateResponse{Properties: r.GetProperties()}, nil
	}
	props := decode(r.GetProperties())
	name, _ := props["name"].(string)
	if err := c.begin(ctx, "create", name); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	id := fmt.Sprintf("thing-%d", c.next)
	c.objects[id] = props
	c.done("create", name)
	return &pulumirpc.CreateResponse{Id: id, Properties: encode(props)}, nil
}

// Read looks an object up; one that is gone has no id.
func (c *Cloud) Read(_ context.Context, r *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	props, ok := c.objects[r.GetId()]
	if !ok {
		return &pulumirpc.ReadResponse{}, nil
	}
	return &pulumirpc.ReadResponse{Id: r.GetId(), Properties: encode(props), Inputs: encode(props)}, nil
}

// Update writes an object over.
func (c *Cloud) Update(ctx context.Context, r *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	if r.GetPreview() {
		return &pulumirpc.UpdateResponse{Properties: r.GetNews()}, nil
	}
	props := decode(r.GetNews())
	name, _ := props["name"].(string)
	if err := c.begin(ctx, "update", name); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects[r.GetId()] = props
	c.done("update", name)
	return &pulumirpc.UpdateResponse{Properties: encode(props)}, nil
}

// Delete removes an object.
func (c *Cloud) Delete(ctx context.Context, r *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	name, _ := decode(r.GetProperties())["name"].(string)
	if err := c.begin(ctx, "delete", name); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.objects, r.GetId())
	c.done("delete", name)
	return &emptypb.Empty{}, nil
}

func decode(s *structpb.Struct) map[string]any {
	m, err := plugin.UnmarshalProperties(s, plugin.MarshalOptions{KeepUnknowns: true, SkipNulls: true})
	if err != nil {
		return map[string]any{}
	}
	return m.Mappable()
}

func encode(m map[string]any) *structpb.Struct {
	s, err := structpb.NewStruct(m)
	if err != nil {
		return &structpb.Struct{}
	}
	return s
}
