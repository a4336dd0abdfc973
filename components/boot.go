package components

import (
	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// bootArgs are what a node is told at its first start. Each comes from the
// settings: an output of the cloud among them would replace every instance
// configuration in every preview.
func bootArgs(s settings.Settings) oci.BootArgs {
	return oci.BootArgs{
		Environment:   s.Environment,
		Datacenter:    s.Nomad.Datacenter,
		Region:        s.Nomad.Region,
		ConsulServers: s.Consul.Servers,
		NomadServers:  s.Nomad.Servers,
		ConsulVersion: s.Consul.Version,
		NomadVersion:  s.Nomad.Version,
		RegistryAuth:  s.Nodes.RegistryAuth,
		Ports:         s.Ports.Cluster(),
		// Docker's limit caps what each of the two containers asks for.
		NoFile: max(s.Broker.NoFile, s.Proxy.NoFile),
	}
}
