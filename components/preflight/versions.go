package preflight

import (
	"slices"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Tried are the lines of EMQX that are not warned of.
var Tried = []string{"5.8"}

// BrokerEnd is when EMQX 5.8 got its last fix as open source.
const BrokerEnd = "2026-02-27"

// ImageDigest is the check that a production stack names its images by their content.
const ImageDigest = "image-digest"

// brokerVersion warns of a line of EMQX that was not tried, and in production of EMQX 5.8's end. An image of
// one's own may hold anything under any tag: of that nothing is known.
func brokerVersion(s settings.Settings, _ time.Time, r *Report) {
	if name, line, ok := ImageLine(s.Broker.Image); ok && strings.HasPrefix(name, "emqx") {
		switch {
		case !slices.Contains(Tried, line):
			r.Warnf(Setting("broker.image"), "should be of a line that was tried, %s, got %q: 6.3 for one asks for a login at its metrics, which status and rebalance read without, and counts ports otherwise",
				strings.Join(Tried, " or "), s.Broker.Image)
		case name == "emqx" && s.Production():
			r.Warnf(Setting("broker.image"), "is of a line that ended on %s, and stays the default as the last that anybody may cluster: no fixes come, "+
				"and later tags of the enterprise edition mend what this one has: an API key with the right to export data reads the dashboard's accounts (17169, 17451), "+
				"a client identifier may stay blocked for ever (17424), control characters pass in PROXY names (17314): keep API keys to those who may have all, and the listeners behind the proxy",
				BrokerEnd)
		}
	}
}

// imageDigest: whoever may push to the registry decides what a tag means, and with it who has the cluster's secrets.
func imageDigest(s settings.Settings, _ time.Time, r *Report) {
	if !s.Production() || s.Guards.AllowImageTags {
		return
	}
	for _, x := range []struct{ setting, image string }{{"broker.image", s.Broker.Image}, {"proxy.image", s.Proxy.Image}} {
		if i, err := cluster.ParseImage(x.image); err == nil && i.Digest == "" { // what cannot be read is a fault of the settings
			r.Errorf(Setting(x.setting), "must name a digest in a production stack, as %s@sha256:..., unless guards.allowImageTags is true: whoever may push to the registry decides what the tag means", x.image)
		}
	}
}

// ImageLine splits an image into its name and the line of its version: "emqx", "5.8". It is not ok for one without a
// version in its tag.
func ImageLine(image string) (name, line string, ok bool) {
	i, err := cluster.ParseImage(image)
	v, known := i.Version()
	if err != nil || !known {
		return "", "", false
	}
	return i.Name, v.Line(), true
}
