package components

import (
	"strconv"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/consul"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/components/proxy/haproxy"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// What each component gets of the settings; nothing is decided here.

func groupsArgs(s settings.Settings, listeners []cluster.Listener) *oci.SecurityGroupsArgs {
	return &oci.SecurityGroupsArgs{
		Environment:    s.Environment,
		CompartmentID:  s.OCI.Compartment,
		VCNID:          s.Network.VCN,
		ClientCIDRs:    s.Network.ClientCIDRs,
		ServerCIDRs:    s.Network.ServerCIDRs,
		Listeners:      listeners,
		AdminPort:      s.Ports.Admin,
		DashboardCIDRs: s.Network.DashboardCIDRs,
		Tags:           s.Tags,
	}
}

func volumesArgs(s settings.Settings, places []cluster.Node) *oci.VolumesArgs {
	sizes := make([]int, len(places))
	for i := range places {
		sizes[i] = s.VolumeSizeGB(i)
	}
	return &oci.VolumesArgs{
		Environment:    s.Environment,
		CompartmentID:  s.OCI.Compartment,
		Nodes:          places,
		SizesGB:        sizes,
		VPUsPerGB:      &s.Volumes.VPUsPerGB,
		BackupPolicyID: s.Volumes.BackupPolicy,
		Restore:        byIndex(s.Volumes.Restore),
		Adopt:          byIndex(s.Volumes.Adopt),
		Protect:        s.Volumes.Protect,
		Retain:         s.Volumes.Retain,
		Tags:           s.Tags,
	}
}

// byIndex has the keys as numbers, which the settings' checks have seen to be some.
func byIndex(byNode map[string]string) map[int]string {
	out := map[int]string{}
	for key, value := range byNode {
		if i, err := strconv.Atoi(key); err == nil {
			out[i] = value
		}
	}
	return out
}

func addressesArgs(s settings.Settings, nodes []cluster.Node) *oci.AddressesArgs {
	return &oci.AddressesArgs{
		Environment: s.Environment,
		SubnetID:    s.Network.PrivateSubnet,
		Nodes:       nodes,
		Tags:        s.Tags,
	}
}

func poolsArgs(
	s settings.Settings, nodes []cluster.Node, groups *oci.SecurityGroups, volumes *oci.Volumes, addresses *oci.Addresses,
	there *oci.CompartmentPools, inTurn func([]cluster.Node, func(cluster.Node) error) error,
) *oci.InstancePoolsArgs {
	needs := make([][]pulumi.Resource, len(nodes))
	for i := range nodes {
		needs[i] = append([]pulumi.Resource{volumes.Each[i], addresses.Each[i]}, groups.Each...)
	}
	return &oci.InstancePoolsArgs{
		Environment:         s.Environment,
		CompartmentID:       s.OCI.Compartment,
		SubnetID:            s.Network.PrivateSubnet,
		ImageID:             s.Nodes.Image,
		Shape:               s.Nodes.Shape,
		SecurityGroupID:     groups.NodesID,
		Nodes:               nodes,
		Boot:                bootArgs(s),
		OCPUs:               s.Nodes.OCPUs,
		MemoryGB:            s.Nodes.MemoryGB,
		BootVolumeGB:        s.Nodes.BootVolumeGB,
		BootVolumeVPUsPerGB: s.Nodes.BootVolumeVPUsPerGB,
		InTurn:              inTurn,
		Needs:               needs,
		Pools:               there,
		SSHKey:              s.Nodes.SSHKey,
		Tags:                s.Tags,
	}
}

func balancerArgs(
	s settings.Settings, nodes []cluster.Node, listeners []cluster.Listener, groups *oci.SecurityGroups, addresses *oci.Addresses,
) *oci.LoadBalancerArgs {
	backends := make([]oci.Backend, len(nodes))
	for i, n := range nodes {
		backends[i] = oci.Backend{Name: n.Name}
		if s.Edge.Backend == "privateIp" {
			backends[i].TargetID = addresses.ID(i)
		} else {
			backends[i].Address = addresses.IP(i)
		}
	}
	return &oci.LoadBalancerArgs{
		Environment:     s.Environment,
		CompartmentID:   s.OCI.Compartment,
		SubnetID:        s.Network.PublicSubnet,
		SecurityGroupID: groups.BalancerID,
		Listeners:       listeners,
		Backends:        backends,
		Health: oci.HealthCheck{
			Port:            s.Ports.Admin,
			IntervalSeconds: int(s.Edge.HealthInterval.Seconds()),
			TimeoutSeconds:  int(s.Edge.HealthTimeout.Seconds()),
			Retries:         s.Edge.HealthRetries,
		},
		Private: !s.Edge.Public,
		Tags:    s.Tags,
	}
}

func secretsArgs(s settings.Settings) *nomad.SecretsArgs {
	emqx := map[string]string{
		nomad.ItemErlangCookie:      s.Secrets.ErlangCookie.Reveal(),
		nomad.ItemDashboardPassword: s.Secrets.DashboardPassword.Reveal(),
		nomad.ItemAPIKey:            s.Secrets.APIKey.Reveal(),
		nomad.ItemAPISecret:         s.Secrets.APISecret.Reveal(),
	}
	if s.TLS.Enabled() {
		emqx[nomad.ItemTLSCert] = s.TLS.Certificate.Reveal()
		emqx[nomad.ItemTLSKey] = s.TLS.PrivateKey.Reveal()
		emqx[nomad.ItemTLSCA] = s.TLS.Authority().Reveal()
	}
	if s.Secrets.License != "" {
		emqx[nomad.ItemLicenseKey] = s.Secrets.License.Reveal()
	}
	if env := revealed(s.Broker.SecretEnv); len(env) > 0 {
		emqx[nomad.ItemEnvironment] = nomad.Environment(env)
	}
	return &nomad.SecretsArgs{
		Environment: s.Environment,
		Namespace:   s.Nomad.Namespace,
		EMQX:        emqx,
		Proxy: &nomad.JobSecrets{
			JobID: cluster.HAProxyJobID(s.Environment),
			Name:  "haproxy",
			Items: map[string]string{
				haproxy.ItemStatsUser:     "stats",
				haproxy.ItemStatsPassword: s.Secrets.StatsPassword.Reveal(),
			},
			Check: haproxy.CheckSecrets,
		},
		TLS:     s.TLS.Enabled(),
		License: s.Secrets.License != "",
	}
}

func membersArgs(s settings.Settings, nodes []cluster.Node) *consul.MembersArgs {
	return &consul.MembersArgs{
		Environment: s.Environment,
		Nodes:       cluster.Names(nodes),
		Datacenter:  s.Consul.Datacenter,
	}
}

func entriesArgs(s settings.Settings, listeners []cluster.Listener) *consul.EntriesArgs {
	return &consul.EntriesArgs{
		Environment: s.Environment,
		Size:        s.Nodes.Count,
		Version:     s.Broker.Image,
		Endpoints:   endpoints(s, listeners),
		Datacenter:  s.Consul.Datacenter,
	}
}

func emqxArgs(s settings.Settings, opts ...pulumi.ResourceOption) *nomad.EMQXArgs {
	return &nomad.EMQXArgs{
		EMQXVars: nomad.EMQXVars{
			Environment:    s.Environment,
			Datacenter:     s.Nomad.Datacenter,
			Region:         s.Nomad.Region,
			Namespace:      s.Nomad.Namespace,
			NodeCount:      s.Nodes.Count,
			Image:          s.Broker.Image,
			CPU:            s.Broker.CPU,
			MemoryMB:       s.Broker.MemoryMB,
			KeepAliveMax:   s.Broker.KeepAliveMax,
			NoFile:         s.Broker.NoFile,
			Ports:          s.Ports.Cluster(),
			MaxConnections: s.Broker.MaxConnections,
			DrainRate:      s.Broker.Drain.Rate,
			DrainTimeout:   s.Broker.Drain.Timeout,
			Env:            s.Broker.Env,
			SecretEnv:      nomad.EnvironmentDigest(revealed(s.Broker.SecretEnv), s.Secrets.ErlangCookie.Reveal()),
			TLS:            s.TLS.Enabled(),
			License:        s.Secrets.License != "",
			Times:          times(s.Broker.ShutdownDelay, s.Broker.KillTimeout, s.Broker.Rollout),
		},
		ChildOptions: opts,
	}
}

func haproxyArgs(s settings.Settings, opts ...pulumi.ResourceOption) *haproxy.Args {
	return &haproxy.Args{
		Vars: haproxy.Vars{
			Environment:  s.Environment,
			Datacenter:   s.Nomad.Datacenter,
			Region:       s.Nomad.Region,
			Namespace:    s.Nomad.Namespace,
			NodeCount:    s.Nodes.Count,
			Image:        s.Proxy.Image,
			CPU:          s.Proxy.CPU,
			MemoryMB:     s.Proxy.MemoryMB,
			MaxConn:      s.Proxy.MaxConn,
			NoFile:       s.Proxy.NoFile,
			KeepAliveMax: s.Broker.KeepAliveMax,

			MaxConnPerSource: s.Proxy.MaxConnPerSource,

			Ports: s.Ports.Cluster(),
			TLS:   s.TLS.Enabled(),
			Times: times(s.Proxy.ShutdownDelay, s.Proxy.KillTimeout, s.Proxy.Rollout),
		},
		ChildOptions: opts,
	}
}

func listenersArgs(
	s settings.Settings, balancer *oci.LoadBalancer, listeners []cluster.Listener, opts ...pulumi.ResourceOption,
) *oci.ListenersArgs {
	return &oci.ListenersArgs{
		Balancer:           balancer,
		Listeners:          listeners,
		IdleTimeoutSeconds: cluster.IdleTimeout(s.Broker.KeepAliveMax),
		ChildOptions:       opts,
	}
}

func recordArgs(s settings.Settings, balancer *oci.LoadBalancer, opts ...pulumi.ResourceOption) *oci.DNSRecordArgs {
	return &oci.DNSRecordArgs{
		Zone:         s.DNS.Zone,
		ViewID:       s.DNS.View,
		Name:         s.DNS.Name,
		Address:      balancer.Address,
		TTLSeconds:   s.DNS.TTL,
		ChildOptions: opts,
	}
}

func times(shutdownDelay, killTimeout time.Duration, r settings.Rollout) cluster.Times {
	return cluster.Times{
		ShutdownDelay:    shutdownDelay,
		KillTimeout:      killTimeout,
		MinHealthyTime:   r.MinHealthyTime,
		HealthyDeadline:  r.HealthyDeadline,
		ProgressDeadline: r.ProgressDeadline,
	}
}

func revealed(secrets map[string]settings.Secret) map[string]string {
	values := make(map[string]string, len(secrets))
	for name, value := range secrets {
		values[name] = value.Reveal()
	}
	return values
}
