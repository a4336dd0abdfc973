package images

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// answerTimeout is how long a registry has to hand over a manifest. A registry
// that cannot be reached must not hold up the lab.
const answerTimeout = 4 * time.Second

// layersTimeout bounds the download of an image whose registry does answer.
const layersTimeout = 10 * time.Minute

// Origin tells where an image comes from.
type Origin string

// The origins, in the order in which they are looked for.
const (
	Given  Origin = "given"  // taken from an archive: [Archive.Give]
	Pulled Origin = "pulled" // from its registry
	Built  Origin = "built"  // made here, under its name
)

// Endings of the archives in a folder, by origin.
const (
	given  = "." + string(Given) + ".tar"
	pulled = "." + string(Pulled) + ".tar"
	built  = "." + string(Built) + ".tar"
)

func digest(ref string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(ref)))[:16] }

// Ensure returns a Docker archive of the image ref in dir, and where it comes from.
// The archive is kept: a later call returns it at once. One that was given goes
// before all. A registry that did not answer is remembered in dir too, so that the
// wait comes once per lab; build then makes the image, which gets the name ref.
func Ensure(ctx context.Context, ref, dir string, build func() (v1.Image, error)) (path string, from Origin, err error) {
	tag, err := name.NewTag(ref)
	if err != nil {
		return "", "", fmt.Errorf("reading the image name %q: %w; write it as repository:tag", ref, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", "", fmt.Errorf("making the image folder: %w", err)
	}
	base := base(dir, ref)
	for _, from := range []Origin{Given, Pulled, Built} {
		if path := base + "." + string(from) + ".tar"; exists(path) {
			return path, from, nil
		}
	}
	img, perr := pull(ctx, tag, dir)
	if perr == nil {
		perr = write(base+pulled, tag, img)
	}
	if perr == nil {
		return base + pulled, Pulled, nil
	}
	if err := ctx.Err(); err != nil {
		return "", "", fmt.Errorf("getting image %s: %w", ref, err)
	}
	if build == nil {
		return "", "", fmt.Errorf("pulling image %s: %w; the lab cannot make this image itself", ref, perr)
	}
	img, err = build()
	if err == nil {
		err = write(base+built, tag, img)
	}
	if err != nil {
		return "", "", fmt.Errorf("building image %s, which could not be pulled (%w): %w", ref, perr, err)
	}
	return base + built, Built, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

var errUnreachable = errors.New("its registry did not answer before")

func pull(ctx context.Context, tag name.Tag, dir string) (v1.Image, error) {
	mark := filepath.Join(dir, tag.RegistryStr()+".unreachable")
	if _, err := os.Stat(mark); err == nil {
		return nil, fmt.Errorf("%w (%s)", errUnreachable, mark)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// The context serves the layers too, so it cannot carry the short timeout.
	ctx, cancel := context.WithCancel(ctx)
	answered := time.AfterFunc(answerTimeout, cancel)
	img, err := remote.Image(tag, remote.WithContext(ctx))
	if !answered.Stop() && err == nil {
		err = context.DeadlineExceeded
	}
	if err != nil {
		cancel()
		if merr := os.WriteFile(mark, []byte(err.Error()+"\n"), 0o644); merr != nil {
			return nil, errors.Join(err, merr)
		}
		return nil, err
	}
	time.AfterFunc(layersTimeout, cancel)
	return img, nil
}

// write makes the archive whole or not at all.
func write(path string, tag name.Tag, img v1.Image) error {
	tmp := path + ".part"
	defer os.Remove(tmp)
	if err := tarball.WriteToFile(tmp, tag, img); err != nil {
		return fmt.Errorf("writing the archive of %s: %w", tag, err)
	}
	return os.Rename(tmp, path)
}
