package cluster

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// DefaultBrokerImage is what a stack runs unless it names another one: EMQX 5.8 is the last line under Apache-2.0.
const DefaultBrokerImage = "emqx/emqx:5.8.9"

// Image is a reference to a container image, taken apart.
type Image struct {
	// Name is the last part of the repository's: "emqx" of "registry.example.com/emqx/emqx:5.8.9".
	Name string
	// Tag is "5.8.9", empty for none.
	Tag string
	// Digest is "sha256:" and 64 hexadecimal digits, empty for none.
	Digest string
}

// ParseImage reads a reference as Docker does.
func ParseImage(reference string) (Image, error) {
	base, digest, digested := strings.Cut(reference, "@")
	if digested {
		if _, err := name.NewDigest(reference); err != nil {
			return Image{}, err
		}
	}
	tag, err := name.NewTag(base)
	if err != nil {
		return Image{}, err
	}
	repository := tag.RepositoryStr()
	i := Image{Name: repository[strings.LastIndex(repository, "/")+1:], Digest: digest}
	if strings.HasSuffix(base, ":"+tag.TagStr()) { // else it is the default
		i.Tag = tag.TagStr()
	}
	return i, nil
}

// Pinned tells whether a reference is not another image tomorrow.
func Pinned(reference string) bool {
	i, err := ParseImage(reference)
	return err == nil && (i.Digest != "" || i.Tag != "" && i.Tag != "latest")
}

// Version is that of a program. Patch is -1 where it is not known.
type Version struct{ Major, Minor, Patch int }

// Line is the version without its patch: "5.8".
func (v Version) Line() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Before compares two versions.
func (v Version) Before(other Version) bool {
	switch {
	case v.Major != other.Major:
		return v.Major < other.Major
	case v.Minor != other.Minor:
		return v.Minor < other.Minor
	}
	return v.Patch < other.Patch
}

var versionTag = regexp.MustCompile(`^v?e?([0-9]{1,9})\.([0-9]{1,9})(?:\.([0-9]{1,9}))?`)

// Version is the one that the tag names, as 5.8.9, v5.8.9, e5.8.9 and 5.8.9-elixir do,
// and 5.8 without a patch.
func (i Image) Version() (v Version, ok bool) {
	m := versionTag.FindStringSubmatch(i.Tag)
	if m == nil {
		return Version{}, false
	}
	v.Patch = -1
	// At most nine digits: there is no error.
	v.Major, _ = strconv.Atoi(m[1])
	v.Minor, _ = strconv.Atoi(m[2])
	if m[3] != "" {
		v.Patch, _ = strconv.Atoi(m[3])
	}
	return v, true
}

// ErrNeedsLicense is why an image of EMQX 5.9 or newer cannot form a cluster.
var ErrNeedsLicense = errors.New("needs a licence key from 5.9 on")

// CheckBrokerImage refuses what cannot form a cluster of so many nodes: a moving tag,
// which could put two versions side by side, and from 5.9 on several nodes without a
// licence key, which stop serving each other (ADR 0009). The error for the latter
// wraps [ErrNeedsLicense].
func CheckBrokerImage(reference string, nodes int, licensed bool) error {
	i, err := ParseImage(reference)
	v, ok := i.Version()
	switch {
	case err != nil || !ok || v.Patch < 0:
		return fmt.Errorf("must name a version, such as %s, got %q", DefaultBrokerImage, reference)
	case v.Before(Version{5, 8, 0}):
		return fmt.Errorf("must be 5.8 or newer, got %q", reference)
	case v.Before(Version{5, 8, 5}) && nodes > 1:
		// 5.8.3 and its neighbours crash when a node joins while another is
		// down ("Failed to merge schema", fixed in 5.8.5).
		return fmt.Errorf("must be 5.8.5 or newer with several nodes, got %q", reference)
	case !v.Before(Version{5, 9, 0}) && nodes > 1 && !licensed:
		return fmt.Errorf("%q with %d nodes %w: use %s", reference, nodes, ErrNeedsLicense, DefaultBrokerImage)
	}
	return nil
}
