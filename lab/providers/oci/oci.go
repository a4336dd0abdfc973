package oci

import (
	"context"
	_ "embed"
	"errors"

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

// Plugin is the provider over backend b.
func Plugin(b Backend) rpc.Plugin {
	return rpc.Plugin{
		Name:    "oci",
		Version: Version,
		Schema:  table.MustParse(rows),
		// Region, keys and profiles choose a tenancy; the lab has one.
		Open: func(rpc.Props) (rpc.Client, error) { return client{newRetrying(b)}, nil },
	}
}

type client struct{ backend Backend }

func (c client) Create(ctx context.Context, r *table.Resource, in rpc.Props) (string, rpc.Props, error) {
	id, out, err := c.backend.Create(ctx, r.Token, in)
	return id, out, explain(r, "Create", err)
}

func (c client) Read(ctx context.Context, r *table.Resource, id string, _ rpc.Props) (rpc.Props, error) {
	out, err := c.backend.Read(ctx, r.Token, id)
	if errors.Is(err, cloud.ErrNotFound) {
		return nil, rpc.ErrGone
	}
	return out, explain(r, "Get", err)
}

// Update hands over the whole inputs: what the program leaves out is not sent, as
// with the real provider, and the cloud draws the consequences.
func (c client) Update(ctx context.Context, r *table.Resource, id string, _, in rpc.Props) (rpc.Props, error) {
	out, err := c.backend.Update(ctx, r.Token, id, in)
	return out, explain(r, "Update", err)
}

func (c client) Delete(ctx context.Context, r *table.Resource, id string, _ rpc.Props) error {
	err := c.backend.Delete(ctx, r.Token, id)
	if errors.Is(err, cloud.ErrNotFound) {
		return nil
	}
	return explain(r, "Delete", err)
}

func (c client) Invoke(ctx context.Context, f *table.Resource, args rpc.Props) (rpc.Props, error) {
	out, err := c.backend.Invoke(ctx, f.Token, args)
	return out, explain(f, "", err)
}
