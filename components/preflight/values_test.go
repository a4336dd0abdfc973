package preflight_test

import "strings"

// ociValues are values that OCI refuses, and what is said of each.
var ociValues = []struct {
	kind, path string
	value      any
	want       []string
}{
	{"PrivateIp", "lifetime", "FOREVER", []string{`PrivateIp cluster-addresses-0.lifetime: must be EPHEMERAL or RESERVED, got "FOREVER"`}},
	{"PrivateIp", "subnetId", nil, []string{"PrivateIp cluster-addresses-0.subnetId: must be set, or vnicId"}},
	{"PrivateIp", "subnetId", "private", []string{`PrivateIp cluster-addresses-0.subnetId: must be an OCID that begins with ocid1.subnet., got "private"`}},
	{"PrivateIp", "ipAddress", "10.0.0", []string{`PrivateIp cluster-addresses-0.ipAddress: must be an IPv4 address, got "10.0.0"`}},
	{"PrivateIp", "hostnameLabel", "a_b", []string{`PrivateIp cluster-addresses-0.hostnameLabel: must be a host name of at most 63 characters, got "a_b"`}},
	{"Volume", "sizeInGbs", "49", []string{`Volume cluster-volumes-0.sizeInGbs: must be 50 to 32768, got "49"`}},
	{"Volume", "sizeInGbs", "32769", []string{`Volume cluster-volumes-0.sizeInGbs: must be 50 to 32768, got "32769"`}},
	{"Volume", "vpusPerGb", "15", []string{`Volume cluster-volumes-0.vpusPerGb: must be 0 to 120 in steps of 10, got "15"`}},
	{"Volume", "availabilityDomain", nil, []string{"Volume cluster-volumes-0.availabilityDomain: must be set"}},
	{"Volume", "compartmentId", "iot", []string{`Volume cluster-volumes-0.compartmentId: must be an OCID that begins with ocid1.compartment., got "iot"`}},
	{"Volume", "displayName", strings.Repeat("x", 256), []string{"Volume cluster-volumes-0.displayName: must have 1 to 255 characters, got 256"}},
	{"Volume", "freeformTags", map[string]any{"a.b": "c"}, []string{`Volume cluster-volumes-0.freeformTags: must have keys of 1 to 100 printable characters without dots and spaces, got "a.b"`}},
	{"Volume", "freeformTags", map[string]any{"a": strings.Repeat("x", 257)}, []string{`Volume cluster-volumes-0.freeformTags: must have values of at most 256 characters, got 257 at "a"`}},
	{"Volume", "freeformTags", elevenTags(), []string{"Volume cluster-volumes-0.freeformTags: must hold at most 10 tags, the stack's own three with them, got 11"}},
	{"Volume", "freeformTags", "none", []string{`Volume cluster-volumes-0.freeformTags: must be a map of texts, got "none"`}},
	{"VolumeBackupPolicyAssignment", "policyId", "silver", []string{`VolumeBackupPolicyAssignment cluster-volumes-0-backup.policyId: must be an OCID that begins with ocid1.volumebackuppolicy., got "silver"`}},
	{"InstancePool", "size", 2, []string{"InstancePool cluster-pools-0.size: must be 0 to 1, got 2"}},
	{"InstancePool", "placementConfigurations.primarySubnetId", "x", []string{`InstancePool cluster-pools-0.placementConfigurations[0].primarySubnetId: must be an OCID that begins with ocid1.subnet., got "x"`}},
	{"InstancePool", "placementConfigurations", nil, []string{"InstancePool cluster-pools-0.placementConfigurations: must be set"}},
	{"InstanceConfiguration", launchDetails + "shapeConfig", nil, []string{"InstanceConfiguration cluster-pools-0-config." + launchDetails + "shapeConfig: must be set for the flexible shape VM.Standard.E5.Flex"}},
	{"InstanceConfiguration", launchDetails + "shapeConfig.memoryInGbs", 300, []string{
		"InstanceConfiguration cluster-pools-0-config." + launchDetails + "shapeConfig.memoryInGbs: must be 4 to 256 for 4 OCPUs of shape VM.Standard.E5.Flex, got 300",
	}},
	{"InstanceConfiguration", launchDetails + "shapeConfig.ocpus", 0.5, []string{"InstanceConfiguration cluster-pools-0-config." + launchDetails + "shapeConfig.ocpus: must be at least 1 for shape VM.Standard.E5.Flex, got 0.5"}},
	{"InstanceConfiguration", launchDetails + "sourceDetails.bootVolumeSizeInGbs", "40", []string{`InstanceConfiguration cluster-pools-0-config.` + launchDetails + `sourceDetails.bootVolumeSizeInGbs: must be 50 to 32768, got "40"`}},
	{"InstanceConfiguration", launchDetails + "sourceDetails.bootVolumeVpusPerGb", "0", []string{
		`InstanceConfiguration cluster-pools-0-config.` + launchDetails + `sourceDetails.bootVolumeVpusPerGb: must be 10 to 120 in steps of 10, got "0"`,
	}},
	{"InstanceConfiguration", launchDetails + "sourceDetails.imageId", "Oracle-Linux-9", []string{
		`InstanceConfiguration cluster-pools-0-config.` + launchDetails + `sourceDetails.imageId: must be an OCID that begins with ocid1.image., got "Oracle-Linux-9"`,
	}},
	{"InstanceConfiguration", launchDetails + "metadata", map[string]any{"user_data": strings.Repeat("A", 32001)}, []string{
		"InstanceConfiguration cluster-pools-0-config." + launchDetails + "metadata: must be at most 32000 bytes, encoded, got 32010",
	}},
	{"InstanceConfiguration", "instanceDetails.instanceType", "vm", []string{`InstanceConfiguration cluster-pools-0-config.instanceDetails.instanceType: must be compute or instance_options, got "vm"`}},
	{"NetworkSecurityGroup", "vcnId", "main", []string{`NetworkSecurityGroup cluster-groups-balancer.vcnId: must be an OCID that begins with ocid1.vcn., got "main"`}},
	{ruleKind, "direction", "INBOUND", []string{ruleName + `.direction: must be INGRESS or EGRESS, got "INBOUND"`}},
	{ruleKind, "sourceType", "CIDR", []string{ruleName + `.sourceType: must be CIDR_BLOCK or NETWORK_SECURITY_GROUP or SERVICE_CIDR_BLOCK, got "CIDR"`}},
	{ruleKind, "source", "10.0.0.1/8", []string{ruleName + `.source: must be a range such as 10.0.0.0/16, got "10.0.0.1/8"`}},
	{ruleKind, "source", nil, []string{ruleName + ".source: must be set for direction INGRESS"}},
	{ruleKind, "tcpOptions.destinationPortRange.max", 70000, []string{ruleName + ".tcpOptions.destinationPortRange: must be a range within 1 to 65535, got 1883-70000"}},
	{ruleKind, "tcpOptions.destinationPortRange.max", 1000, []string{ruleName + ".tcpOptions.destinationPortRange: must be a range within 1 to 65535, got 1883-1000"}},
	{ruleKind, "protocol", "17", []string{ruleName + `.tcpOptions: must not be set for protocol "17", only for "6"`}},
	{ruleKind, "description", strings.Repeat("x", 300), []string{ruleName + ".description: must have 1 to 255 characters, got 300"}},
	{"NetworkLoadBalancer", "subnetId", "public", []string{`NetworkLoadBalancer cluster-balancer.subnetId: must be an OCID that begins with ocid1.subnet., got "public"`}},
	{"NetworkLoadBalancer", "nlbIpVersion", "4", []string{`NetworkLoadBalancer cluster-balancer.nlbIpVersion: must be IPV4 or IPV4_AND_IPV6 or IPV6, got "4"`}},
	{setKind, "policy", "ROUND_ROBIN", []string{setKind + ` cluster-balancer-mqtt.policy: must be FIVE_TUPLE or THREE_TUPLE or TWO_TUPLE, got "ROUND_ROBIN"`}},
	{setKind, "name", "my set", []string{setKind + ` cluster-balancer-mqtt.name: must be 1 to 32 letters, digits, _ and -, got "my set"`}},
	{setKind, "healthChecker.protocol", "HTTPX", []string{setKind + ` cluster-balancer-mqtt.healthChecker.protocol: must be HTTP or HTTPS or TCP or UDP or DNS, got "HTTPX"`}},
	{setKind, "healthChecker.intervalInMillis", 500, []string{
		setKind + " cluster-balancer-mqtt.healthChecker.intervalInMillis: must be 1000 to 1800000, got 500",
		setKind + " cluster-balancer-mqtt.healthChecker.timeoutInMillis: must be at most intervalInMillis (500), got 3000",
	}},
	{setKind, "healthChecker.timeoutInMillis", 0, []string{setKind + " cluster-balancer-mqtt.healthChecker.timeoutInMillis: must be 1 to 600000, got 0"}},
	{setKind, "healthChecker.retries", 0, []string{setKind + " cluster-balancer-mqtt.healthChecker.retries: must be 1 to 10, got 0"}},
	{setKind, "healthChecker.returnCode", 20, []string{setKind + " cluster-balancer-mqtt.healthChecker.returnCode: must be 100 to 599, got 20"}},
	{setKind, "healthChecker.urlPath", "health", []string{setKind + ` cluster-balancer-mqtt.healthChecker.urlPath: must be a path that begins with /, got "health"`}},
	{setKind, "healthChecker.urlPath", nil, []string{setKind + " cluster-balancer-mqtt.healthChecker.urlPath: must be set for a check by HTTP"}},
	{setKind, "backends.port", 80800, []string{setKind + " cluster-balancer-mqtt.backends[0].port: must be 1 to 65535, got 80800"}},
	{setKind, "backends.targetId", "ocid1.privateip.x", []string{setKind + " cluster-balancer-mqtt.backends[0].ipAddress: must be set, or targetId, and not both"}},
	{setKind, "backends.ipAddress", nil, []string{setKind + " cluster-balancer-mqtt.backends[0].ipAddress: must be set, or targetId, and not both"}},
	{setKind, "backends.ipAddress", "node-0", []string{setKind + ` cluster-balancer-mqtt.backends[0].ipAddress: must be an IPv4 address, got "node-0"`}},
	{setKind, "backends.weight", 0, []string{setKind + " cluster-balancer-mqtt.backends[0].weight: must be 1 to 100, got 0"}},
	{setKind, "backends.name", nil, []string{setKind + " cluster-balancer-mqtt.backends[0].name: must be set"}},
	{"Listener", "protocol", "HTTP", []string{`Listener cluster-listeners-mqtt.protocol: must be TCP or UDP or TCP_AND_UDP or ANY or L3IP, got "HTTP"`}},
	{"Listener", "port", 0, []string{"Listener cluster-listeners-mqtt.port: must be 1 to 65535 for TCP, got 0"}},
	{"Listener", "port", 70000, []string{"Listener cluster-listeners-mqtt.port: must be 0 to 65535, got 70000"}},
	{"Listener", "tcpIdleTimeout", 1801, []string{"Listener cluster-listeners-mqtt.tcpIdleTimeout: must be 1 to 1800, got 1801"}},
	{"Listener", "name", strings.Repeat("x", 33), []string{`Listener cluster-listeners-mqtt.name: must be 1 to 32 letters, digits, _ and -, got "` + strings.Repeat("x", 33) + `"`}},
	{"Rrset", "domain", "mqtt.example.org", []string{
		`Rrset cluster-dns.domain: must be inside zone "example.com", got "mqtt.example.org"`,
		`Rrset cluster-dns.items[0].domain: must be the set's own "mqtt.example.org", got "mqtt.example.com"`,
	}},
	{"Rrset", "domain", "mqtt..com", []string{
		`Rrset cluster-dns.domain: must be a full domain name, got "mqtt..com"`,
		`Rrset cluster-dns.domain: must be inside zone "example.com", got "mqtt..com"`,
		`Rrset cluster-dns.items[0].domain: must be the set's own "mqtt..com", got "mqtt.example.com"`,
	}},
	{"Rrset", "items.ttl", 0, []string{"Rrset cluster-dns.items[0].ttl: must be 1 to 604800, got 0"}},
	{"Rrset", "items.rtype", "AAAA", []string{`Rrset cluster-dns.items[0].rtype: must be the set's own "A", got "AAAA"`}},
	{"Rrset", "items.rdata", "mqtt", []string{`Rrset cluster-dns.items[0].rdata: must be an IPv4 address, got "mqtt"`}},
	{"Rrset", "rtype", "B", []string{
		`Rrset cluster-dns.items[0].rtype: must be the set's own "B", got "A"`,
		`Rrset cluster-dns.rtype: must be A or AAAA or CNAME or TXT or SRV, got "B"`,
	}},
}

const (
	launchDetails = "instanceDetails.launchDetails."
	setKind       = "NetworkLoadBalancersBackendSetsUnified"
	ruleKind      = "NetworkSecurityGroupSecurityRule"
	ruleName      = ruleKind + " cluster-groups-balancer-in-tcp-1883-from-0.0.0.0-0"
)

func elevenTags() map[string]any {
	tags := map[string]any{}
	for _, key := range strings.Split("abcdefghijk", "") {
		tags[key] = "x"
	}
	return tags
}
