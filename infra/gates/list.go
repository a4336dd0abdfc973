package gates

import (
	"slices"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Entry is a gate, and what waits for it: one line of the list of gates.
type Entry struct {
	Gate Gate
	// Before is what waits for the gate, in the list's own words, such as "EMQX job";
	// [TheEnd] asks it at the end of every update.
	Before []string
	// Steps are taken, in this order, when the gate finds them due.
	Steps []Step
	// AtEnd are steps that are taken at the end of every update, in this order, before the
	// gate is asked there.
	AtEnd []Step
	// Settle is how long the gate is asked at the end of an update while nothing is being
	// deployed; zero is as long as ever.
	Settle time.Duration
}

// TheEnd is the end of every update, changed or not.
const TheEnd = "the end"

// List are the gates in the order in which an update comes to them.
type List []Entry

// Before are the entries that one of these waits for.
func (l List) Before(waiting ...string) List {
	var found List
	for _, e := range l {
		if slices.ContainsFunc(e.Before, func(b string) bool { return slices.Contains(waiting, b) }) {
			found = append(found, e)
		}
	}
	return found
}

// Hooks registers a hook for each gate that something waits for but the end, see [Hook] for scope,
// and returns the options of what waits.
func (l List) Hooks(ctx *pulumi.Context, scope string) (map[string]pulumi.ResourceOption, error) {
	hooks := map[string][]pulumi.ResourceOption{}
	for _, e := range l {
		waiting := slices.DeleteFunc(slices.Clone(e.Before), func(b string) bool { return b == TheEnd })
		if len(waiting) == 0 {
			continue
		}
		hook, err := Hook(ctx, scope, e.Gate, e.Steps...)
		if err != nil {
			return nil, err
		}
		for _, b := range waiting {
			hooks[b] = append(hooks[b], hook)
		}
	}
	options := map[string]pulumi.ResourceOption{}
	for b, all := range hooks {
		options[b] = pulumi.Composite(all...)
	}
	return options, nil
}
