package stacks

import (
	"fmt"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/stacks/example"
	"github.com/emqx-oci/emqx-oci/stacks/settings"
)

func exampleSettings(t testing.TB, stack string, tls bool) settings.Settings {
	t.Helper()
	opts, err := example.Options("..", stack, tls)
	assert.NilError(t, err)
	s, err := settings.Load(stack, settings.Source{
		Get:      func(key string) (string, bool) { v, ok := opts.Config[key]; return v, ok },
		IsSecret: func(string) bool { return true },
		Getenv:   func(string) string { return "" },
	})
	assert.NilError(t, err)
	return s
}

func TestPreflightOfEveryStack(t *testing.T) {
	for _, stack := range []string{"prod", "staging", "lab"} {
		for _, tls := range []bool{false, true} {
			for _, f := range Preflight(exampleSettings(t, stack, tls)) {
				fmt.Println(stack, tls, f.Severity, f)
			}
		}
	}
}

func BenchmarkPreflight(b *testing.B) {
	for _, n := range []int{3, 100} {
		b.Run(fmt.Sprint(n, " nodes"), func(b *testing.B) {
			s := exampleSettings(b, "prod", true)
			s.Nodes.Count, s.Volumes.Count = n, n
			for b.Loop() {
				assert.Assert(b, len(Preflight(s)) > 0)
			}
		})
	}
}
