//go:build lab

package orchestrate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/enginetest"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// A refresh and a destroy ask with the state's token: tokens end, and the one of today is
// in the configuration.
func TestProvidersAskWithTheTokenOfToday(t *testing.T) {
	w := newWorld(t)
	w.set(enginetest.Spec{Things: []enginetest.ThingSpec{{Name: "a"}}})
	var out strings.Builder
	with := func(token string) func(*orchestrate.Options) {
		return func(o *orchestrate.Options) {
			o.View = progress.NewPlain(&out, false)
			o.Providers = func(orchestrate.Config) (orchestrate.Providers, error) {
				return orchestrate.Providers{"default": {"token": {Value: token, Secret: true}}}, nil
			}
		}
	}
	const note = "the state has another token of provider sim than the configuration"
	_, err := w.runner(with("hush-one")).Up(t.Context())
	assert.NilError(t, err, out.String())
	assert.Assert(t, !strings.Contains(out.String(), note), "an update needs no such thing: %s", out.String())

	for _, token := range []string{"hush-one", "hush-two"} {
		out.Reset()
		_, err = w.runner(with(token)).Refresh(t.Context())
		assert.NilError(t, err, out.String())
		assert.Equal(t, strings.Count(out.String(), note), 1, out.String())
		assert.Equal(t, w.cloud.Input("token"), token)
		out.Reset()
		_, err = w.runner(with(token)).Refresh(t.Context())
		assert.NilError(t, err, out.String())
		assert.Assert(t, !strings.Contains(out.String(), note), out.String())
	}
	out.Reset()
	_, err = w.runner(with("hush-three")).Destroy(t.Context())
	assert.NilError(t, err, out.String())
	assert.Equal(t, w.cloud.Input("token"), "hush-three")
	assert.Equal(t, len(w.cloud.Names()), 0)
	assert.NilError(t, filepath.WalkDir(w.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		assert.Assert(t, !strings.Contains(string(text), "hush-"), path)
		return err
	}))
}
