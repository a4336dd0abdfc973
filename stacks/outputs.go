package stacks

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/stacks/settings"
)

// endpoints are the URLs that clients are given, by protocol. They are known at
// plan time: the name is the stack's, whatever address the balancer gets.
func endpoints(s settings.Settings, listeners []cluster.Listener) map[string]string {
	urls := map[string]string{}
	for _, l := range listeners {
		urls[l.Name] = fmt.Sprintf("%s://%s:%d%s", l.Scheme, s.DNS.Name, l.Port, l.Path)
	}
	return urls
}

// outputs are what people and other programs need next.
func outputs(
	s settings.Settings, nodes []cluster.Node, listeners []cluster.Listener,
	balancer *oci.LoadBalancer, record *oci.DNSRecord, verified pulumi.StringOutput,
) pulumi.Map {
	tls := "on: mqtts and wss pass through to EMQX with the stack's certificate"
	if !s.TLS.Enabled() {
		tls = fmt.Sprintf("off: the stack has no certificate, so mqtts (%d) and wss (%d) do not exist; "+
			"set emqx-oci:tls.certificate and emqx-oci:tls.privateKey to have them", s.Ports.MQTTS, s.Ports.WSS)
	}
	return pulumi.Map{
		"endpoints":       pulumi.ToStringMap(endpoints(s, listeners)),
		"tls":             pulumi.String(tls),
		"dnsName":         record.Name,
		"balancerAddress": balancer.Address,
		"nodeNames":       pulumi.ToStringArray(cluster.Names(nodes)),
		"jobNames": pulumi.StringMap{
			"emqx":    pulumi.String(cluster.EMQXJobID(s.Environment)),
			"haproxy": pulumi.String(cluster.HAProxyJobID(s.Environment)),
		},
		// Inside the network only: the dashboard is not opened to the internet.
		"dashboardAddress":  pulumi.Sprintf("http://%s:%d", cluster.ServiceName(s.Environment, cluster.DashboardService), cluster.Dashboard),
		"dashboardUser":     pulumi.String("admin"),
		"dashboardPassword": s.Secrets.DashboardPassword.Output(),
		"apiKey":            s.Secrets.APIKey.Output(),
		"apiSecret":         s.Secrets.APISecret.Output(),
		"statsPassword":     s.Secrets.StatsPassword.Output(),
		"verified":          verified,
	}
}
