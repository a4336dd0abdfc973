package ocidns

import (
	"fmt"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/recorder/recordertest"
)

func TestDNSRecord(t *testing.T) {
	r := recordertest.Build(t, func(ctx *pulumi.Context) error {
		_, err := NewDNSRecord(ctx, "dns", &DNSRecordArgs{Zone: "example.com", Name: "mqtt.example.com", Address: pulumi.String("198.51.100.1")})
		return err
	}, recorder.Options{})
	record, ok := r.Find("Rrset", "dns")
	assert.Assert(t, ok)
	assert.Equal(t, fmt.Sprint(record.Inputs["items"].ArrayValue()[0].ObjectValue().Mappable()),
		"map[domain:mqtt.example.com rdata:198.51.100.1 rtype:A ttl:60]")
	assert.Equal(t, record.Inputs["zoneNameOrId"].StringValue(), "example.com")
	assert.Assert(t, !record.Inputs.HasValue("scope") && !record.Inputs.HasValue("viewId"))
	r = recordertest.Build(t, func(ctx *pulumi.Context) error {
		_, err := NewDNSRecord(ctx, "dns", &DNSRecordArgs{
			Zone: "example.com", Name: "mqtt.example.com", Address: pulumi.String("10.0.0.1"), ViewID: "ocid1.dnsview.oc1..example",
		})
		return err
	}, recorder.Options{})
	record, _ = r.Find("Rrset", "dns")
	assert.Equal(t, record.Inputs["scope"].StringValue(), "PRIVATE")
	assert.Equal(t, record.Inputs["viewId"].StringValue(), "ocid1.dnsview.oc1..example")
	recordertest.Refuses(t, func(ctx *pulumi.Context) error {
		_, err := NewDNSRecord(ctx, "dns", &DNSRecordArgs{Zone: "example.com", Name: "mqtt.example.org", TTLSeconds: 604801})
		return err
	}, "address", "name", "ttlSeconds")
}
