package settings

import (
	"regexp"
	"strconv"
)

var versionTag = regexp.MustCompile(`:v?([0-9]+)\.([0-9]+)\.([0-9]+)[^:/@]*(@sha256:[0-9a-f]{64})?$`)

// validateImage refuses what cannot form a cluster: a moving tag, which could
// put two versions side by side, and from 5.9 on several nodes without a
// licence key, which stop serving each other (ADR 0009).
func (s *Settings) validateImage(f checker) {
	if f.hasAbove("broker.image") {
		return
	}
	m := versionTag.FindStringSubmatch(s.Broker.Image)
	if m == nil {
		f.Add("broker.image", "must name a version, such as emqx/emqx:5.8.9, got %q", s.Broker.Image)
		return
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	patch, _ := strconv.Atoi(m[3])
	switch {
	case major < 5 || major == 5 && minor < 8:
		f.Add("broker.image", "must be 5.8 or newer, got %q", s.Broker.Image)
	case major == 5 && minor == 8 && patch < 5 && s.Nodes.Count > 1:
		// 5.8.3 and its neighbours crash when a node joins while another is
		// down ("Failed to merge schema", fixed in 5.8.5).
		f.Add("broker.image", "must be 5.8.5 or newer with several nodes, got %q", s.Broker.Image)
	case (major > 5 || minor >= 9) && s.Nodes.Count > 1 && s.Secrets.License == "":
		f.Add("broker.image", "%q with %d nodes needs a licence key from 5.9 on: use emqx/emqx:5.8.9, or set one with: %s",
			s.Broker.Image, s.Nodes.Count, howToSet("secrets.license"))
	}
}
