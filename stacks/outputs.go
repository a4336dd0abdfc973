package stacks

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// outputs are what people and other programs need next.
func outputs(s settings.Settings, c *components.Cluster) pulumi.Map {
	tls := "on: mqtts and wss end at the proxies with the stack's certificate"
	if s.TLS.AtBroker() {
		tls = "on: mqtts and wss pass through to EMQX with the stack's certificate"
	}
	if !s.TLS.Enabled() {
		tls = fmt.Sprintf("off: the stack has no certificate, so mqtts (%d) and wss (%d) do not exist; "+
			"set emqx-oci:tls.certificate and emqx-oci:tls.privateKey to have them", s.Ports.MQTTS, s.Ports.WSS)
	}
	return pulumi.Map{
		"endpoints":         c.Endpoints,
		"tls":               pulumi.String(tls),
		"anonymous":         pulumi.Bool(s.Auth.Anonymous),
		"dnsName":           c.DNSName,
		"balancerAddress":   c.BalancerAddress,
		"nodeNames":         c.NodeNames,
		"jobNames":          c.JobNames,
		"dashboardAddress":  c.DashboardAddress,
		"dashboardUser":     pulumi.String("admin"),
		"dashboardPassword": s.Secrets.DashboardPassword.Output(),
		"apiKey":            s.Secrets.APIKey.Output(),
		"apiSecret":         s.Secrets.APISecret.Output(),
		"statsPassword":     s.Secrets.StatsPassword.Output(),
		"verified":          c.Verified,
	}
}
