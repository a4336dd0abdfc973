package lab

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"gotest.tools/v3/assert"
)

func archiveOf(t *testing.T, refs ...string) string {
	t.Helper()
	cfg, err := empty.Image.ConfigFile()
	assert.NilError(t, err)
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture = "linux", runtime.GOARCH
	img, err := mutate.ConfigFile(empty.Image, cfg)
	assert.NilError(t, err)
	all := map[name.Reference]v1.Image{}
	for _, ref := range refs {
		tag, err := name.NewTag(ref)
		assert.NilError(t, err)
		all[tag] = img
	}
	path := filepath.Join(t.TempDir(), "images.tar")
	assert.NilError(t, tarball.MultiRefWriteToFile(path, all))
	return path
}

func TestImagesOutOfArchives(t *testing.T) {
	both, broker := archiveOf(t, "docker.io/emqx/emqx:5.8.9", "haproxy:3.2.25", "other:1"), archiveOf(t, "emqx/emqx:5.8.9")
	proxy, old := archiveOf(t, "haproxy:3.2.25"), archiveOf(t, "emqx/emqx:5.8.8", "busybox:1")
	text := filepath.Join(t.TempDir(), "text")
	assert.NilError(t, os.WriteFile(text, []byte("hello"), 0o600))
	for name, c := range map[string]struct {
		files []string
		taken []string
		given int
		want  string
	}{
		"none":             {},
		"one file":         {files: []string{both}, given: 2},
		"two files":        {files: []string{broker, proxy}, given: 2},
		"twice":            {files: []string{broker, both}, want: "image emqx/emqx:5.8.9 is in two archives: "},
		"another version":  {files: []string{proxy, old}, want: "holds busybox:1, emqx/emqx:5.8.8, and nothing of what the lab's stack asks for: emqx/emqx:5.8.9, haproxy:3.2.25 (broker.image, proxy.image)"},
		"no archive":       {files: []string{proxy, text}, want: "it is no file of `docker save`"},
		"the lab runs":     {files: []string{broker}, taken: []string{"haproxy:3.2.25"}, given: 1},
		"with another one": {files: []string{broker}, taken: []string{"emqx/emqx:5.8.9"}, want: "the running lab has one of that name already"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Dir: t.TempDir(), Archives: c.files, BrokerImages: []string{"emqx/emqx:5.8.9"}, ProxyImages: []string{"haproxy:3.2.25"}}
			err := o.give(c.taken)
			if c.want != "" {
				assert.ErrorContains(t, err, c.want)
			} else {
				assert.NilError(t, err)
			}
			files, err := filepath.Glob(filepath.Join(o.Dir, "images", "*"))
			assert.NilError(t, err)
			assert.Equal(t, len(files), c.given, "%v", files)
			for _, f := range files {
				assert.Assert(t, strings.HasSuffix(f, ".given.tar"))
			}
			if c.want == "" { // the same again is no news to the lab that runs now
				assert.NilError(t, o.give(slices.Concat(o.BrokerImages, o.ProxyImages)))
			}
		})
	}
}
