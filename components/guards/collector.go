package guards

import (
	"slices"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Collector takes a preview's violations, so that the preview shows its whole
// plan before they fail it, and knows which violations an update was refused
// for. The zero Collector is ready; one serves many runs, one after another.
type Collector struct {
	mu         sync.Mutex
	violations []Violation
	allow      settings.Guards
}

type collectorKey struct{}

// WithCollector returns a Pulumi context whose guards report to c. It begins a
// run of the program: c forgets the one before.
func WithCollector(ctx *pulumi.Context, c *Collector) *pulumi.Context {
	c.Reset()
	return ctx.WithValue(collectorKey{}, c)
}

// Reset forgets the run before.
func (c *Collector) Reset() { c.Report(settings.Guards{}, nil) }

// Report notes what a run found, and what its stack allows.
func (c *Collector) Report(allow settings.Guards, found []Violation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.allow, c.violations = allow, slices.Clone(found)
}

// Planned is what a plan does to one resource.
type Planned struct {
	// Op is create, update, replace or delete.
	Op   string
	Name string
	// HoldsData is set for a volume with a node's data.
	HoldsData bool
	// Retained is set when it stays in the cloud.
	Retained bool
}

// Judge gives the violations of the last run, and those of its plan, which is
// empty after an update. Whatever the layout says, a plan that deletes or
// replaces a volume is a loss, unless it stays in its cloud: the state may hold no
// layout yet, and a provider may have reasons of its own.
func (c *Collector) Judge(plan []Planned) []Violation {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := slices.Clone(c.violations)
	if c.allow.AllowVolumeDelete || slices.ContainsFunc(found, func(v Violation) bool { return v.Guard == VolumeDelete }) {
		return found
	}
	var lost []string
	for _, p := range plan {
		if p.HoldsData && !p.Retained && (p.Op == "delete" || p.Op == "replace") {
			lost = append(lost, p.Op+" "+p.Name)
		}
	}
	if len(lost) > 0 {
		slices.Sort(lost)
		found = append(found, Violation{
			Guard: VolumeDelete, Allow: allowVolumeDelete,
			Message: "DATA LOSS: the plan loses volumes with their data (" + strings.Join(lost, ", ") + "): " +
				"find out in the plan why, or set " + allowVolumeDelete + " to true",
		})
	}
	return found
}

// Judge ends the question whether a run of the program may go on. In a preview
// with a collector it may, and the collector's owner fails it later.
func Judge(ctx *pulumi.Context, allow settings.Guards, found []Violation) error {
	c, collects := ctx.Value(collectorKey{}).(*Collector)
	if collects {
		c.Report(allow, found)
	}
	if len(found) == 0 || collects && ctx.DryRun() {
		return nil
	}
	return &Error{Violations: found}
}
