package stacks

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// outputs are what people and other programs need next.
func outputs(s settings.Settings, c *components.Cluster) pulumi.Map {
	var ended []string
	for _, l := range s.Offered() {
		if l.TLS {
			ended = append(ended, l.Name)
		}
	}
	where := [2]string{"ends at the proxies", "end at the proxies"}
	if s.TLS.AtBroker() {
		where = [2]string{"passes through to EMQX", "pass through to EMQX"}
	}
	tls := fmt.Sprintf("on: %s %s with the stack's certificate", strings.Join(ended, " and "), where[min(1, max(0, len(ended)-1))])
	if len(ended) == 0 {
		tls = "off: listeners.mqtts.open and listeners.wss.open are none"
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
