package ocihosts

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

// Types of resources that several checks look at.
const (
	checkPoolType          = "oci:Core/instancePool:InstancePool"
	checkConfigurationType = "oci:Core/instanceConfiguration:InstanceConfiguration"
	checkVolumeType        = "oci:Core/volume:Volume"
	checkGroupType         = "oci:Core/networkSecurityGroup:NetworkSecurityGroup"
	checkSecurityRuleType  = "oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule"
)

var (
	// checkHostLabel: API, CreatePrivateIpDetails.hostnameLabel, RFC 952 and 1123.
	checkHostLabel = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

	checkDisplayName = preflight.Rule{Path: "displayName", Test: preflight.Length(1, 255)} // every service of OCI: 1 to 255 characters
	checkTags        = preflight.Rule{Path: "freeformTags", Test: preflight.TextMap(limits.TagsFault)}
	checkCompartment = preflight.Rule{Path: "compartmentId", Test: preflight.That(limits.OCIDOf("compartment", "tenancy"))}
)

// checkValues are what OCI's APIs accept of hosts and what belongs to them, and its provider lets through at preview:
// what is said of each is from the API's reference (docs.oracle.com, "API Reference and Endpoints") at the named
// type, and from what the provider was seen to accept (docs/checks.md).
var checkValues = map[string]preflight.Rules{
	// The provider's own settings are checked where they are read.
	"pulumi:providers:oci": {},
	// CreateVolumeDetails: sizeInGBs, vpusPerGB, sourceDetails.
	checkVolumeType: {
		Required: []string{"compartmentId", "availabilityDomain"},
		Each: []preflight.Rule{
			checkCompartment, checkDisplayName, checkTags,
			{Path: "sizeInGbs", Test: preflight.Between(limits.MinVolumeGB, limits.MaxVolumeGB)},
			{Path: "vpusPerGb", Test: preflight.InSteps(10, 0, 120)},
			{Path: "sourceDetails.type", Test: preflight.OneOf("volume", "volumeBackup", "volumeBackupDelta", "blockVolumeReplica")},
			{Path: "sourceDetails.id", Test: preflight.That(limits.OCIDOf("volume", "volumebackup", "blockvolumereplica"))},
		},
	},
	// CreateVolumeBackupPolicyAssignmentDetails.
	"oci:Core/volumeBackupPolicyAssignment:VolumeBackupPolicyAssignment": {
		Required: []string{"assetId", "policyId"},
		Each:     []preflight.Rule{{Path: "policyId", Test: preflight.That(limits.OCIDOf("volumebackuppolicy"))}},
	},
	// CreatePrivateIpDetails, PrivateIp.lifetime; the provider takes any
	// lifetime, and one with neither subnet nor VNIC.
	"oci:Core/privateIp:PrivateIp": {
		Each: []preflight.Rule{
			checkDisplayName, checkTags,
			{Path: "lifetime", Test: preflight.OneOf("EPHEMERAL", "RESERVED")},
			{Path: "subnetId", Test: preflight.That(limits.OCIDOf("subnet"))},
			{Path: "ipAddress", Test: preflight.IPv4},
			{Path: "hostnameLabel", Test: preflight.Like(checkHostLabel, "a host name of at most 63 characters")},
		},
		Whole: func(r recorder.Resource, wrong preflight.Wrong) {
			if preflight.Property(r, "subnetId").IsNull() && preflight.Property(r, "vnicId").IsNull() {
				wrong("subnetId", "must be set, or vnicId")
			}
		},
	},
	// CreateInstancePoolDetails, and InstancePoolPlacementConfiguration.
	checkPoolType: {
		Required: []string{"compartmentId", "instanceConfigurationId", "placementConfigurations", "size"},
		Each: []preflight.Rule{
			checkCompartment, checkDisplayName, checkTags,
			// Every node is a pool of its own: two instances would claim one volume.
			{Path: "size", Test: preflight.Between(0, 1)},
			{Path: "placementConfigurations.[].availabilityDomain", Test: preflight.Length(1, 255)},
			{Path: "placementConfigurations.[].primarySubnetId", Test: preflight.That(limits.OCIDOf("subnet"))},
			{Path: "instanceDisplayNameFormatter", Test: preflight.Length(1, 255)},
		},
	},
	checkConfigurationType: {
		Required: []string{"compartmentId", "instanceDetails.instanceType"},
		Each: []preflight.Rule{
			checkCompartment, checkDisplayName, checkTags,
			{Path: "instanceDetails.instanceType", Test: preflight.OneOf("compute", "instance_options")},
			{Path: "instanceDetails.launchDetails.compartmentId", Test: preflight.That(limits.OCIDOf("compartment", "tenancy"))},
			{Path: "instanceDetails.launchDetails.displayName", Test: preflight.Length(1, 255)},
			{Path: "instanceDetails.launchDetails.freeformTags", Test: checkTags.Test},
			{Path: "instanceDetails.launchDetails.shape", Test: preflight.Length(1, 255)},
			{Path: "instanceDetails.launchDetails.sourceDetails.sourceType", Test: preflight.OneOf("image", "bootVolume")},
			{Path: "instanceDetails.launchDetails.sourceDetails.imageId", Test: preflight.That(limits.OCIDOf("image"))},
			{Path: "instanceDetails.launchDetails.sourceDetails.bootVolumeSizeInGbs", Test: preflight.Between(limits.MinVolumeGB, limits.MaxVolumeGB)},
			{Path: "instanceDetails.launchDetails.sourceDetails.bootVolumeVpusPerGb", Test: preflight.InSteps(10, 10, 120)},
			{Path: "instanceDetails.launchDetails.createVnicDetails.subnetId", Test: preflight.That(limits.OCIDOf("subnet"))},
		},
		Whole: checkLaunch,
	},
	checkGroupType: {
		Required: []string{"compartmentId", "vcnId"},
		Each:     []preflight.Rule{checkCompartment, checkDisplayName, checkTags, {Path: "vcnId", Test: preflight.That(limits.OCIDOf("vcn"))}},
	},
	// AddSecurityRuleDetails: protocol is "all" or IANA's number as text; the
	// provider takes "TCP", and INBOUND for a direction.
	checkSecurityRuleType: {
		Required: []string{"networkSecurityGroupId", "direction", "protocol"},
		Each: []preflight.Rule{
			{Path: "direction", Test: preflight.OneOf("INGRESS", "EGRESS")},
			{Path: "protocol", Test: checkProtocol},
			{Path: "sourceType", Test: preflight.OneOf("CIDR_BLOCK", "NETWORK_SECURITY_GROUP", "SERVICE_CIDR_BLOCK")},
			{Path: "destinationType", Test: preflight.OneOf("CIDR_BLOCK", "NETWORK_SECURITY_GROUP", "SERVICE_CIDR_BLOCK")},
			{Path: "description", Test: preflight.Length(1, 255)},
		},
		Whole: checkSecurityRule,
	},
}

// checkProtocol is "all", or one of IANA's numbers as text.
func checkProtocol(v resource.PropertyValue) string {
	if preflight.Text(v) == "all" {
		return ""
	}
	if n, ok := preflight.WholeNumber(v); ok && v.IsString() && n >= 0 && n <= 255 {
		return ""
	}
	return fmt.Sprintf(`must be "all" or a protocol's number as text, such as "6" for TCP, got %s`, preflight.Show(v))
}

// checkSecurityRule: the source belongs to INGRESS, the destination to EGRESS, and
// ports to the protocol that has them (API, AddSecurityRuleDetails).
func checkSecurityRule(r recorder.Resource, wrong preflight.Wrong) {
	side := "source"
	if preflight.TextAt(r, "direction") == "EGRESS" {
		side = "destination"
	}
	peer := preflight.Property(r, side)
	switch kind := preflight.TextAt(r, side+"Type"); {
	case peer.IsNull():
		wrong(side, "must be set for direction %s", preflight.TextAt(r, "direction"))
	case preflight.Unknown(peer):
	case kind == "CIDR_BLOCK" || kind == "":
		if p, err := netip.ParsePrefix(preflight.Text(peer)); err != nil || p.Masked() != p {
			wrong(side, "must be a range such as 10.0.0.0/16, got %s", preflight.Show(peer))
		}
	case kind == "NETWORK_SECURITY_GROUP":
		if complaint := preflight.That(limits.OCIDOf("networksecuritygroup"))(peer); complaint != "" {
			wrong(side, "%s", complaint)
		}
	}
	for options, needs := range map[string]string{"tcpOptions": "6", "udpOptions": "17", "icmpOptions": "1"} {
		if got := preflight.TextAt(r, "protocol"); !preflight.Property(r, options).IsNull() && got != needs {
			wrong(options, "must not be set for protocol %q, only for %q", got, needs)
		}
	}
	for _, options := range []string{"tcpOptions", "udpOptions"} {
		for _, ends := range []string{"destinationPortRange", "sourcePortRange"} {
			ports := options + "." + ends
			if preflight.Property(r, ports).IsNull() {
				continue
			}
			low, high := preflight.NumberAt(r, ports+".min"), preflight.NumberAt(r, ports+".max")
			if low < 1 || high > 65535 || low > high {
				wrong(ports, "must be a range within 1 to 65535, got %d-%d", low, high)
			}
		}
	}
}

// checkLaunch: a flexible shape needs its size, with 1 to 64 GB for each OCPU (OCI's
// documents, "Flexible shapes"), and the metadata has a limit.
func checkLaunch(r recorder.Resource, wrong preflight.Wrong) {
	const details = "instanceDetails.launchDetails."
	shape, config := preflight.TextAt(r, details+"shape"), preflight.Property(r, details+"shapeConfig")
	if strings.HasSuffix(shape, ".Flex") {
		if config.IsNull() {
			wrong(details+"shapeConfig", "must be set for the flexible shape %s", shape)
		} else {
			ocpus, memory := preflight.Property(r, details+"shapeConfig.ocpus"), preflight.Property(r, details+"shapeConfig.memoryInGbs")
			switch {
			case !ocpus.IsNumber() || ocpus.NumberValue() < 1:
				wrong(details+"shapeConfig.ocpus", "must be at least 1 for shape %s, got %s", shape, preflight.Show(ocpus))
			case memory.IsNumber() && (memory.NumberValue() < ocpus.NumberValue() || memory.NumberValue() > 64*ocpus.NumberValue()):
				wrong(details+"shapeConfig.memoryInGbs", "must be %s to %g for %s OCPUs of shape %s, got %s",
					preflight.Show(ocpus), 64*ocpus.NumberValue(), preflight.Show(ocpus), shape, preflight.Show(memory))
			}
		}
	}
	if metadata := preflight.Property(r, details+"metadata"); metadata.IsObject() {
		size := 0
		for key, value := range metadata.ObjectValue() {
			size += len(key) + len(preflight.Text(preflight.Open(value)))
		}
		if size > limits.MaxMetadata {
			wrong(details+"metadata", "must be at most %d bytes, encoded, got %d", limits.MaxMetadata, size)
		}
	}
}
