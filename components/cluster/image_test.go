package cluster

import (
	"errors"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func TestParseImage(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for reference, want := range map[string]Image{
		"haproxy:3.2.25":                           {Name: "haproxy", Tag: "3.2.25"},
		"emqx/emqx:5.8.9@" + digest:                {Name: "emqx", Tag: "5.8.9", Digest: digest},
		"emqx/emqx@" + digest:                      {Name: "emqx", Digest: digest},
		"registry.example.com:5000/emqx/emqx":      {Name: "emqx"},
		"localhost:5000/a/emqx-enterprise:e5.8.11": {Name: "emqx-enterprise", Tag: "e5.8.11"},
		"emqx/emqx:latest":                         {Name: "emqx", Tag: "latest"},
	} {
		got, err := ParseImage(reference)
		assert.NilError(t, err, reference)
		assert.DeepEqual(t, got, want)
		assert.Equal(t, Pinned(reference), want.Digest != "" || want.Tag != "" && want.Tag != "latest", reference)
	}
	for _, reference := range []string{"", "emqx/emqx:", "EMQX/emqx:5.8.9", "emqx/emqx@sha256:abc", "a b:1"} {
		_, err := ParseImage(reference)
		assert.Assert(t, err != nil, reference)
		assert.Assert(t, !Pinned(reference), reference)
	}
}

func TestVersionOfAnImage(t *testing.T) {
	for tag, want := range map[string]Version{
		"5.8.9": {5, 8, 9}, "v5.8.9": {5, 8, 9}, "e5.8.11": {5, 8, 11}, "5.10.1-elixir": {5, 10, 1}, "3.2": {3, 2, -1}, "3.2.25-alpine": {3, 2, 25},
	} {
		got, ok := Image{Tag: tag}.Version()
		assert.Assert(t, ok, tag)
		assert.Equal(t, got, want, tag)
	}
	for _, tag := range []string{"", "stable", "5", "latest"} {
		_, ok := Image{Tag: tag}.Version()
		assert.Assert(t, !ok, tag)
	}
	assert.Assert(t, Version{5, 8, 9}.Before(Version{5, 10, 0}))
	assert.Assert(t, !Version{6, 0, 0}.Before(Version{5, 10, 0}))
}

// ADR 0009.
func TestBrokerImages(t *testing.T) {
	for image, needed := range map[string]bool{
		"emqx/emqx:5.8.9": false, "emqx/emqx-enterprise:e5.8.11": false, "emqx/emqx:5.9.0": true, "emqx/emqx:5.10.1-elixir": true,
		"emqx/emqx:6.0.0": true, "registry.example.com:5000/emqx:v5.9.1": true,
	} {
		err := CheckBrokerImage(image, 3, false)
		assert.Equal(t, errors.Is(err, ErrNeedsLicense), needed, image)
		assert.Equal(t, err != nil, needed, image)
		assert.NilError(t, CheckBrokerImage(image, 3, true))
		assert.NilError(t, CheckBrokerImage(image, 1, false), "one node needs no key")
	}
	for image, what := range map[string]string{
		"emqx/emqx:5.8": "must name a version", "emqx/emqx:stable": "must name a version", "emqx/emqx": "must name a version",
		"emqx/emqx:4.4.19": "must be 5.8 or newer", "emqx/emqx:5.8.3": "must be 5.8.5 or newer with several nodes",
		"emqx/emqx@sha256:" + strings.Repeat("0", 64): "must name a version",
	} {
		assert.ErrorContains(t, CheckBrokerImage(image, 3, true), what)
	}
	assert.NilError(t, CheckBrokerImage("emqx/emqx:5.8.3", 1, false))
}
