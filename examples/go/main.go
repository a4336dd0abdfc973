// A program of one's own with a whole cluster in it, on the lab: see docs/tasks/use-as-a-component.md.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"

	"github.com/emqx-oci/emqx-oci/components"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
		secret, door := config.New(ctx, "").RequireSecret, config.Require(ctx, "door")
		iot, err := components.NewCluster(ctx, "iot", &components.ClusterArgs{
			OCI: components.OCIArgs{Region: "lab-1", Compartment: "ocid1.compartment.oc1..lab"},
			Network: components.NetworkArgs{
				VCN: "ocid1.vcn.oc1.lab-1.lab", PublicSubnet: "ocid1.subnet.oc1.lab-1.public", PrivateSubnet: "ocid1.subnet.oc1.lab-1.private",
				ClientCIDRs: []string{"203.0.113.0/24"}, ServerCIDRs: []string{"10.80.2.0/24"},
			},
			Nodes:  components.NodesArgs{Image: "ocid1.image.oc1.lab-1.lab", OCPUs: new(1.0), MemoryGB: new(4.0)},
			Broker: &components.BrokerArgs{CPU: new(300), MemoryMB: new(512), NoFile: new(16384), MinHealthyTime: new("3s"), ShutdownDelay: new("5s")},
			Proxy:  &components.ProxyArgs{CPU: new(200), NoFile: new(16384), MinHealthyTime: new("3s"), ShutdownDelay: new("5s")},
			DNS:    components.DNSArgs{Zone: "lab.test", Name: "mqtt.lab.test"},
			Nomad:  components.NomadArgs{Address: "http://" + door + ":4646", Servers: []string{"10.80.2.10:4647"}},
			Consul: components.ConsulArgs{Address: "http://" + door + ":8500", Servers: []string{"10.80.2.10"}},
			Auth:   &components.AuthArgs{Anonymous: new(true)},
			Gates:  &components.GatesArgs{Proxy: new("socks5h://" + door + ":1080")},
			Secrets: components.SecretsArgs{
				ErlangCookie: secret("erlangCookie"), DashboardPassword: secret("dashboardPassword"),
				APIKey: secret("apiKey"), APISecret: secret("apiSecret"), StatsPassword: secret("statsPassword"),
			},
		})
		if err != nil {
			return err
		}
		ctx.Export("endpoints", iot.Endpoints)
		return nil
	})
}
