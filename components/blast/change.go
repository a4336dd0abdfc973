package blast

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Change is what a plan does to one resource.
type Change struct {
	// Op is [Create], [Update], [Replace], [Delete] or [Import].
	Op string `json:"op"`
	// Type is the resource's type token, Name its name in the program.
	Type string `json:"type"`
	Name string `json:"name"`
	URN  string `json:"urn"`
	// ID is the cloud's name for the resource, once it has one.
	ID string `json:"id,omitempty"`
	// Retained is set when the stack lets go of the resource, and the cloud keeps it.
	Retained bool `json:"retained,omitempty"`
	// Outside is set for a job that is not registered as the stack registered it.
	Outside bool `json:"outside,omitempty"`
	// Outlook is what Nomad says that the change does to a job's allocations; nil where
	// Nomad was not asked.
	Outlook *Outlook `json:"outlook,omitempty"`
	// Diffs are the properties that differ; none for a create or a delete.
	Diffs []Diff `json:"diffs,omitempty"`
	// Old and New are the resource's inputs before and after, secrets hidden.
	Old map[string]any `json:"old,omitempty"`
	New map[string]any `json:"new,omitempty"`
}

// Outlook is what becomes of a job's allocations.
type Outlook struct {
	// Restarted are the nodes whose allocation ends and runs anew, by name, in the order in
	// which their turn comes.
	Restarted []string `json:"restarted,omitempty"`
	// InPlace, Stopped and Placed count allocations that run on, that end for good, and that
	// are new.
	InPlace int `json:"inPlace,omitempty"`
	Stopped int `json:"stopped,omitempty"`
	Placed  int `json:"placed,omitempty"`
}

// Diff is one property that differs.
type Diff struct {
	// Path is the property: "hcl2.vars.node_count".
	Path string `json:"path"`
	// Kind is add, update or delete.
	Kind string `json:"kind"`
	// Replaces is set when the change makes a new resource necessary.
	Replaces bool `json:"replaces,omitempty"`
	Old      any  `json:"old,omitempty"`
	New      any  `json:"new,omitempty"`
}

// The types that every cluster has, as [Change.ShortType] has them.
const (
	typeJob      = "nomad:Job"
	typeVariable = "nomad:Variable"
	typeKeys     = "consul:Keys"
	typeMembers  = "consul:Node"
	typeMember   = "consul:Service"
)

// The operations of a plan.
const (
	Create  = "create"
	Update  = "update"
	Replace = "replace"
	Delete  = "delete"
	Import  = "import"
)

// ShortType is the type without the file part that Pulumi puts in its middle:
// "nomad:index/job:Job" is "nomad:Job".
func (c *Change) ShortType() string {
	parts := strings.Split(c.Type, ":")
	if len(parts) != 3 {
		return c.Type
	}
	return parts[0] + ":" + parts[2]
}

// Part is the name without the cluster's: "volumes-0".
func (c *Change) Part() string { return strings.TrimPrefix(c.Name, settings.ClusterName+"-") }

// Label is how a report names the resource.
func (c *Change) Label() string { return c.ShortType() + " " + c.Name }

// IsJob tells whether the resource is the job of that name in the program.
func (c *Change) IsJob(name string) bool { return c.ShortType() == typeJob && c.Part() == name }

// Diff is the difference at a path, nil when it stays as it is.
func (c *Change) Diff(path string) *Diff {
	i := slices.IndexFunc(c.Diffs, func(d Diff) bool { return d.Path == path })
	if i < 0 {
		return nil
	}
	return &c.Diffs[i]
}

// Words puts a difference into words: `memory 4 -> 8`.
func (d *Diff) Words(name string) string {
	switch d.Kind {
	case "add":
		return name + " " + Value(d.New)
	case "delete":
		return "no " + name
	}
	return fmt.Sprintf("%s %s -> %s", name, Value(d.Old), Value(d.New))
}

// longest is how much of a value a sentence holds.
const longest = 60

// Value is a value in a sentence: one line, and not a long one.
func Value(v any) string {
	var s string
	switch v := v.(type) {
	case nil:
		return "none"
	case string:
		s = v
	case float64:
		s = strconv.FormatFloat(v, 'g', -1, 64)
	default:
		s = fmt.Sprint(v)
	}
	s = strings.Join(strings.Fields(s), " ")
	if s == "" {
		return `""`
	}
	if runes := []rune(s); len(runes) > longest {
		return string(runes[:longest-3]) + "..."
	}
	return s
}

// Number reads one that may be a text, as some providers have sizes.
func Number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int:
		return float64(v), true
	case string:
		n, err := strconv.ParseFloat(v, 64)
		return n, err == nil
	}
	return 0, false
}
