package components

import (
	"errors"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// tenancy is a made-up one: two networks called "twin", one "iot" with two
// subnets, one of them small.
func tenancy(token string, args resource.PropertyMap) (map[string]any, error) {
	text := func(key resource.PropertyKey) string {
		if v := args[key]; v.IsString() {
			return v.StringValue()
		}
		return ""
	}
	named := func(all ...map[string]any) []any {
		found := []any{}
		for _, x := range all {
			if name := text("displayName"); (name == "" || name == x["displayName"]) && (text("vcnId") == "" || text("vcnId") == x["vcnId"]) {
				found = append(found, x)
			}
		}
		return found
	}
	public := map[string]any{
		"displayName": "public", "id": "ocid1.subnet.oc1..public", "vcnId": "ocid1.vcn.oc1..iot", "cidrBlock": "10.0.0.0/30",
	}
	private := map[string]any{
		"displayName": "private", "id": "ocid1.subnet.oc1..private", "vcnId": "ocid1.vcn.oc1..iot", "cidrBlock": "10.0.1.0/28",
		"prohibitPublicIpOnVnic": true,
	}
	tiny := map[string]any{
		"displayName": "tiny", "id": "ocid1.subnet.oc1..tiny", "vcnId": "ocid1.vcn.oc1..twin1", "cidrBlock": "10.1.0.0/31",
		"ipv4cidrBlocks": []any{"10.1.0.0/31", "10.1.2.0/31"}, "prohibitPublicIpOnVnic": true,
	}
	switch token {
	case "oci:Core/getInstancePools:getInstancePools":
		return map[string]any{"instancePools": []any{}}, nil
	case "oci:Core/getVcns:getVcns":
		return map[string]any{"virtualNetworks": named(
			map[string]any{"displayName": "iot", "id": "ocid1.vcn.oc1..iot"},
			map[string]any{"displayName": "twin", "id": "ocid1.vcn.oc1..twin2"},
			map[string]any{"displayName": "twin", "id": "ocid1.vcn.oc1..twin1"},
		)}, nil
	case "oci:Core/getSubnets:getSubnets":
		return map[string]any{"subnets": named(public, private, tiny)}, nil
	case "oci:Core/getSubnet:getSubnet":
		for _, s := range []map[string]any{public, private, tiny} {
			if s["id"] == text("subnetId") {
				return s, nil
			}
		}
	}
	return nil, errors.New("404-NotAuthorizedOrNotFound")
}

// findFor is what a program of n nodes makes of a network.
func findFor(t *testing.T, n int, given settings.Network, public bool) error {
	t.Helper()
	s := settings.Settings{Environment: "test", Cloud: "oci", OCI: settings.OCI{Compartment: "ocid1.compartment.oc1..c", AvailabilityDomains: []string{"AD-1"}}, Network: given}
	s.Nodes.Count, s.Edge.Kind, s.Edge.Public = n, "network", public
	_, err := recorder.Run(func(ctx *pulumi.Context) error {
		k := kinds.Of(s)
		in := seams.Given{Name: "emqx", Settings: s}
		if _, err := newProviders(ctx, &in, k); err != nil {
			return err
		}
		_, _, err := find(ctx, in, k)
		return err
	}, recorder.Options{Call: tenancy, Preview: true})
	return err
}

func TestNetworkByNameAndByOCID(t *testing.T) {
	for _, given := range []settings.Network{
		{VCN: "iot", PublicSubnet: "public", PrivateSubnet: "private"},
		{VCN: "ocid1.vcn.oc1..iot", PublicSubnet: "public", PrivateSubnet: "ocid1.subnet.oc1..private"},
		{VCN: "iot", PublicSubnet: "ocid1.subnet.oc1..public", PrivateSubnet: "private", PrivateSubnetCIDR: "10.0.1.0/28"},
	} {
		assert.NilError(t, findFor(t, 3, given, true))
	}
	// A balancer without a public address is at home in a private subnet.
	assert.NilError(t, findFor(t, 3, settings.Network{VCN: "iot", PublicSubnet: "private", PrivateSubnet: "private"}, false))
}

func TestNetworkThatDoesNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		nodes int
		given settings.Network
		says  []string
	}{
		"no such names": {3, settings.Network{VCN: "iot", PublicSubnet: "Public", PrivateSubnet: "tiny"}, []string{
			`emqx-oci:network.privateSubnet: must be the OCID or the name of a subnet in compartment ocid1.compartment.oc1..c, got "tiny"; there are "private", "public"`,
			`emqx-oci:network.publicSubnet: must be the OCID or the name of a subnet in compartment ocid1.compartment.oc1..c, got "Public"; there are "private", "public"`,
		}},
		"two of a name": {3, settings.Network{VCN: "twin", PublicSubnet: "public", PrivateSubnet: "ocid1.subnet.oc1..gone"}, []string{
			`emqx-oci:network.privateSubnet: must be a subnet that can be read, got "ocid1.subnet.oc1..gone": 404-NotAuthorizedOrNotFound`,
			`emqx-oci:network.vcn: must name one VCN, got "twin", which 2 have; give an OCID: ocid1.vcn.oc1..twin1 or ocid1.vcn.oc1..twin2`,
		}},
		"empty network": {3, settings.Network{VCN: "ocid1.vcn.oc1..twin2", PublicSubnet: "public", PrivateSubnet: "ocid1.subnet.oc1..private"}, []string{
			`emqx-oci:network.privateSubnet: must be in network.vcn (ocid1.vcn.oc1..twin2), got "ocid1.subnet.oc1..private", which is in ocid1.vcn.oc1..iot`,
			`emqx-oci:network.publicSubnet: must be the OCID or the name of a subnet in compartment ocid1.compartment.oc1..c, got "public"; there is none`,
		}},
		// 2^(32-28) - 3 = 13 addresses are enough for 6 nodes.
		"too many nodes": {7, settings.Network{VCN: "iot", PublicSubnet: "private", PrivateSubnet: "private", PrivateSubnetCIDR: "10.0.1.0/24"}, []string{
			`emqx-oci:network.privateSubnet: must have 15 addresses for 7 nodes, two for each and one for an instance in relaunch, got 10.0.1.0/28 with 13`,
			`emqx-oci:network.privateSubnetCidr: must be the private subnet's range 10.0.1.0/28, got "10.0.1.0/24"`,
			`emqx-oci:network.publicSubnet: must allow public addresses, which the balancer has, got "private", a private subnet`,
		}},
		"no room for the balancer": {1, settings.Network{VCN: "ocid1.vcn.oc1..twin1", PublicSubnet: "tiny", PrivateSubnet: "tiny"}, []string{
			`emqx-oci:network.privateSubnet: must have 3 addresses for 1 nodes, two for each and one for an instance in relaunch, got 10.1.0.0/31 and 10.1.2.0/31 with 0`,
			`emqx-oci:network.publicSubnet: must allow public addresses, which the balancer has, got "tiny", a private subnet`,
			`emqx-oci:network.publicSubnet: must have an address for the balancer, got 10.1.0.0/31 and 10.1.2.0/31 with none`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			err := findFor(t, c.nodes, c.given, true)
			var faults *fault.Error
			assert.Assert(t, errors.As(err, &faults), "got %v", err)
			var got []string
			for _, f := range faults.Faults {
				got = append(got, f.String())
			}
			assert.DeepEqual(t, got, c.says)
		})
	}
	err := findFor(t, 6, settings.Network{VCN: "iot", PublicSubnet: "public", PrivateSubnet: "private"}, true)
	assert.NilError(t, err)
}

// One wrong compartment is one fault, before anything is registered.
func TestACompartmentThatIsNotThere(t *testing.T) {
	s := settings.Settings{Environment: "test", Cloud: "oci", Edge: settings.Edge{Kind: "network"}, OCI: settings.OCI{Region: "eu-frankfurt-1", Compartment: "ocid1.compartment.oc1..typo"}}
	for answer, want := range map[string]string{
		"404-NotAuthorizedOrNotFound, Authorization failed or requested resource not found": `emqx-oci:oci.compartment: must be a compartment of eu-frankfurt-1 in which the deployer may list instance pools, got "ocid1.compartment.oc1..typo": `,
		"can not create client, bad configuration":                                          `asking OCI for the instance pools of compartment "ocid1.compartment.oc1..typo": `,
	} {
		var refused error
		r, err := recorder.Run(func(ctx *pulumi.Context) error {
			_, refused = DeclareCluster(WithoutGates(ctx), "emqx", s)
			return refused
		}, recorder.Options{Preview: true, Call: func(string, resource.PropertyMap) (map[string]any, error) { return nil, errors.New(answer) }})
		assert.Assert(t, err != nil)
		assert.ErrorContains(t, refused, want)
		assert.ErrorContains(t, refused, answer)
		for _, x := range r.Resources {
			assert.Assert(t, strings.HasPrefix(x.Type, "pulumi:") || x.Type == ClusterType, x.Type)
		}
	}
}
