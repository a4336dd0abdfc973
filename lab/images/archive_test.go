package images

import (
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"gotest.tools/v3/assert"
)

// image is one for this machine, or for another.
func image(t *testing.T, arch string) v1.Image {
	t.Helper()
	img, err := random.Image(4096, 2)
	assert.NilError(t, err)
	cfg, err := img.ConfigFile()
	assert.NilError(t, err)
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture = "linux", arch
	img, err = mutate.ConfigFile(img, cfg)
	assert.NilError(t, err)
	return img
}

// saved is a file of images by name.
func saved(t *testing.T, all map[string]v1.Image) string {
	t.Helper()
	refs := map[name.Reference]v1.Image{}
	for text, img := range all {
		tag, err := name.NewTag(text)
		assert.NilError(t, err)
		refs[tag] = img
	}
	path := filepath.Join(t.TempDir(), "saved.tar")
	assert.NilError(t, tarball.MultiRefWriteToFile(path, refs))
	return path
}

func packed(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	assert.NilError(t, err)
	f, err := os.Create(path + ".gz")
	assert.NilError(t, err)
	z := gzip.NewWriter(f)
	_, err = z.Write(raw)
	assert.NilError(t, err)
	assert.NilError(t, z.Close())
	assert.NilError(t, f.Close())
	return path + ".gz"
}

func TestAnArchiveGoesBeforeTheRegistry(t *testing.T) {
	const ref = "127.0.0.1:1/emqx/emqx:5.8.9" // nobody answers there
	img := image(t, runtime.GOARCH)
	want, err := img.ConfigName()
	assert.NilError(t, err)
	plain := saved(t, map[string]v1.Image{ref: img, "haproxy:3.2.25": image(t, runtime.GOARCH)})
	assert.NilError(t, os.Chmod(plain, 0o400))
	for kind, path := range map[string]string{"plain": plain, "gzip": packed(t, plain)} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			// What the lab made before gives way.
			_, from, err := Ensure(t.Context(), ref, dir, func() (v1.Image, error) { return random.Image(100, 1) })
			assert.NilError(t, err)
			assert.Equal(t, from, Built)
			a, err := OpenArchive(path)
			assert.NilError(t, err)
			assert.DeepEqual(t, a.Names(), []string{"127.0.0.1:1/emqx/emqx:5.8.9", "haproxy:3.2.25"})
			assert.Assert(t, a.Holds("docker.io/library/haproxy:3.2.25"))
			assert.Assert(t, !a.Holds("haproxy:3.0.13") && !a.Holds("no name"))
			assert.NilError(t, a.Give(ref, dir))
			got, from, err := Ensure(context.Background(), ref, dir, noBuild)
			assert.NilError(t, err)
			assert.Equal(t, from, Given)
			tag, err := name.NewTag(ref)
			assert.NilError(t, err)
			loaded, err := tarball.ImageFromPath(got, &tag)
			assert.NilError(t, err)
			have, err := loaded.ConfigName()
			assert.NilError(t, err)
			assert.Equal(t, have, want)
			manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(got) })
			assert.NilError(t, err)
			assert.Equal(t, len(manifest), 1, "nothing else of the file goes into the instances")
		})
	}
}

func TestFaultsOfAnArchive(t *testing.T) {
	dir := t.TempDir()
	_, err := OpenArchive(filepath.Join(dir, "none.tar"))
	assert.ErrorContains(t, err, "reading an image archive: open "+dir+"/none.tar: no such file")
	text := filepath.Join(dir, "text")
	assert.NilError(t, os.WriteFile(text, []byte("hello"), 0o600))
	_, err = OpenArchive(text)
	assert.ErrorContains(t, err, "it is no file of `docker save`")
	_, err = OpenArchive(dir)
	assert.ErrorContains(t, err, "it is no file of `docker save`")

	other := "arm64"
	if runtime.GOARCH == other {
		other = "amd64"
	}
	a, err := OpenArchive(saved(t, map[string]v1.Image{"emqx/emqx:5.8.9": image(t, other)}))
	assert.NilError(t, err)
	assert.ErrorContains(t, a.Give("emqx/emqx:5.8.9", dir), "must be for linux/"+runtime.GOARCH+", is for linux/"+other)
	assert.ErrorContains(t, a.Give("haproxy:3.2.25", dir), "not found in tarball")

	whole := saved(t, map[string]v1.Image{"emqx/emqx:5.8.9": image(t, runtime.GOARCH)})
	raw, err := os.ReadFile(whole)
	assert.NilError(t, err)
	for cut := 512; cut < len(raw); cut += len(raw) / 7 {
		assert.NilError(t, os.WriteFile(whole, raw[:cut], 0o600))
		if a, err := OpenArchive(whole); err == nil {
			assert.Assert(t, a.Give("emqx/emqx:5.8.9", dir) != nil, "%d bytes of %d", cut, len(raw))
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.tar*"))
	assert.NilError(t, err)
	assert.Equal(t, len(left), 0, "half an archive would be taken for a whole one: %v", left)
}
