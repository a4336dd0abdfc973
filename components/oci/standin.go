package oci

import "strings"

// StandInID gives something that is named, not numbered, an OCID: looking it up is the cloud's.
func StandInID(id *string, kind string) {
	if prefix := "ocid1." + kind + "."; !strings.HasPrefix(*id, prefix) {
		*id = prefix + "lookedup"
	}
}

// anyName is the name of no subnet that there is.
const anyName = "(any)"

// AnySubnet answers for every subnet of a VCN that it is large, and may have public addresses.
func AnySubnet(vcn string) func() map[string]any {
	return func() map[string]any {
		return map[string]any{"vcnId": vcn, "cidrBlock": "10.0.0.0/8", "prohibitPublicIpOnVnic": false, "displayName": anyName}
	}
}
