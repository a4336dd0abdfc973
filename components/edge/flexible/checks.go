package flexible

import (
	"regexp"
	"time"

	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Checks are those of the balancer, its sets and its listeners.
func (Edge) Checks() []preflight.Check {
	return []preflight.Check{
		{Name: "kill-timeout", After: "port-collision", Graph: checkLeaving},
		{Name: "source-ports", After: "broker-memory", Graph: checkSourcePorts},
		{Name: "gates", Settings: checkHealthTime},
		{Name: "oci-values", After: "agent-values", Rules: checkValues},
		{Name: "quotas", Graph: checkGroups},
	}
}

// checkNotice is what the balancer takes to change its mind about a backend.
func checkNotice(s settings.Settings) time.Duration {
	return time.Duration(s.Edge.HealthRetries)*s.Edge.HealthInterval + s.Edge.HealthTimeout
}

// checkLeaving: a node that stops must be out of the way before its ports close.
func checkLeaving(in *preflight.Input, r *preflight.Report) {
	if notice, grace := checkNotice(in.Settings), in.Settings.Proxy.ShutdownDelay; grace < notice {
		r.Warnf(preflight.Setting("proxy.shutdownDelay"), "should be at least %s, what the balancer takes to notice a failing health check, got %s", notice, grace)
	}
}

// mostFromOne is how many connections one address has to a port of another: what is left of
// the ports of IANA's dynamic and registered ranges.
const mostFromOne = 64511

// checkSourcePorts: behind this balancer all clients of a listener come from its one address.
func checkSourcePorts(in *preflight.Input, r *preflight.Report) {
	if got := in.Settings.Proxy.MaxConn; got > mostFromOne && len(in.Kind(balancerType)) > 0 {
		r.Warnf(preflight.Setting("proxy.maxConn"), "should be at most %d with edge.kind: flexible, whose one address has no more connections to a listener of a node, got %d", mostFromOne, got)
	}
}

func checkHealthTime(s settings.Settings, _ time.Time, r *preflight.Report) {
	if notice := checkNotice(s); s.Gates.EdgeHealthy < notice {
		r.Warnf(preflight.Setting("gates.edgeHealthy"), "should be at least %s, what the balancer takes to call a backend healthy, got %s", notice, s.Gates.EdgeHealthy)
	}
}

func checkGroups(in *preflight.Input, r *preflight.Report) {
	const list = "networkSecurityGroupIds"
	for _, x := range in.Kind(balancerType) {
		if ids := preflight.Property(x, list); ids.IsArray() && len(ids.ArrayValue()) > limits.MaxGroups {
			r.Errorf(preflight.Path(x, list), "must hold at most %d security groups, got %d", limits.MaxGroups, len(ids.ArrayValue()))
		}
	}
}

// checkName: API, CreateBackendSetDetails.name, CreateCertificateDetails.certificateName and others.
var checkName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// checkValues are what OCI's API of the load balancer accepts, and its provider lets through at preview: what is said
// of each is from the API's reference at the named type.
var checkValues = map[string]preflight.Rules{
	"pulumi:providers:oci": {},
	// CreateLoadBalancerDetails, ShapeDetails.
	balancerType: {
		Required: []string{"compartmentId", "displayName", "shape", "shapeDetails.minimumBandwidthInMbps", "shapeDetails.maximumBandwidthInMbps"},
		Each: []preflight.Rule{
			{Path: "compartmentId", Test: preflight.That(limits.OCIDOf("compartment", "tenancy"))},
			{Path: "displayName", Test: preflight.Length(1, 1024)},
			{Path: "freeformTags", Test: preflight.TextMap(limits.TagsFault)},
			{Path: "subnetIds.[]", Test: preflight.That(limits.OCIDOf("subnet"))},
			{Path: "shape", Test: preflight.OneOf("flexible")},
			{Path: "shapeDetails.minimumBandwidthInMbps", Test: preflight.Between(limits.MinMbps, limits.MaxMbps)},
			{Path: "shapeDetails.maximumBandwidthInMbps", Test: preflight.Between(limits.MinMbps, limits.MaxMbps)},
		},
	},
	// CreateBackendSetDetails, HealthCheckerDetails.
	setType: {
		Required: []string{"loadBalancerId", "name", "policy", "healthChecker.protocol"},
		Each: []preflight.Rule{
			{Path: "name", Test: preflight.Like(checkName, "1 to 32 letters, digits, _ and -")},
			{Path: "policy", Test: preflight.OneOf("ROUND_ROBIN", "LEAST_CONNECTIONS", "IP_HASH")},
			{Path: "healthChecker.protocol", Test: preflight.OneOf("HTTP", "TCP")},
			{Path: "healthChecker.port", Test: preflight.Between(0, 65535)},
			{Path: "healthChecker.intervalMs", Test: preflight.Between(1000, 1800000)},
			{Path: "healthChecker.timeoutInMillis", Test: preflight.Between(1, 600000)},
			{Path: "healthChecker.retries", Test: preflight.Between(1, 10)},
			{Path: "healthChecker.returnCode", Test: preflight.Between(100, 599)},
			{Path: "healthChecker.urlPath", Test: preflight.Like(regexp.MustCompile(`^/`), "a path that begins with /")},
		},
		Whole: func(r recorder.Resource, wrong preflight.Wrong) {
			if preflight.TextAt(r, "healthChecker.protocol") == "HTTP" && preflight.Property(r, "healthChecker.urlPath").IsNull() {
				wrong("healthChecker.urlPath", "must be set for a check by HTTP")
			}
			if timeout, interval := preflight.NumberAt(r, "healthChecker.timeoutInMillis"), preflight.NumberAt(r, "healthChecker.intervalMs"); timeout > interval && interval > 0 {
				wrong("healthChecker.timeoutInMillis", "must be at most intervalMs (%d), got %d", interval, timeout)
			}
		},
	},
	// CreateBackendDetails.
	backendType: {
		Required: []string{"loadBalancerId", "backendsetName", "port"},
		Each: []preflight.Rule{
			{Path: "port", Test: preflight.PortNumber},
			{Path: "weight", Test: preflight.Between(1, 100)},
			{Path: "ipAddress", Test: preflight.IPv4},
		},
	},
	// CreateCertificateDetails, CreateSslCipherSuiteDetails.
	certificateType: {
		Required: []string{"loadBalancerId", "certificateName"},
		Each:     []preflight.Rule{{Path: "certificateName", Test: preflight.Like(checkName, "1 to 32 letters, digits, _ and -")}},
	},
	suiteType: {
		Required: []string{"loadBalancerId", "name", "ciphers"},
		Each:     []preflight.Rule{{Path: "name", Test: preflight.Like(checkName, "1 to 32 letters, digits, _ and -")}},
	},
	// CreateListenerDetails, ConnectionConfiguration, SslConfigurationDetails.
	listenerType: {
		Required: []string{"loadBalancerId", "name", "defaultBackendSetName", "port", "protocol"},
		Each: []preflight.Rule{
			{Path: "name", Test: preflight.Like(checkName, "1 to 32 letters, digits, _ and -")},
			{Path: "protocol", Test: preflight.OneOf("TCP", "HTTP", "HTTP2", "GRPC")},
			{Path: "port", Test: preflight.PortNumber},
			{Path: "connectionConfiguration.backendTcpProxyProtocolVersion", Test: preflight.Between(1, 2)},
			{Path: "sslConfiguration.protocols.[]", Test: preflight.OneOf("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")},
			{Path: "sslConfiguration.serverOrderPreference", Test: preflight.OneOf("ENABLED", "DISABLED")},
		},
	},
}
