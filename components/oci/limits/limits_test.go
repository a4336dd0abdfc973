package limits

import (
	"net/netip"
	"testing"

	"gotest.tools/v3/assert"
)

// OCI keeps three addresses of every range.
func TestAddressesOfASubnet(t *testing.T) {
	for cidr, want := range map[string]int{
		"10.0.0.0/24": 253, "10.0.0.0/28": 13, "10.0.0.0/29": 5, "10.0.0.0/30": 1, "10.0.0.0/31": 0, "10.0.0.1/32": 0,
	} {
		assert.Equal(t, AddressesUsable(netip.MustParsePrefix(cidr)), want, cidr)
	}
	assert.Equal(t, AddressesNeeded(3), 7)
	assert.Assert(t, AddressesNeeded(6) <= AddressesUsable(netip.MustParsePrefix("10.0.0.0/28")))
	assert.Assert(t, AddressesNeeded(7) > AddressesUsable(netip.MustParsePrefix("10.0.0.0/28")))
}

// A realm is part of every OCID.
func TestVaultSecret(t *testing.T) {
	for id, is := range map[string]bool{
		"ocid1.vaultsecret.oc1.eu-frankfurt-1.amaaaa": true, "ocid1.vaultsecret.oc1..amaaaa": true,
		"ocid1.vaultsecret..eu-frankfurt-1.amaaaa": false, "ocid1.vault.oc1..amaaaa": false, "fra.ocir.io": false,
	} {
		assert.Equal(t, IsVaultSecret(id), is, id)
	}
}

// Names, tags and descriptions are labels, with all that is inside them; what only begins alike is none.
func TestLabels(t *testing.T) {
	for path, is := range map[string]bool{
		"displayName": true, "freeformTags.emqx": true, `definedTags["a.b"]`: true, "description": true,
		"displayNameX": false, "shape": false, "launchDetails.displayName": false,
	} {
		assert.Equal(t, IsLabel(path), is, path)
	}
}
