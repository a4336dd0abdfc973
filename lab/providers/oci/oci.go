package oci

import (
	"context"
	_ "embed"
	"errors"
	"sync"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

// Version of the official plugin that this one stands for.
const Version = "3.16.0"

//go:embed table.txt
var rows string

// Backend is the cloud: resources by Pulumi token, properties by their
// camelCase names as JSON values. *cloud.Cloud is one.
type Backend interface {
	Create(ctx context.Context, token string, in map[string]any) (id string, out map[string]any, err error)
	Read(ctx context.Context, token, id string) (map[string]any, error)
	Update(ctx context.Context, token, id string, in map[string]any) (map[string]any, error)
	Delete(ctx context.Context, token, id string) error
	Invoke(ctx context.Context, token string, args map[string]any) (map[string]any, error)
}

var _ Backend = (*cloud.Cloud)(nil)

// Plugin is the provider over backend b. Where the backend's operations take a part of
// the time that they take in OCI, pace is that part, and the provider waits accordingly;
// 0 is a backend that takes none.
func Plugin(b Backend, pace float64) rpc.Plugin {
	return rpc.Plugin{
		Name:    "oci",
		Version: Version,
		Schema:  table.MustParse(rows),
		// Region, keys and profiles choose a tenancy; the lab has one.
		Open: func(rpc.Props) (rpc.Client, error) { return newClient(b, pace), nil },
	}
}

type client struct {
	backend Backend
	polls   poller
	locks   *locks
}

func newClient(b Backend, pace float64) client {
	return client{backend: newRetrying(b, pace), polls: newPoller(pace), locks: &locks{of: map[string]*sync.Mutex{}}}
}

func (c client) Create(ctx context.Context, r *table.Resource, in rpc.Props) (id string, out rpc.Props, err error) {
	defer c.locks.hold(r.Token, "", in)()
	err = c.polls.until(ctx, r.Token, func() (err error) { id, out, err = c.backend.Create(ctx, r.Token, in); return err })
	return id, out, explain(r, "Create", err)
}

func (c client) Read(ctx context.Context, r *table.Resource, id string, _ rpc.Props) (rpc.Props, error) {
	out, err := c.backend.Read(ctx, r.Token, shortID(r.Token, id))
	if errors.Is(err, cloud.ErrNotFound) || err == nil && ended(out) {
		return nil, rpc.ErrGone
	}
	return out, explain(r, "Get", err)
}

// Update hands over the whole inputs: what the program leaves out is not sent, as
// with the real provider, and the cloud draws the consequences.
func (c client) Update(ctx context.Context, r *table.Resource, id string, state, in rpc.Props) (out rpc.Props, err error) {
	defer c.locks.hold(r.Token, id, in)()
	id = shortID(r.Token, id)
	if in, err = c.sent(ctx, r.Token, id, state, in); err != nil {
		return nil, explain(r, "Get", err)
	}
	err = c.polls.until(ctx, r.Token, func() (err error) { out, err = c.backend.Update(ctx, r.Token, id, in); return err })
	return out, explain(r, "Update", err)
}

func (c client) Delete(ctx context.Context, r *table.Resource, id string, state rpc.Props) error {
	defer c.locks.hold(r.Token, id, state)()
	id = shortID(r.Token, id)
	err := c.polls.until(ctx, r.Token, func() error { return c.backend.Delete(ctx, r.Token, id) })
	if errors.Is(err, cloud.ErrNotFound) {
		return nil
	}
	return explain(r, "Delete", err)
}

func (c client) Invoke(ctx context.Context, f *table.Resource, args rpc.Props) (rpc.Props, error) {
	out, err := c.backend.Invoke(ctx, f.Token, args)
	return out, explain(f, "", err)
}
