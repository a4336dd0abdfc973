package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

const rows = `
config
  in where string
  in count integer
  in token string secret
resource test:index/thing:Thing
  in kind string required replace
  in size integer default=1
  in tags map(string) computed
  in items map(string) secret
  out address string
  out version integer volatile
function test:index/getThing:getThing
  in kind string required
  out where string
`

const (
	urn = "urn:pulumi:lab::p::test:index/thing:Thing::x"
)

type m = map[string]any

// fake is a client whose answers a test sets.
type fake struct {
	config rpc.Props
	create func(ctx context.Context, in rpc.Props) (string, rpc.Props, error)
	read   func() (rpc.Props, error)
	update func(in rpc.Props) (rpc.Props, error)
}

func (f *fake) Create(ctx context.Context, _ *table.Resource, in rpc.Props) (string, rpc.Props, error) {
	return f.create(ctx, in)
}

func (f *fake) Read(context.Context, *table.Resource, string, rpc.Props) (rpc.Props, error) {
	return f.read()
}

func (f *fake) Update(_ context.Context, _ *table.Resource, _ string, _, in rpc.Props) (rpc.Props, error) {
	return f.update(in)
}

func (f *fake) Delete(context.Context, *table.Resource, string, rpc.Props) error { return rpc.ErrGone }

func (f *fake) Invoke(context.Context, *table.Resource, rpc.Props) (rpc.Props, error) {
	return rpc.Props{"where": f.config["where"], "id": "1"}, nil
}

// serve starts a provider over f and returns a way to connect to it as the
// engine does, configured with where.
func serve(t *testing.T, f *fake) func(where string) (pulumirpc.ResourceProviderClient, *grpc.ClientConn) {
	t.Helper()
	s, err := rpc.Serve(t.Context(), "127.0.0.1:0", rpc.Plugin{
		Name: "test", Version: "1.0.0", Schema: table.MustParse(rows),
		Open: func(config rpc.Props) (rpc.Client, error) {
			return &fake{config: config, create: f.create, read: f.read, update: f.update}, nil
		},
	}, t.Logf)
	assert.NilError(t, err)
	t.Cleanup(func() { assert.Check(t, s.Close()) })
	return func(where string) (pulumirpc.ResourceProviderClient, *grpc.ClientConn) {
		conn, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", s.Port()), grpc.WithTransportCredentials(insecure.NewCredentials()))
		assert.NilError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		c := pulumirpc.NewResourceProviderClient(conn)
		_, err = c.Handshake(t.Context(), &pulumirpc.ProviderHandshakeRequest{})
		assert.NilError(t, err)
		if where != "" {
			_, err = c.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: wire(t, in(m{"where": where, "count": "3"}))})
			assert.NilError(t, err)
		}
		return c, conn
	}
}

func in(v m) resource.PropertyMap { return resource.NewPropertyMapFromMap(v) }

var keep = plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true}

func wire(t *testing.T, p resource.PropertyMap) *structpb.Struct {
	t.Helper()
	s, err := plugin.MarshalProperties(p, keep)
	assert.NilError(t, err)
	return s
}

func read(t *testing.T, s *structpb.Struct) resource.PropertyMap {
	t.Helper()
	p, err := plugin.UnmarshalProperties(s, keep)
	assert.NilError(t, err)
	return p
}

func TestRunsWithDifferentConfigurationDoNotMix(t *testing.T) {
	connect := serve(t, &fake{})
	a, _ := connect("here")
	b, _ := connect("there")
	for where, c := range map[string]pulumirpc.ResourceProviderClient{"here": a, "there": b} {
		resp, err := c.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: "test:index/getThing:getThing", Args: wire(t, in(m{"kind": "k"}))})
		assert.NilError(t, err)
		assert.Equal(t, read(t, resp.GetReturn())["where"].V, where)
	}
	// A connection that gRPC made anew is served with what was configured last.
	c, _ := connect("")
	_, err := c.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: "test:index/getThing:getThing", Args: wire(t, in(m{"kind": "k"}))})
	assert.NilError(t, err)
}

func TestUnconfiguredIsRefused(t *testing.T) {
	c, _ := serve(t, &fake{})("")
	_, err := c.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: wire(t, in(m{"kind": "k"}))})
	assert.ErrorContains(t, err, "the test provider is not configured")
}

func TestConfigIsChecked(t *testing.T) {
	c, _ := serve(t, &fake{})("")
	check := func(v m) []*pulumirpc.CheckFailure {
		resp, err := c.CheckConfig(t.Context(), &pulumirpc.CheckRequest{Urn: "urn:pulumi:lab::p::pulumi:providers:test::mine", News: wire(t, in(v))})
		assert.NilError(t, err)
		return resp.GetFailures()
	}
	assert.Equal(t, len(check(m{"where": "a", "count": "3", "version": "1.0.0"})), 0)
	bad := check(m{"were": "a"})
	assert.Equal(t, len(bad), 1)
	assert.Equal(t, bad[0].GetReason(), "could not validate provider configuration: Invalid or unknown key. Examine values at 'mine.were'.")
	_, err := c.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: wire(t, in(m{"count": "three"}))})
	assert.ErrorContains(t, err, "count is not valid JSON")
}

func TestCheckAnswersAllFailuresAndKeepsInputs(t *testing.T) {
	c, _ := serve(t, &fake{})("x")
	news := in(m{"bogus": 1})
	news["size"] = resource.MakeSecret(resource.NewProperty(1.0))
	resp, err := c.Check(t.Context(), &pulumirpc.CheckRequest{Urn: urn, News: wire(t, news)})
	assert.NilError(t, err)
	assert.Equal(t, len(resp.GetFailures()), 2)
	assert.Equal(t, resp.GetFailures()[0].GetReason(), "Missing required property 'kind'")
	assert.Equal(t, resp.GetFailures()[1].GetReason(), "Invalid or unknown key. Examine values at 'x.bogus'.")
	assert.Assert(t, read(t, resp.GetInputs())["size"].IsSecret())

	_, err = c.Check(t.Context(), &pulumirpc.CheckRequest{Urn: "urn:pulumi:lab::p::test:index/other:Other::x"})
	assert.ErrorContains(t, err, "the lab's test provider has no resource type test:index/other:Other")
}

func TestCreateKeepsSecretsAndTypes(t *testing.T) {
	c, _ := serve(t, &fake{create: func(_ context.Context, in rpc.Props) (string, rpc.Props, error) {
		return "id1", rpc.Props{"kind": in["kind"], "size": in["size"], "items": in["items"], "tags": m{"a": 1}, "address": "10.0.0.1", "version": "7"}, nil
	}})("x")
	news := in(m{"items": m{"k": "v"}})
	news["kind"] = resource.MakeSecret(resource.NewProperty("k"))
	resp, err := c.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: wire(t, news)})
	assert.NilError(t, err)
	assert.Equal(t, resp.GetId(), "id1")
	out := read(t, resp.GetProperties())
	assert.Assert(t, out["kind"].IsSecret(), "secret because the program's value was")
	assert.Assert(t, out["items"].IsSecret(), "secret because its row says so")
	assert.DeepEqual(t, table.Values(out), m{
		"kind": "k", "size": 1.0, "items": m{"k": "v"}, "tags": m{"a": "1"}, "address": "10.0.0.1", "version": 7.0,
	})
	assert.Assert(t, !out["address"].IsSecret())
}

func TestPreviews(t *testing.T) {
	c, _ := serve(t, &fake{})("x")
	created, err := c.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Preview: true, Properties: wire(t, in(m{"kind": "k"}))})
	assert.NilError(t, err)
	out := read(t, created.GetProperties())
	assert.Equal(t, out["kind"].V, "k")
	assert.Equal(t, out["size"].V, 1.0, "a default is known")
	for _, k := range []resource.PropertyKey{"tags", "address", "version"} {
		assert.Assert(t, out[k].IsComputed(), string(k))
	}

	state := in(m{"kind": "k", "size": 1, "tags": m{"a": "1"}, "address": "10.0.0.1", "version": 7})
	updated, err := c.Update(t.Context(), &pulumirpc.UpdateRequest{
		Id: "id1", Urn: urn, Preview: true, Olds: wire(t, state), OldInputs: wire(t, in(m{"kind": "k"})), News: wire(t, in(m{"kind": "k", "size": 2})),
	})
	assert.NilError(t, err)
	out = read(t, updated.GetProperties())
	assert.Equal(t, out["size"].V, 2.0)
	assert.Equal(t, out["address"].V, "10.0.0.1", "what an update leaves alone stays known")
	assert.Assert(t, out["version"].IsComputed(), "what it changes does not")
	assert.DeepEqual(t, table.Values(out)["tags"], m{"a": "1"})
}

func TestDiffOverTheWire(t *testing.T) {
	c, _ := serve(t, &fake{})("x")
	resp, err := c.Diff(t.Context(), &pulumirpc.DiffRequest{
		Id: "id1", Urn: urn, Olds: wire(t, in(m{"kind": "k"})), OldInputs: wire(t, in(m{"kind": "k", "size": 2})), News: wire(t, in(m{"kind": "l", "size": 3})),
	})
	assert.NilError(t, err)
	assert.Equal(t, resp.GetChanges(), pulumirpc.DiffResponse_DIFF_SOME)
	assert.DeepEqual(t, resp.GetReplaces(), []string{"kind"})
	assert.DeepEqual(t, resp.GetDiffs(), []string{"kind", "size"})
	assert.Equal(t, resp.GetDetailedDiff()["kind"].GetKind(), pulumirpc.PropertyDiff_UPDATE_REPLACE)
	assert.Equal(t, resp.GetDetailedDiff()["size"].GetKind(), pulumirpc.PropertyDiff_UPDATE)
	resp, err = c.Diff(t.Context(), &pulumirpc.DiffRequest{Id: "id1", Urn: urn, OldInputs: wire(t, in(m{"kind": "k"})), News: wire(t, in(m{"kind": "k", "size": 1}))})
	assert.NilError(t, err)
	assert.Equal(t, resp.GetChanges(), pulumirpc.DiffResponse_DIFF_NONE)
}

func TestReadOfAGoneResourceAndDeleteOfOne(t *testing.T) {
	c, _ := serve(t, &fake{read: func() (rpc.Props, error) { return nil, rpc.ErrGone }})("x")
	resp, err := c.Read(t.Context(), &pulumirpc.ReadRequest{Id: "id1", Urn: urn, Inputs: wire(t, in(m{"kind": "k"}))})
	assert.NilError(t, err)
	assert.Equal(t, resp.GetId(), "")
	_, err = c.Delete(t.Context(), &pulumirpc.DeleteRequest{Id: "id1", Urn: urn})
	assert.NilError(t, err)
}

func TestReadBringsDriftIntoTheInputs(t *testing.T) {
	c, _ := serve(t, &fake{read: func() (rpc.Props, error) {
		return rpc.Props{"kind": "k", "size": 5.0, "tags": m{}, "address": "10.0.0.2", "items": m{"k": "w"}}, nil
	}})("x")
	inputs := in(m{"kind": "k", "size": 1})
	inputs["items"] = resource.MakeSecret(resource.NewProperty(in(m{"k": "v"})))
	resp, err := c.Read(t.Context(), &pulumirpc.ReadRequest{Id: "id1", Urn: urn, Inputs: wire(t, inputs), Properties: wire(t, inputs)})
	assert.NilError(t, err)
	now := read(t, resp.GetInputs())
	assert.DeepEqual(t, table.Values(now), m{"kind": "k", "size": 5.0, "items": m{"k": "w"}})
	assert.Assert(t, now["items"].IsSecret() || now["items"].ContainsSecrets())
	assert.Equal(t, read(t, resp.GetProperties())["address"].V, "10.0.0.2")

	imported, err := c.Read(t.Context(), &pulumirpc.ReadRequest{Id: "id1", Urn: urn})
	assert.NilError(t, err)
	assert.DeepEqual(t, table.Values(read(t, imported.GetInputs())), m{"kind": "k", "size": 5.0, "tags": m{}, "items": m{"k": "w"}})
}

func TestFailures(t *testing.T) {
	fail := errors.New("409-IncorrectState, busy")
	c, _ := serve(t, &fake{
		create: func(context.Context, rpc.Props) (string, rpc.Props, error) {
			return "id1", rpc.Props{"address": "a"}, fail
		},
		update: func(rpc.Props) (rpc.Props, error) { return nil, fail },
	})("x")
	_, err := c.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: wire(t, in(m{"kind": "k"}))})
	assert.ErrorContains(t, err, `creating Thing "x": 409-IncorrectState, busy`)
	var kept *pulumirpc.ErrorResourceInitFailed
	for _, d := range rpcerror.Convert(err).Details() {
		kept, _ = d.(*pulumirpc.ErrorResourceInitFailed)
	}
	assert.Assert(t, kept != nil, "the engine has to keep a resource that exists")
	assert.Equal(t, kept.GetId(), "id1")
	assert.Equal(t, read(t, kept.GetProperties())["address"].V, "a")

	_, err = c.Update(t.Context(), &pulumirpc.UpdateRequest{Id: "id1", Urn: urn, OldInputs: wire(t, in(m{"kind": "k"})), News: wire(t, in(m{"kind": "k", "size": 2}))})
	assert.ErrorContains(t, err, `updating Thing "x": 409-IncorrectState, busy`)
	assert.Equal(t, len(rpcerror.Convert(err).Details()), 0)
}

// waiting is a create that takes until its context ends.
func waiting(started chan<- struct{}) *fake {
	return &fake{create: func(ctx context.Context, _ rpc.Props) (string, rpc.Props, error) {
		close(started)
		<-ctx.Done()
		return "id1", nil, ctx.Err()
	}}
}

func TestTimeoutAndCancelEndACreate(t *testing.T) {
	c, _ := serve(t, waiting(make(chan struct{})))("x")
	_, err := c.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: wire(t, in(m{"kind": "k"})), Timeout: 0.05})
	assert.ErrorContains(t, err, `creating Thing "x": timeout while waiting after 50ms`)

	started := make(chan struct{})
	c, _ = serve(t, waiting(started))("x")
	done := make(chan error, 1)
	go func() {
		_, err := c.Create(context.Background(), &pulumirpc.CreateRequest{Urn: urn, Properties: wire(t, in(m{"kind": "k"}))})
		done <- err
	}()
	<-started
	_, err = c.Cancel(t.Context(), &emptypb.Empty{})
	assert.NilError(t, err)
	select {
	case err := <-done:
		assert.ErrorContains(t, err, "context canceled")
	case <-time.After(5 * time.Second):
		t.Fatal("Cancel does not end a create")
	}
}

func TestSchemaAndInfo(t *testing.T) {
	c, _ := serve(t, &fake{})("")
	info, err := c.GetPluginInfo(t.Context(), &emptypb.Empty{})
	assert.NilError(t, err)
	assert.Equal(t, info.GetVersion(), "1.0.0")
	s, err := c.GetSchema(t.Context(), &pulumirpc.GetSchemaRequest{})
	assert.NilError(t, err)
	assert.Assert(t, len(s.GetSchema()) > 100)
}
