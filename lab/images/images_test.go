package images

import (
	"archive/tar"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"gotest.tools/v3/assert"
)

func noBuild() (v1.Image, error) { return nil, errors.New("must not be built") }

func serve(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestPulledWhereTheRegistryAnswers(t *testing.T) {
	ref := serve(t) + "/emqx/emqx:5.8.9"
	img, err := random.Image(4096, 2)
	assert.NilError(t, err)
	tag, err := name.NewTag(ref)
	assert.NilError(t, err)
	assert.NilError(t, remote.Write(tag, img))

	dir := t.TempDir()
	path, from, err := Ensure(t.Context(), ref, dir, noBuild)
	assert.NilError(t, err)
	assert.Equal(t, from, Pulled)
	got, err := tarball.ImageFromPath(path, &tag)
	assert.NilError(t, err)
	want, err := img.ConfigName()
	assert.NilError(t, err)
	have, err := got.ConfigName()
	assert.NilError(t, err)
	assert.Equal(t, have, want)

	again, from, err := Ensure(t.Context(), ref, dir, noBuild)
	assert.NilError(t, err)
	assert.Equal(t, from, Pulled)
	assert.Equal(t, again, path)
}

func TestBuiltUnderTheSameNameWhereItDoesNot(t *testing.T) {
	const ref = "127.0.0.1:1/haproxy:3.0.1"
	dir := t.TempDir()
	var built atomic.Int32
	build := func() (v1.Image, error) {
		built.Add(1)
		return random.Image(100, 1)
	}
	for range 2 {
		path, from, err := Ensure(t.Context(), ref, dir, build)
		assert.NilError(t, err)
		assert.Equal(t, from, Built)
		tag, err := name.NewTag(ref)
		assert.NilError(t, err)
		_, err = tarball.ImageFromPath(path, &tag)
		assert.NilError(t, err)
	}
	assert.Equal(t, built.Load(), int32(1))
	// The registry is remembered: a second image of it costs no second wait.
	_, err := os.Stat(filepath.Join(dir, "127.0.0.1:1.unreachable"))
	assert.NilError(t, err)
	_, _, err = Ensure(t.Context(), "127.0.0.1:1/other:1", dir, nil)
	assert.ErrorContains(t, err, "its registry did not answer before")
}

func TestFaults(t *testing.T) {
	_, _, err := Ensure(t.Context(), "no such name", t.TempDir(), noBuild)
	assert.ErrorContains(t, err, `reading the image name "no such name"`)
	dir := t.TempDir()
	_, _, err = Ensure(t.Context(), "127.0.0.1:1/some:1", dir, noBuild)
	assert.ErrorContains(t, err, "must not be built")
	assert.ErrorContains(t, err, "could not be pulled")
	left, err := filepath.Glob(filepath.Join(dir, "*.tar*"))
	assert.NilError(t, err)
	assert.Equal(t, len(left), 0, "half an archive would be taken for a whole one")
}

// files reads an image's file system.
func files(t *testing.T, img v1.Image) (map[string]tar.Header, map[string]string) {
	t.Helper()
	r := mutate.Extract(img)
	defer r.Close()
	heads, texts := map[string]tar.Header{}, map[string]string{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return heads, texts
		}
		assert.NilError(t, err)
		raw, err := io.ReadAll(tr)
		assert.NilError(t, err)
		p := "/" + strings.Trim(h.Name, "/")
		heads[p] = *h
		texts[p] = string(raw)
	}
}

func TestBrokerImage(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "emqx")
	assert.NilError(t, os.WriteFile(bin, []byte("#!/bin/sh\necho broker\n"), 0o755))
	img, err := Broker(bin)
	assert.NilError(t, err)
	cfg, err := img.ConfigFile()
	assert.NilError(t, err)
	assert.Equal(t, cfg.Config.User, "1000")
	assert.DeepEqual(t, cfg.Config.Cmd, []string{"/opt/emqx/bin/emqx", "foreground"})
	assert.Assert(t, strings.HasPrefix(cfg.Config.Env[0], "PATH=/opt/emqx/bin:"))
	heads, texts := files(t, img)
	assert.Equal(t, texts["/opt/emqx/bin/emqx"], "#!/bin/sh\necho broker\n")
	for _, d := range []string{"/opt/emqx/data", "/opt/emqx/etc", "/opt/emqx/log"} {
		assert.Equal(t, heads[d].Uid, 1000, d)
	}
	assert.Equal(t, heads["/tmp"].Mode, int64(0o1777))
	_, err = Broker(bin + "-none")
	assert.ErrorContains(t, err, "building the stand-in broker's image")
}

func TestHAProxyImage(t *testing.T) {
	img, err := HAProxy()
	assert.NilError(t, err)
	cfg, err := img.ConfigFile()
	assert.NilError(t, err)
	assert.Equal(t, cfg.Config.User, "haproxy")
	assert.Equal(t, cfg.Config.StopSignal, "SIGUSR1")
	heads, texts := files(t, img)
	for _, f := range []string{"/usr/local/sbin/haproxy", "/bin/sh", "/usr/local/bin/docker-entrypoint.sh"} {
		assert.Equal(t, heads[f].Mode, int64(0o755), f)
	}
	assert.Assert(t, strings.Contains(texts["/etc/passwd"], "haproxy:x:99:99"))
	libc := false
	for p := range heads {
		libc = libc || strings.HasSuffix(p, "/libc.so.6")
	}
	assert.Assert(t, libc, "the libraries belong to the image")
	// The same machine gives the same image.
	again, err := HAProxy()
	assert.NilError(t, err)
	a, err := img.Digest()
	assert.NilError(t, err)
	b, err := again.Digest()
	assert.NilError(t, err)
	assert.Equal(t, a, b)
}

func TestLDD(t *testing.T) {
	libs, err := parseLDD("\tlinux-vdso.so.1 (0x7)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x7)\n\t/lib64/ld-linux-x86-64.so.2 (0x7)\n")
	assert.NilError(t, err)
	assert.DeepEqual(t, libs, []string{"/lib/x/libc.so.6", "/lib64/ld-linux-x86-64.so.2"})
	_, err = parseLDD("\tliblua.so => not found\n")
	assert.ErrorContains(t, err, "library missing")
}
