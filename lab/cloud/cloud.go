package cloud

import "context"

// Props are a resource's properties as JSON values: string, float64, bool,
// []any and map[string]any, keyed by pulumi-oci's names.
type Props = map[string]any

// Cloud is the control plane. All methods may be called concurrently.
type Cloud struct{}

// Options of Open; the zero value is right for production.
type Options struct {
	Log     func(string)
	Latency Latency
}

// Latency is how long the real cloud takes, by operation; the zero value takes none.
type Latency struct{}

// Snapshot is what `lab status` shows.
type Snapshot struct{}

// Open loads the state in dir (made when missing).
func Open(dir string, m Machine, opts Options) (*Cloud, error) { panic("not yet") }

// Create makes a resource and returns when it is usable.
func (c *Cloud) Create(ctx context.Context, token string, in Props) (string, Props, error) {
	panic("not yet")
}

// Read returns a resource's properties, or ErrNotFound.
func (c *Cloud) Read(ctx context.Context, token, id string) (Props, error) { panic("not yet") }

// Update changes a resource in place.
func (c *Cloud) Update(ctx context.Context, token, id string, in Props) (Props, error) {
	panic("not yet")
}

// Delete removes a resource; an unknown id is success.
func (c *Cloud) Delete(ctx context.Context, token, id string) error { panic("not yet") }

// Invoke answers a function (data source).
func (c *Cloud) Invoke(ctx context.Context, token string, args Props) (Props, error) {
	panic("not yet")
}

// Run is the cloud's own life (pools, health checks) until ctx ends.
func (c *Cloud) Run(ctx context.Context) error { panic("not yet") }

// CLI is the `oci` command as the instance caller runs it.
func (c *Cloud) CLI(ctx context.Context, caller string, args []string) (stdout, stderr []byte, exit int) {
	panic("not yet")
}

// Metadata is the instance metadata service.
func (c *Cloud) Metadata(instanceID, path string) (body []byte, contentType string, ok bool) {
	panic("not yet")
}

// Snapshot is the present state.
func (c *Cloud) Snapshot() Snapshot { panic("not yet") }
