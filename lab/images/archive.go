package images

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Archive is a file of images, as `docker save` writes one. It may be packed by gzip.
// It is only read.
type Archive struct {
	path string
	tags []name.Tag
}

// OpenArchive reads what images a file holds.
func OpenArchive(path string) (*Archive, error) {
	a := &Archive{path: path}
	manifest, err := tarball.LoadManifest(a.open)
	switch {
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("reading an image archive: %w", err)
	case err != nil:
		return nil, fmt.Errorf("reading the image archive %s: it is no file of `docker save`: %w", path, err)
	}
	for _, image := range manifest {
		for _, text := range image.RepoTags {
			tag, err := name.NewTag(text)
			if err != nil {
				return nil, fmt.Errorf("reading the image archive %s: %w", path, err)
			}
			a.tags = append(a.tags, tag)
		}
	}
	if len(a.tags) == 0 {
		return nil, fmt.Errorf("reading the image archive %s: its images have no names: save them by name, not by ID", path)
	}
	return a, nil
}

var gzipMagic = []byte{0x1f, 0x8b}

func (a *Archive) open() (io.ReadCloser, error) {
	f, err := os.Open(a.path)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(f, 1<<16)
	if head, _ := r.Peek(len(gzipMagic)); !bytes.Equal(head, gzipMagic) {
		return stream{r, f}, nil // whoever reads finds out what it is
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return stream{z, f}, nil
}

// stream reads from one thing and closes another.
type stream struct {
	io.Reader
	io.Closer
}

// Names are the images as people write them, sorted.
func (a *Archive) Names() []string {
	names := make([]string, len(a.tags))
	for i, t := range a.tags {
		names[i] = short(t)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Holds tells whether an image of that name is in it, however its registry is written.
func (a *Archive) Holds(ref string) bool {
	tag, err := name.NewTag(ref)
	return err == nil && slices.ContainsFunc(a.tags, func(t name.Tag) bool { return t.Name() == tag.Name() })
}

// Given tells whether the image in dir is this very one.
func (a *Archive) Given(ref, dir string) bool {
	tag, err := name.NewTag(ref)
	if err != nil {
		return false
	}
	there, err := tarball.ImageFromPath(base(dir, ref)+given, &tag)
	if err != nil {
		return false
	}
	here, err := tarball.Image(a.open, &tag)
	if err != nil {
		return false
	}
	one, err := there.ConfigName()
	if err != nil {
		return false
	}
	other, err := here.ConfigName()
	return err == nil && one == other
}

// Give puts the image into dir, where [Ensure] finds it before it asks a registry.
func (a *Archive) Give(ref, dir string) error {
	tag, err := name.NewTag(ref)
	if err != nil {
		return fmt.Errorf("reading the image name %q: %w; write it as repository:tag", ref, err)
	}
	img, err := tarball.Image(a.open, &tag)
	if err != nil {
		return fmt.Errorf("taking image %s from %s: %w", ref, a.path, err)
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("taking image %s from %s: %w", ref, a.path, err)
	}
	if cfg.OS != "linux" || cfg.Architecture != runtime.GOARCH {
		return fmt.Errorf("taking image %s from %s: must be for linux/%s, is for %s/%s", ref, a.path, runtime.GOARCH, cfg.OS, cfg.Architecture)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the image folder: %w", err)
	}
	if err := write(base(dir, ref)+given, tag, img); err != nil {
		return fmt.Errorf("taking image %s from %s: %w", ref, a.path, err)
	}
	return nil
}

// short leaves out what everybody leaves out.
func short(t name.Tag) string {
	text := strings.TrimPrefix(t.Name(), name.DefaultRegistry+"/")
	return strings.TrimPrefix(text, "library/")
}

// base is where an image's archive lies, without its ending.
func base(dir, ref string) string { return filepath.Join(dir, digest(ref)) }
