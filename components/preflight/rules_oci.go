package preflight

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

var (
	// listenerName: API of the network load balancer, CreateListenerDetails.name
	// and CreateBackendSetDetails.name.
	listenerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)
	// vnicLabel: API, CreatePrivateIpDetails.hostnameLabel, RFC 952 and 1123.
	vnicLabel = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	hostName  = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+[A-Za-z0-9-]{2,63}$`)

	displayName   = rule{"displayName", length(1, 255)} // every service of OCI: 1 to 255 characters
	freeformTags  = rule{"freeformTags", tags}
	inCompartment = rule{"compartmentId", ocid("compartment", "tenancy")}
	portNumber    = between(1, 65535)
)

// ociRules are what OCI's APIs accept and its provider lets through at preview:
// what is said of each is from the API's reference (docs.oracle.com, "API
// Reference and Endpoints") at the named type, and from what the provider was
// seen to accept (docs/checks.md).
var ociRules = map[string]rules{
	// CreateVolumeDetails: sizeInGBs, vpusPerGB, sourceDetails.
	volumeType: {
		required: []string{"compartmentId", "availabilityDomain"},
		each: []rule{
			inCompartment, displayName, freeformTags,
			{"sizeInGbs", between(limits.MinVolumeGB, limits.MaxVolumeGB)},
			{"vpusPerGb", inTens(0, 120)},
			{"sourceDetails.type", oneOf("volume", "volumeBackup", "volumeBackupDelta", "blockVolumeReplica")},
			{"sourceDetails.id", ocid("volume", "volumebackup", "blockvolumereplica")},
		},
	},
	// CreateVolumeBackupPolicyAssignmentDetails.
	"oci:Core/volumeBackupPolicyAssignment:VolumeBackupPolicyAssignment": {
		required: []string{"assetId", "policyId"},
		each:     []rule{{"policyId", ocid("volumebackuppolicy")}},
	},
	// CreatePrivateIpDetails, PrivateIp.lifetime; the provider takes any
	// lifetime, and one with neither subnet nor VNIC.
	"oci:Core/privateIp:PrivateIp": {
		each: []rule{
			displayName, freeformTags,
			{"lifetime", oneOf("EPHEMERAL", "RESERVED")},
			{"subnetId", ocid("subnet")},
			{"ipAddress", address},
			{"hostnameLabel", like(vnicLabel, "a host name of at most 63 characters")},
		},
		whole: func(r recorder.Resource, wrong func(string, string, ...any)) {
			if property(r, "subnetId").IsNull() && property(r, "vnicId").IsNull() {
				wrong("subnetId", "must be set, or vnicId")
			}
		},
	},
	// CreateInstancePoolDetails, and InstancePoolPlacementConfiguration.
	poolType: {
		required: []string{"compartmentId", "instanceConfigurationId", "placementConfigurations", "size"},
		each: []rule{
			inCompartment, displayName, freeformTags,
			// Every node is a pool of its own: two instances would claim one volume.
			{"size", between(0, 1)},
			{"placementConfigurations.[].availabilityDomain", length(1, 255)},
			{"placementConfigurations.[].primarySubnetId", ocid("subnet")},
			{"instanceDisplayNameFormatter", length(1, 255)},
		},
	},
	configurationType: {
		required: []string{"compartmentId", "instanceDetails.instanceType"},
		each: []rule{
			inCompartment, displayName, freeformTags,
			{"instanceDetails.instanceType", oneOf("compute", "instance_options")},
			{"instanceDetails.launchDetails.compartmentId", ocid("compartment", "tenancy")},
			{"instanceDetails.launchDetails.displayName", length(1, 255)},
			{"instanceDetails.launchDetails.freeformTags", tags},
			{"instanceDetails.launchDetails.shape", length(1, 255)},
			{"instanceDetails.launchDetails.sourceDetails.sourceType", oneOf("image", "bootVolume")},
			{"instanceDetails.launchDetails.sourceDetails.imageId", ocid("image")},
			{"instanceDetails.launchDetails.sourceDetails.bootVolumeSizeInGbs", between(limits.MinVolumeGB, limits.MaxVolumeGB)},
			{"instanceDetails.launchDetails.sourceDetails.bootVolumeVpusPerGb", inTens(10, 120)},
			{"instanceDetails.launchDetails.createVnicDetails.subnetId", ocid("subnet")},
		},
		whole: launch,
	},
	groupType: {
		required: []string{"compartmentId", "vcnId"},
		each:     []rule{inCompartment, displayName, freeformTags, {"vcnId", ocid("vcn")}},
	},
	// AddSecurityRuleDetails: protocol is "all" or IANA's number as text; the
	// provider takes "TCP", and INBOUND for a direction.
	securityRuleType: {
		required: []string{"networkSecurityGroupId", "direction", "protocol"},
		each: []rule{
			{"direction", oneOf("INGRESS", "EGRESS")},
			{"protocol", protocol},
			{"sourceType", oneOf("CIDR_BLOCK", "NETWORK_SECURITY_GROUP", "SERVICE_CIDR_BLOCK")},
			{"destinationType", oneOf("CIDR_BLOCK", "NETWORK_SECURITY_GROUP", "SERVICE_CIDR_BLOCK")},
			{"description", length(1, 255)},
		},
		whole: securityRule,
	},
	// CreateNetworkLoadBalancerDetails.
	balancerType: {
		required: []string{"compartmentId", "displayName", "subnetId"},
		each: []rule{
			inCompartment, displayName, freeformTags,
			{"subnetId", ocid("subnet")},
			{"nlbIpVersion", oneOf("IPV4", "IPV4_AND_IPV6", "IPV6")},
		},
	},
	// CreateBackendSetDetails, HealthChecker, BackendDetails; the provider takes
	// ROUND_ROBIN, which only the flexible balancer has, a protocol HTTPX, port 80800,
	// and a backend with an address and a target.
	backendSetType: {
		required: []string{"networkLoadBalancerId", "name", "policy", "healthChecker.protocol"},
		each: []rule{
			{"name", like(listenerName, "1 to 32 letters, digits, _ and -")},
			{"policy", oneOf("FIVE_TUPLE", "THREE_TUPLE", "TWO_TUPLE")},
			{"ipVersion", oneOf("IPV4", "IPV6")},
			{"healthChecker.protocol", oneOf("HTTP", "HTTPS", "TCP", "UDP", "DNS")},
			{"healthChecker.port", between(0, 65535)},
			{"healthChecker.intervalInMillis", between(1000, 1800000)},
			{"healthChecker.timeoutInMillis", between(1, 600000)},
			{"healthChecker.retries", between(1, 10)},
			{"healthChecker.returnCode", between(100, 599)},
			{"healthChecker.urlPath", like(regexp.MustCompile(`^/`), "a path that begins with /")},
			{"backends.[].port", portNumber},
			{"backends.[].weight", between(1, 100)},
			{"backends.[].ipAddress", address},
			{"backends.[].name", length(1, 255)},
		},
		whole: func(r recorder.Resource, wrong func(string, string, ...any)) {
			checker := text(property(r, "healthChecker.protocol"))
			if (checker == "HTTP" || checker == "HTTPS") && property(r, "healthChecker.urlPath").IsNull() {
				wrong("healthChecker.urlPath", "must be set for a check by %s", checker)
			}
			if timeout, interval := number(property(r, "healthChecker.timeoutInMillis")), number(property(r, "healthChecker.intervalInMillis")); timeout > interval && interval > 0 {
				wrong("healthChecker.timeoutInMillis", "must be at most intervalInMillis (%d), got %d", interval, timeout)
			}
			for i, b := range backends(r) {
				at := fmt.Sprintf("backends[%d].", i)
				if open(b["ipAddress"]).IsNull() == open(b["targetId"]).IsNull() {
					wrong(at+"ipAddress", "must be set, or targetId, and not both")
				}
				for _, name := range []resource.PropertyKey{"name", "port"} {
					if open(b[name]).IsNull() {
						wrong(at+string(name), "must be set")
					}
				}
			}
		},
	},
	// CreateListenerDetails. Its tcpIdleTimeout has no documented upper limit;
	// see limits.MaxIdleTimeout.
	listenerType: {
		required: []string{"networkLoadBalancerId", "name", "defaultBackendSetName", "port", "protocol"},
		each: []rule{
			{"name", like(listenerName, "1 to 32 letters, digits, _ and -")},
			{"protocol", oneOf("TCP", "UDP", "TCP_AND_UDP", "ANY", "L3IP")},
			{"port", between(0, 65535)},
			{"ipVersion", oneOf("IPV4", "IPV6")},
			{"tcpIdleTimeout", between(1, limits.MaxIdleTimeout)},
		},
		whole: func(r recorder.Resource, wrong func(string, string, ...any)) {
			if p := text(property(r, "protocol")); (p == "TCP" || p == "UDP" || p == "TCP_AND_UDP") && number(property(r, "port")) == 0 {
				wrong("port", "must be 1 to 65535 for %s, got 0", p)
			}
		},
	},
	// RecordDetails: the domain lies inside the zone; ttl is RFC 2181's, which
	// OCI limits to a week.
	"oci:Dns/rrset:Rrset": {
		required: []string{"zoneNameOrId", "domain", "rtype"},
		each: []rule{
			{"domain", like(hostName, "a full domain name")},
			{"rtype", oneOf("A", "AAAA", "CNAME", "TXT", "SRV")},
			{"items.[].rtype", oneOf("A", "AAAA", "CNAME", "TXT", "SRV")},
			{"items.[].ttl", between(1, limits.MaxTTL)},
		},
		whole: record,
	},
}

// protocol is "all", or one of IANA's numbers as text.
func protocol(v resource.PropertyValue) string {
	if text(v) == "all" {
		return ""
	}
	if n, ok := wholeNumber(v); ok && v.IsString() && n >= 0 && n <= 255 {
		return ""
	}
	return fmt.Sprintf(`must be "all" or a protocol's number as text, such as "6" for TCP, got %s`, show(v))
}

// securityRule: the source belongs to INGRESS, the destination to EGRESS, and
// ports to the protocol that has them (API, AddSecurityRuleDetails).
func securityRule(r recorder.Resource, wrong func(string, string, ...any)) {
	side := "source"
	if text(property(r, "direction")) == "EGRESS" {
		side = "destination"
	}
	peer := property(r, side)
	switch kind := text(property(r, side+"Type")); {
	case peer.IsNull():
		wrong(side, "must be set for direction %s", text(property(r, "direction")))
	case unknown(peer):
	case kind == "CIDR_BLOCK" || kind == "":
		if p, err := netip.ParsePrefix(text(peer)); err != nil || p.Masked() != p {
			wrong(side, "must be a range such as 10.0.0.0/16, got %s", show(peer))
		}
	case kind == "NETWORK_SECURITY_GROUP":
		if complaint := ocid("networksecuritygroup")(peer); complaint != "" {
			wrong(side, "%s", complaint)
		}
	}
	for options, needs := range map[string]string{"tcpOptions": "6", "udpOptions": "17", "icmpOptions": "1"} {
		if got := text(property(r, "protocol")); !property(r, options).IsNull() && got != needs {
			wrong(options, "must not be set for protocol %q, only for %q", got, needs)
		}
	}
	for _, options := range []string{"tcpOptions", "udpOptions"} {
		for _, ends := range []string{"destinationPortRange", "sourcePortRange"} {
			ports := options + "." + ends
			if property(r, ports).IsNull() {
				continue
			}
			low, high := number(property(r, ports+".min")), number(property(r, ports+".max"))
			if low < 1 || high > 65535 || low > high {
				wrong(ports, "must be a range within 1 to 65535, got %d-%d", low, high)
			}
		}
	}
}

// launch: a flexible shape needs its size, with 1 to 64 GB for each OCPU (OCI's
// documents, "Flexible shapes"), and the metadata has a limit.
func launch(r recorder.Resource, wrong func(string, string, ...any)) {
	const details = "instanceDetails.launchDetails."
	shape, config := text(property(r, details+"shape")), property(r, details+"shapeConfig")
	if strings.HasSuffix(shape, ".Flex") {
		if config.IsNull() {
			wrong(details+"shapeConfig", "must be set for the flexible shape %s", shape)
		} else {
			ocpus, memory := property(r, details+"shapeConfig.ocpus"), property(r, details+"shapeConfig.memoryInGbs")
			switch {
			case !ocpus.IsNumber() || ocpus.NumberValue() < 1:
				wrong(details+"shapeConfig.ocpus", "must be at least 1 for shape %s, got %s", shape, show(ocpus))
			case memory.IsNumber() && (memory.NumberValue() < ocpus.NumberValue() || memory.NumberValue() > 64*ocpus.NumberValue()):
				wrong(details+"shapeConfig.memoryInGbs", "must be %s to %g for %s OCPUs of shape %s, got %s",
					show(ocpus), 64*ocpus.NumberValue(), show(ocpus), shape, show(memory))
			}
		}
	}
	if metadata := property(r, details+"metadata"); metadata.IsObject() {
		size := 0
		for key, value := range metadata.ObjectValue() {
			size += len(key) + len(text(open(value)))
		}
		if size > limits.MaxMetadata {
			wrong(details+"metadata", "must be at most %d bytes, encoded, got %d", limits.MaxMetadata, size)
		}
	}
}

// record: every item repeats domain and type of its set.
func record(r recorder.Resource, wrong func(string, string, ...any)) {
	domain, zone := text(property(r, "domain")), text(property(r, "zoneNameOrId"))
	if !strings.HasPrefix(zone, "ocid1.") && domain != zone && !strings.HasSuffix(domain, "."+zone) {
		wrong("domain", "must be inside zone %q, got %q", zone, domain)
	}
	items := property(r, "items")
	if !items.IsArray() {
		return
	}
	for i, item := range items.ArrayValue() {
		item = open(item)
		if !item.IsObject() {
			continue
		}
		of := func(name string) resource.PropertyValue { return open(item.ObjectValue()[resource.PropertyKey(name)]) }
		for name, want := range map[string]string{"domain": domain, "rtype": text(property(r, "rtype"))} {
			if text(of(name)) != want {
				wrong(fmt.Sprintf("items[%d].%s", i, name), "must be the set's own %q, got %s", want, show(of(name)))
			}
		}
		if rdata := of("rdata"); text(of("rtype")) == "A" && !rdata.IsNull() && !unknown(rdata) {
			if complaint := address(rdata); complaint != "" {
				wrong(fmt.Sprintf("items[%d].rdata", i), "%s", complaint)
			}
		}
	}
}
