package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

// call is one call about a resource, as the engine makes it.
type call struct {
	ctx    context.Context // ends with the caller, the engine's cancellation, or the timeout
	end    context.CancelFunc
	r      *table.Resource
	client Client
	props  []resource.PropertyMap // in the order in which they were given
}

// open reads what a call is about: its resource, its properties, and the session's client, which
// has timeout seconds, 0 for no limit. Whoever opens a call ends it.
func (s *server) open(ctx context.Context, req interface {
	GetUrn() string
	GetType() string
}, timeout float64, props ...*structpb.Struct) (call, error) {
	var c call
	var err error
	if c.r, err = s.resource(req.GetUrn(), req.GetType()); err != nil {
		return c, err
	}
	for _, p := range props {
		m, err := unmarshal(p)
		if err != nil {
			return c, err
		}
		c.props = append(c.props, m)
	}
	sess, client, err := s.client(ctx)
	if err != nil {
		return c, err
	}
	c.client = client
	c.ctx, c.end = sess.work(ctx, timeout)
	return c, nil
}

func (s *server) Diff(ctx context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	c, err := s.open(ctx, req, 0, req.GetOldInputs(), req.GetOlds(), req.GetNews())
	if err != nil {
		return nil, err
	}
	defer c.end()
	olds, state, news := c.props[0], c.props[1], c.props[2]
	d, _, err := diff(c.ctx, c.client, c.r, req.GetId(), olds, state, news, req.GetIgnoreChanges())
	if err != nil {
		return nil, err
	}
	return diffResponse(d), nil
}

// diff is the table's, then the client's own.
func diff(ctx context.Context, c Client, r *table.Resource, id string, olds, state, news resource.PropertyMap, ignore []string) (table.Diff, Props, error) {
	d := r.Diff(olds, state, news, ignore)
	planner, ok := c.(Planner)
	if !ok {
		return d, nil, nil
	}
	known := table.Values(state)
	known["id"] = id
	p := &Plan{State: known, News: news, Diff: &d}
	if err := planner.Plan(ctx, r, p); err != nil {
		return d, nil, err
	}
	return d, p.Known, nil
}

func diffResponse(d table.Diff) *pulumirpc.DiffResponse {
	resp := &pulumirpc.DiffResponse{
		Changes:             pulumirpc.DiffResponse_DIFF_NONE,
		HasDetailedDiff:     true,
		DetailedDiff:        map[string]*pulumirpc.PropertyDiff{},
		DeleteBeforeReplace: d.DeleteBeforeReplace,
	}
	kinds := map[table.ChangeKind][2]pulumirpc.PropertyDiff_Kind{
		table.Add:    {pulumirpc.PropertyDiff_ADD, pulumirpc.PropertyDiff_ADD_REPLACE},
		table.Delete: {pulumirpc.PropertyDiff_DELETE, pulumirpc.PropertyDiff_DELETE_REPLACE},
		table.Update: {pulumirpc.PropertyDiff_UPDATE, pulumirpc.PropertyDiff_UPDATE_REPLACE},
	}
	for _, c := range d.Changes {
		resp.Changes = pulumirpc.DiffResponse_DIFF_SOME
		resp.Diffs = append(resp.Diffs, c.Path)
		kind := kinds[c.Kind][0]
		if c.Replace {
			kind = kinds[c.Kind][1]
			resp.Replaces = append(resp.Replaces, c.Path)
		}
		resp.DetailedDiff[c.Path] = &pulumirpc.PropertyDiff{Kind: kind, InputDiff: !c.Output}
	}
	return resp
}

func (s *server) Create(rpc context.Context, req *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	c, err := s.open(rpc, req, req.GetTimeout(), req.GetProperties())
	if err != nil {
		return nil, err
	}
	defer c.end()
	news := c.props[0]
	ctx, client, r := c.ctx, c.client, c.r

	var known Props
	if planner, ok := client.(Planner); ok {
		p := &Plan{News: news, Diff: &table.Diff{}}
		if err := planner.Plan(ctx, r, p); err != nil {
			return nil, err
		}
		known = p.Known
	}
	if req.GetPreview() {
		props, err := marshal(preview(r, nil, news, known))
		return &pulumirpc.CreateResponse{Properties: props}, err
	}
	in := r.In.Canon(r.In.WithDefaults(table.Values(news)))
	id, out, err := client.Create(ctx, r, in)
	if err != nil {
		return nil, failed(ctx, req.GetTimeout(), r, "creating", req.GetUrn(), id, err, news, outputs(r, news, in, out))
	}
	props, err := marshal(outputs(r, news, in, out))
	return &pulumirpc.CreateResponse{Id: id, Properties: props}, err
}

// failed words an error for the engine, and keeps the id of a resource that
// exists although the call failed.
func failed(ctx context.Context, timeout float64, r *table.Resource, verb, urn, id string, err error, inputs, outs resource.PropertyMap) error {
	name := resource.URN(urn).Name()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("timeout while waiting after %s: %w", time.Duration(timeout*float64(time.Second)), err)
	}
	err = fmt.Errorf("%s %s %q: %w", verb, r.Operation(), name, err)
	if id == "" {
		return err
	}
	in, inErr := marshal(inputs)
	out, outErr := marshal(outs)
	if inErr != nil || outErr != nil {
		return errors.Join(err, inErr, outErr)
	}
	return rpcerror.WithDetails(rpcerror.New(codes.Unknown, err.Error()),
		&pulumirpc.ErrorResourceInitFailed{Id: id, Properties: out, Inputs: in, Reasons: []string{err.Error()}})
}

func (s *server) Update(rpc context.Context, req *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	c, err := s.open(rpc, req, req.GetTimeout(), req.GetOldInputs(), req.GetOlds(), req.GetNews())
	if err != nil {
		return nil, err
	}
	defer c.end()
	olds, state, news := c.props[0], c.props[1], c.props[2]
	ctx, client, r := c.ctx, c.client, c.r
	_, known, err := diff(ctx, client, r, req.GetId(), olds, state, news, req.GetIgnoreChanges())
	if err != nil {
		return nil, err
	}
	if req.GetPreview() {
		props, err := marshal(preview(r, state, news, known))
		return &pulumirpc.UpdateResponse{Properties: props}, err
	}
	in := r.In.Canon(r.In.WithDefaults(table.Values(news)))
	out, err := client.Update(ctx, r, req.GetId(), table.Values(state), in)
	if err != nil {
		id := "" // the engine keeps the old state and tries again next time
		if out != nil {
			id = req.GetId() // the change is made: the engine keeps it, and the error with it
		}
		return nil, failed(ctx, req.GetTimeout(), r, "updating", req.GetUrn(), id, err, news, outputs(r, news, in, out))
	}
	props, err := marshal(outputs(r, news, in, out))
	return &pulumirpc.UpdateResponse{Properties: props}, err
}

// preview is what the outputs will be: the inputs, what the client foresees, what
// stays as it is, and unknown for the rest.
func preview(r *table.Resource, state, news resource.PropertyMap, known Props) resource.PropertyMap {
	outs := resource.PropertyMap{}
	fill := func(p *table.Property, input bool) {
		key := resource.PropertyKey(p.Name)
		v, given := news[key]
		old, had := state[key]
		foreseen, foresees := known[p.Name]
		switch {
		case input && given && !v.IsNull():
			outs[key] = v
		case foresees:
			outs[key] = resource.NewPropertyValue(foreseen)
		case input && p.Default != nil:
			outs[key] = resource.NewPropertyValue(p.Default)
		case input && !p.Computed:
		case had && !p.Volatile:
			outs[key] = old
		case state == nil || p.Volatile:
			outs[key] = resource.MakeComputed(resource.NewProperty(""))
		}
	}
	for _, p := range r.In.Props {
		fill(p, true)
	}
	for _, p := range r.Out.Props {
		fill(p, false)
	}
	return keepSecrets(r, news, outs)
}

func (s *server) Read(rpc context.Context, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	c, err := s.open(rpc, req, req.GetTimeout(), req.GetProperties(), req.GetInputs())
	if err != nil {
		return nil, err
	}
	defer c.end()
	state, inputs := c.props[0], c.props[1]
	ctx, client, r := c.ctx, c.client, c.r
	out, err := client.Read(ctx, r, req.GetId(), table.Values(state))
	if errors.Is(err, ErrGone) {
		return &pulumirpc.ReadResponse{}, nil
	}
	if err != nil {
		return nil, failed(ctx, req.GetTimeout(), r, "reading", req.GetUrn(), "", err, nil, nil)
	}
	resp := &pulumirpc.ReadResponse{Id: req.GetId()}
	if id, ok := out["id"].(string); ok && id != "" {
		resp.Id = id // a resource may be imported by another name than it has
	}
	if resp.Properties, err = marshal(outputs(r, both(state, inputs), keptInputs(r, state), out)); err != nil {
		return nil, err
	}
	if req.GetInputs() == nil || len(inputs) == 0 { // an import: the inputs are what there is
		inputs = resource.PropertyMap{}
		for k, v := range r.In.Canon(out) {
			if _, ok := r.In.Get(k); ok {
				inputs[resource.PropertyKey(k)] = resource.NewPropertyValue(v)
			}
		}
		inputs = keepSecrets(r, nil, inputs)
	} else {
		inputs = r.Drift(inputs, out)
	}
	resp.Inputs, err = marshal(inputs)
	return resp, err
}

// both is inputs over state, to know which properties hold secrets.
func both(state, inputs resource.PropertyMap) resource.PropertyMap {
	m := state.Copy()
	for k, v := range inputs {
		m[k] = v
	}
	return m
}

// keptInputs are the inputs in state that no service ever gives back (a job's
// text, `delete` of a key): what Read does not answer stays.
func keptInputs(r *table.Resource, state resource.PropertyMap) Props {
	kept := Props{}
	for k, v := range table.Values(state) {
		if p, ok := r.In.Get(k); ok && !p.Watched && !p.Computed {
			kept[k] = v
		}
	}
	return kept
}

func (s *server) Delete(rpc context.Context, req *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	c, err := s.open(rpc, req, req.GetTimeout(), req.GetProperties())
	if err != nil {
		return nil, err
	}
	defer c.end()
	state := c.props[0]
	ctx, client, r := c.ctx, c.client, c.r
	if err := client.Delete(ctx, r, req.GetId(), table.Values(state)); err != nil && !errors.Is(err, ErrGone) {
		return nil, failed(ctx, req.GetTimeout(), r, "deleting", req.GetUrn(), "", err, nil, nil)
	}
	return &emptypb.Empty{}, nil
}
