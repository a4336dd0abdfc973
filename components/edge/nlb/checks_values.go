package nlb

import (
	"fmt"
	"regexp"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

const (
	checkBalancerType = "oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer"
	checkSetType      = "oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified"
	checkListenerType = "oci:NetworkLoadBalancer/listener:Listener"
)

// checkListenerName: API of the network load balancer, CreateListenerDetails.name
// and CreateBackendSetDetails.name.
var checkListenerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// checkValues are what OCI's API of the network load balancer accepts, and its provider lets through at preview: what
// is said of each is from the API's reference (docs.oracle.com, "API Reference and Endpoints") at the named type, and
// from what the provider was seen to accept (docs/checks.md).
var checkValues = map[string]preflight.Rules{
	"pulumi:providers:oci": {},
	// CreateNetworkLoadBalancerDetails.
	checkBalancerType: {
		Required: []string{"compartmentId", "displayName", "subnetId"},
		Each: []preflight.Rule{
			{Path: "compartmentId", Test: preflight.That(limits.OCIDOf("compartment", "tenancy"))},
			{Path: "displayName", Test: preflight.Length(1, 255)},
			{Path: "freeformTags", Test: preflight.TextMap(limits.TagsFault)},
			{Path: "subnetId", Test: preflight.That(limits.OCIDOf("subnet"))},
			{Path: "nlbIpVersion", Test: preflight.OneOf("IPV4", "IPV4_AND_IPV6", "IPV6")},
		},
	},
	// CreateBackendSetDetails, HealthChecker, BackendDetails; the provider takes
	// ROUND_ROBIN, which only the flexible balancer has, a protocol HTTPX, port 80800,
	// and a backend with an address and a target.
	checkSetType: {
		Required: []string{"networkLoadBalancerId", "name", "policy", "healthChecker.protocol"},
		Each: []preflight.Rule{
			{Path: "name", Test: preflight.Like(checkListenerName, "1 to 32 letters, digits, _ and -")},
			{Path: "policy", Test: preflight.OneOf("FIVE_TUPLE", "THREE_TUPLE", "TWO_TUPLE")},
			{Path: "ipVersion", Test: preflight.OneOf("IPV4", "IPV6")},
			{Path: "healthChecker.protocol", Test: preflight.OneOf("HTTP", "HTTPS", "TCP", "UDP", "DNS")},
			{Path: "healthChecker.port", Test: preflight.Between(0, 65535)},
			{Path: "healthChecker.intervalInMillis", Test: preflight.Between(1000, 1800000)},
			{Path: "healthChecker.timeoutInMillis", Test: preflight.Between(1, 600000)},
			{Path: "healthChecker.retries", Test: preflight.Between(1, 10)},
			{Path: "healthChecker.returnCode", Test: preflight.Between(100, 599)},
			{Path: "healthChecker.urlPath", Test: preflight.Like(regexp.MustCompile(`^/`), "a path that begins with /")},
			{Path: "backends.[].port", Test: preflight.PortNumber},
			{Path: "backends.[].weight", Test: preflight.Between(1, 100)},
			{Path: "backends.[].ipAddress", Test: preflight.IPv4},
			{Path: "backends.[].name", Test: preflight.Length(1, 255)},
		},
		Whole: func(r recorder.Resource, wrong preflight.Wrong) {
			checker := preflight.TextAt(r, "healthChecker.protocol")
			if (checker == "HTTP" || checker == "HTTPS") && preflight.Property(r, "healthChecker.urlPath").IsNull() {
				wrong("healthChecker.urlPath", "must be set for a check by %s", checker)
			}
			if timeout, interval := preflight.NumberAt(r, "healthChecker.timeoutInMillis"), preflight.NumberAt(r, "healthChecker.intervalInMillis"); timeout > interval && interval > 0 {
				wrong("healthChecker.timeoutInMillis", "must be at most intervalInMillis (%d), got %d", interval, timeout)
			}
			for i, b := range checkBackends(r) {
				at := fmt.Sprintf("backends[%d].", i)
				if preflight.Open(b["ipAddress"]).IsNull() == preflight.Open(b["targetId"]).IsNull() {
					wrong(at+"ipAddress", "must be set, or targetId, and not both")
				}
				for _, name := range []resource.PropertyKey{"name", "port"} {
					if preflight.Open(b[name]).IsNull() {
						wrong(at+string(name), "must be set")
					}
				}
			}
		},
	},
	// CreateListenerDetails. Its tcpIdleTimeout has no documented upper limit;
	// see limits.MaxIdleTimeout.
	checkListenerType: {
		Required: []string{"networkLoadBalancerId", "name", "defaultBackendSetName", "port", "protocol"},
		Each: []preflight.Rule{
			{Path: "name", Test: preflight.Like(checkListenerName, "1 to 32 letters, digits, _ and -")},
			{Path: "protocol", Test: preflight.OneOf("TCP", "UDP", "TCP_AND_UDP", "ANY", "L3IP")},
			{Path: "port", Test: preflight.Between(0, 65535)},
			{Path: "ipVersion", Test: preflight.OneOf("IPV4", "IPV6")},
			{Path: "tcpIdleTimeout", Test: preflight.Between(1, limits.MaxIdleTimeout)},
		},
		Whole: func(r recorder.Resource, wrong preflight.Wrong) {
			if p := preflight.TextAt(r, "protocol"); (p == "TCP" || p == "UDP" || p == "TCP_AND_UDP") && preflight.NumberAt(r, "port") == 0 {
				wrong("port", "must be 1 to 65535 for %s, got 0", p)
			}
		},
	},
}

// checkBackends are those in a set, by their place.
func checkBackends(set recorder.Resource) []resource.PropertyMap {
	all := preflight.Property(set, "backends")
	if !all.IsArray() {
		return nil
	}
	found := make([]resource.PropertyMap, len(all.ArrayValue()))
	for i, b := range all.ArrayValue() {
		if b = preflight.Open(b); b.IsObject() {
			found[i] = b.ObjectValue()
		}
	}
	return found
}
