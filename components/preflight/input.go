package preflight

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Input is what the checks of the graph see.
type Input struct {
	Settings settings.Settings
	// Resources are all that a program with these settings registers, by name.
	Resources []recorder.Resource
}

func newInput(s settings.Settings, resources []recorder.Resource) *Input {
	in := &Input{Settings: s, Resources: slices.Clone(resources)}
	// The order of a recording is that of its goroutines.
	slices.SortStableFunc(in.Resources, func(a, b recorder.Resource) int { return strings.Compare(a.Name, b.Name) })
	return in
}

// Kind are the resources of a type, by name.
func (in *Input) Kind(token string) []recorder.Resource {
	var found []recorder.Resource
	for _, r := range in.Resources {
		if r.Type == token {
			found = append(found, r)
		}
	}
	return found
}

// Path names a property of a resource for a person.
func Path(r recorder.Resource, property string) string {
	kind := r.Type[strings.LastIndex(r.Type, ":")+1:]
	return strings.TrimSuffix(fmt.Sprintf("%s %s.%s", kind, r.Name, property), ".")
}

// Property is one of a resource by its dotted path ("healthChecker.port"), out of its wrapping; null when it is not there.
func Property(r recorder.Resource, dotted string) resource.PropertyValue {
	v := resource.NewProperty(r.Inputs)
	for _, key := range strings.Split(dotted, ".") {
		v = Open(v)
		if !v.IsObject() {
			return resource.NewNullProperty()
		}
		v = v.ObjectValue()[resource.PropertyKey(key)]
	}
	return Open(v)
}

// TextAt is the text at a dotted path, "" where none is.
func TextAt(r recorder.Resource, dotted string) string { return Text(Property(r, dotted)) }

// NumberAt is the whole number at a dotted path, 0 where none is.
func NumberAt(r recorder.Resource, dotted string) int { return Number(Property(r, dotted)) }

// Open takes the wrapping of a secret or a known output off a value.
func Open(v resource.PropertyValue) resource.PropertyValue {
	switch {
	case v.IsSecret():
		return Open(v.SecretValue().Element)
	case v.IsOutput() && v.OutputValue().Known:
		return Open(v.OutputValue().Element)
	}
	return v
}

// Unknown values are the cloud's to give.
func Unknown(v resource.PropertyValue) bool { return v.IsComputed() || v.IsOutput() }

// Text is a value that is one, else "".
func Text(v resource.PropertyValue) string {
	if v.IsString() {
		return v.StringValue()
	}
	return ""
}

// Number is a value that is a whole number, else 0.
func Number(v resource.PropertyValue) int {
	if v.IsNumber() {
		return int(v.NumberValue())
	}
	return 0
}

// recording turns a program that refuses its own arguments into findings. A fault of a
// setting that a check has named is left out: one cause is one error.
func (r *Report) recording(err error, found []Finding) {
	var faults *fault.Error
	if !errors.As(err, &faults) {
		r.Errorf("(graph)", "must be a graph that can be built: %v", err)
		return
	}
	doing, _, nested := strings.Cut(err.Error(), faults.Error())
	for _, f := range faults.Faults {
		if slices.ContainsFunc(found, func(x Finding) bool { return x.Severity == Error && x.Path == Setting(f.Path) }) {
			continue
		}
		if nested && !strings.HasPrefix(f.Path, settings.Project+":") {
			r.Errorf("(graph)", "%s%s", doing, f)
			continue
		}
		r.Errorf(f.Path, "%s", f.Text)
	}
}
