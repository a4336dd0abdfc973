package cloud

import "net/netip"

// The fixed tenancy: what the stack is given and does not make. Programs of the
// lab's stack file refer to these, so they never change.
const (
	Region        = "lab-1"
	CompartmentID = "ocid1.compartment.oc1..lab"
	TenancyID     = "ocid1.tenancy.oc1..lab"
	VCNID         = "ocid1.vcn.oc1.lab-1.lab"
	PrivateSubnet = "ocid1.subnet.oc1.lab-1.private"
	PublicSubnet  = "ocid1.subnet.oc1.lab-1.public"
	ImageID       = "ocid1.image.oc1.lab-1.lab"
	ZoneName      = "lab.test"
	SecretID      = "ocid1.vaultsecret.oc1.lab-1.registries"
	// CertificateSecretID is a secret that has no version until somebody makes one ([Cloud.PutSecret]).
	CertificateSecretID = "ocid1.vaultsecret.oc1.lab-1.certificate"

	// Registries is that secret: what docker login writes where there is no login.
	Registries = `{"auths":{}}`

	// fixedCreated is the timeCreated of what was there before the lab.
	fixedCreated = "2025-01-01T00:00:00Z"
)

// AvailabilityDomains are the region's three, in OCI's order.
var AvailabilityDomains = []string{"LAB:AD-1", "LAB:AD-2", "LAB:AD-3"}

// subnet is one of the two that the VCN has.
type subnet struct {
	id, name string
	prefix   netip.Prefix
	router   netip.Addr
	public   bool
}

var subnets = []subnet{
	{PrivateSubnet, "private", netip.MustParsePrefix("10.80.1.0/24"), netip.MustParseAddr("10.80.1.1"), false},
	{PublicSubnet, "public", netip.MustParsePrefix("10.80.0.0/24"), netip.MustParseAddr("10.80.0.1"), true},
}

// view is how OCI shows a subnet.
func (s subnet) view() Props {
	return Props{
		"id": s.id, "compartmentId": CompartmentID, "vcnId": VCNID, "displayName": s.name,
		"cidrBlock": s.prefix.String(), "ipv4cidrBlocks": []any{s.prefix.String()}, "virtualRouterIp": s.router.String(),
		"virtualRouterMac": "00:00:17:00:00:01", "prohibitPublicIpOnVnic": !s.public, "prohibitInternetIngress": !s.public,
		"availabilityDomain": "", "dnsLabel": s.name, "subnetDomainName": s.name + ".lab.oraclevcn.com", "state": available,
		"securityListIds": []any{}, "routeTableId": "ocid1.routetable.oc1." + Region + "." + s.name,
		"dhcpOptionsId": "ocid1.dhcpoptions.oc1." + Region + ".lab", "ipv6cidrBlock": "", "ipv6cidrBlocks": []any{},
		"ipv6virtualRouterIp": "", "definedTags": Props{}, "freeformTags": Props{}, "timeCreated": fixedCreated,
	}
}

// VCNName is the display name of the network.
const VCNName = "lab"

// vcnView is how OCI shows the network.
func vcnView() Props {
	return Props{
		"id": VCNID, "compartmentId": CompartmentID, "displayName": VCNName, "cidrBlock": vcnPrefix.String(),
		"cidrBlocks": []any{vcnPrefix.String()}, "dnsLabel": VCNName, "vcnDomainName": VCNName + ".oraclevcn.com", "state": available,
		"defaultDhcpOptionsId": "ocid1.dhcpoptions.oc1." + Region + ".lab", "defaultRouteTableId": "ocid1.routetable.oc1." + Region + ".lab",
		"defaultSecurityListId": "ocid1.securitylist.oc1." + Region + ".lab", "isIpv6enabled": false,
		"isOracleGuaAllocationEnabled": false, "byoipv6cidrBlocks": []any{}, "byoipv6cidrDetails": []any{}, "ipv6cidrBlocks": []any{},
		"ipv6privateCidrBlocks": []any{}, "securityAttributes": Props{}, "definedTags": Props{}, "freeformTags": Props{},
		"timeCreated": fixedCreated,
	}
}

var vcnPrefix = netip.MustParsePrefix("10.80.0.0/16")

func findSubnet(id string) (subnet, bool) {
	for _, s := range subnets {
		if s.id == id {
			return s, true
		}
	}
	return subnet{}, false
}

func knownAD(name string) bool {
	for _, ad := range AvailabilityDomains {
		if ad == name {
			return true
		}
	}
	return false
}
