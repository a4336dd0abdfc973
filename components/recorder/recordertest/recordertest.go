// Package recordertest holds what tests of components have in common.
package recordertest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

// Build runs a program that makes one component, for real and as a preview with unknown ids, and returns the first;
// both must register the same resources. Options.Preview is ignored.
func Build(t *testing.T, program pulumi.RunFunc, opts recorder.Options) *recorder.Recording {
	t.Helper()
	recordings := map[bool]*recorder.Recording{}
	for _, preview := range []bool{false, true} {
		opts.Preview = preview
		r, err := recorder.Run(program, opts)
		assert.NilError(t, err)
		recordings[preview] = r
	}
	assert.DeepEqual(t, outline(recordings[true]), outline(recordings[false]))
	return recordings[false]
}

func outline(r *recorder.Recording) []string {
	var lines []string
	for _, x := range r.Resources {
		lines = append(lines, fmt.Sprintf("%s %s under %q after %v", x.Type, x.Name, x.Parent, x.DependsOn))
	}
	slices.Sort(lines)
	return lines
}

// Refuses checks that bad args end with these faults, by their paths, and register nothing.
func Refuses(t *testing.T, program pulumi.RunFunc, faults ...string) {
	t.Helper()
	r, err := recorder.Run(program, recorder.Options{})
	var list *fault.Error
	assert.Assert(t, errors.As(err, &list), "got %v", err)
	var got []string
	for _, f := range list.Faults {
		got = append(got, f.Path)
	}
	assert.DeepEqual(t, got, faults)
	assert.Equal(t, len(r.Resources), 0, "registered although the args are bad")
}
