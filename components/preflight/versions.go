package preflight

import (
	"slices"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Tried are the lines of the two programs that are not warned of. Of HAProxy's the tests
// run 2.6, and a 3.4.0 has taken the configuration without a warning; 3.2, the default,
// lies between and was not run itself.
var Tried = struct{ Broker, Proxy []string }{Broker: []string{"5.8"}, Proxy: []string{"2.6", "3.2", "3.4"}}

// BrokerEnd is when EMQX 5.8 got its last fix as open source.
const BrokerEnd = "2026-02-27"

// versions warns of images whose line was not tried, and in production of EMQX 5.8's end. An image of
// one's own may hold anything under any tag: of that nothing is known.
func versions(s settings.Settings, _ time.Time, r *report) {
	if name, line, ok := lineOf(s.Broker.Image); ok && strings.HasPrefix(name, "emqx") {
		switch {
		case !slices.Contains(Tried.Broker, line):
			r.warnf(setting("broker.image"), "should be of a line that was tried, %s, got %q: 6.3 for one asks for a login at its metrics, which status and rebalance read without, and counts ports otherwise",
				strings.Join(Tried.Broker, " or "), s.Broker.Image)
		case name == "emqx" && s.Production():
			r.warnf(setting("broker.image"), "is of a line that ended on %s, and stays the default as the last that anybody may cluster: no fixes come, "+
				"and later tags of the enterprise edition mend what this one has: an API key with the right to export data reads the dashboard's accounts (17169, 17451), "+
				"a client identifier may stay blocked for ever (17424), control characters pass in PROXY names (17314): keep API keys to those who may have all, and the listeners behind HAProxy",
				BrokerEnd)
		}
	}
	if name, line, ok := lineOf(s.Proxy.Image); ok && strings.HasPrefix(name, "haproxy") && !slices.Contains(Tried.Proxy, line) {
		r.warnf(setting("proxy.image"), "should be of a line that was tried, %s, got %q", strings.Join(Tried.Proxy, " or "), s.Proxy.Image)
	}
}

// lineOf splits an image into its name and the line of its version.
func lineOf(image string) (name, line string, ok bool) {
	i, err := cluster.ParseImage(image)
	v, known := i.Version()
	if err != nil || !known {
		return "", "", false
	}
	return i.Name, v.Line(), true
}

// region warns of one of OCI's that came after this version, or never.
func region(s settings.Settings, _ time.Time, r *report) {
	if s.Cloud == "oci" && s.OCI.Region != "" && !settings.KnownRegion(s.OCI.Region) {
		r.warnf(setting("oci.region"), "should be a region that this version knows, got %s: if OCI has opened it since, go on", s.OCI.Region)
	}
}
