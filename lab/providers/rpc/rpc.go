package rpc

import (
	"context"
	"errors"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

// Props are properties as JSON values: string, float64, bool, []any, map[string]any.
type Props = map[string]any

// ErrGone is what Read and Update answer for a resource that is no longer there.
var ErrGone = errors.New("the resource no longer exists")

// Plugin is one provider.
type Plugin struct {
	Name    string
	Version string // of the real plugin that it stands for
	Schema  *table.Schema
	// Open makes the client of one engine run. It must not call the service: a
	// preview has to work while the service does not exist yet.
	Open func(config Props) (Client, error)
	// Check adds to what the table finds wrong; nil adds nothing.
	Check func(r *table.Resource, name string, news resource.PropertyMap) []string
}

// Client does what the engine asks, with known values only. It is used by
// several calls at once.
type Client interface {
	// Create makes a resource. An id beside an error means that the resource exists
	// but is not right; the engine then keeps it.
	Create(ctx context.Context, r *table.Resource, in Props) (id string, out Props, err error)
	// Read returns all properties as they are now, or ErrGone. State is what is known.
	Read(ctx context.Context, r *table.Resource, id string, state Props) (out Props, err error)
	// Update changes in place. Properties beside an error mean that the change is made
	// but the resource is not right.
	Update(ctx context.Context, r *table.Resource, id string, state, in Props) (out Props, err error)
	// Delete removes; a resource that is gone already is success.
	Delete(ctx context.Context, r *table.Resource, id string, state Props) error
	// Invoke answers a function.
	Invoke(ctx context.Context, f *table.Resource, args Props) (out Props, err error)
}

// Planner is a Client that knows more about a change than the table does. Its
// errors fail the preview.
type Planner interface {
	// Plan looks at a planned change and may add to it. For a create State is nil
	// and Diff empty.
	Plan(ctx context.Context, r *table.Resource, p *Plan) error
}

// Plan is a planned create or update.
type Plan struct {
	State Props                // outputs of the last update, nil for a create
	News  resource.PropertyMap // inputs, with secrets and unknowns
	Diff  *table.Diff
	// Known are outputs that the change will have, for the preview.
	Known Props
}
