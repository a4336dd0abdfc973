package progress

import "strings"

// phases names what a resource belongs to, by the module and the name in its type token. First match wins.
var phases = []struct{ prefix, name string }{
	{"oci:Core/volume", "volumes"},
	{"oci:Core/privateIp", "addresses"},
	{"oci:Core/networkSecurityGroup", "security groups"},
	{"oci:Core/instance", "nodes"},
	{"oci:NetworkLoadBalancer/", "load balancer"},
	{"oci:LoadBalancer/", "load balancer"},
	{"oci:Dns/", "dns"},
	{"nomad:index/job:", "jobs"},
	{"nomad:index/variable:", "secrets"},
	{"random:", "secrets"},
	{"tls:", "secrets"},
	{"consul:", "catalog"},
}

// gatesPhase is where a gate stands that no resource waits for.
const gatesPhase = "gates"

// Phase is the part of the deployment that a resource type belongs to.
func Phase(typ string) string {
	for _, p := range phases {
		if strings.HasPrefix(typ, p.prefix) {
			return p.name
		}
	}
	provider, _, _ := strings.Cut(typ, ":")
	return provider
}
