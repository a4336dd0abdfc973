package preflight

import (
	"net/netip"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// domains: a volume can be attached only inside its own availability domain.
func domains(in *input, r *report) {
	of := func(x recorder.Resource, name string) (index, domain string) {
		tag, _ := property(x, "freeformTags").V.(resource.PropertyMap)
		return text(open(tag[cluster.TagIndex])), text(property(x, name))
	}
	volumes, nodes := map[string]string{}, map[string]int{}
	for _, v := range in.kind(volumeType) {
		index, domain := of(v, "availabilityDomain")
		volumes[index] = domain
	}
	pools := in.kind(poolType)
	for _, pool := range pools {
		placed := property(pool, "placementConfigurations")
		index, _ := of(pool, "")
		if !placed.IsArray() {
			continue
		}
		for _, p := range placed.ArrayValue() {
			domain := ""
			if p = open(p); p.IsObject() {
				domain = text(open(p.ObjectValue()["availabilityDomain"]))
			}
			nodes[domain]++
			switch volume, ok := volumes[index]; {
			case !ok:
				r.errorf(path(pool, "freeformTags"), "must have the group-index of a volume, got %q: the node would wait for one for ever", index)
			case volume != domain:
				r.errorf(path(pool, "placementConfigurations"), "must be in the availability domain of the node's volume, %q, got %q", volume, domain)
			}
		}
	}
	if len(in.settings.OCI.AvailabilityDomains) == 0 || len(pools) < 3 {
		return // which there are is the cloud's to say
	}
	for domain, n := range nodes {
		if 2*n > len(pools) {
			r.warnf(setting("oci.availabilityDomains"), "should spread the nodes so that no domain holds most of them, got %d of %d in %q: when it goes, so do most sessions, and the rest has to take all clients",
				n, len(pools), domain)
		}
	}
}

func evenNodes(s settings.Settings, _ time.Time, r *report) {
	if n := s.Nodes.Count; n > 1 && n%2 == 0 {
		r.warnf(setting("nodes.count"), "should be odd, got %d: when the network splits the cluster in two halves, EMQX restarts one of them afterwards, and half of the sessions go", n)
	}
}

func singleNode(s settings.Settings, _ time.Time, r *report) {
	if s.Nodes.Count == 1 {
		r.warnf(setting("nodes.count"), "should be at least 3, got 1: every restart of the node is an outage, and its clients' sessions are lost")
	}
}

func subnetSize(s settings.Settings, _ time.Time, r *report) {
	p, err := netip.ParsePrefix(s.Network.PrivateSubnetCIDR)
	if err != nil || !p.Addr().Is4() {
		return // not given; a bad one is a fault of the settings
	}
	nodes := s.Nodes.Count
	need, usable := limits.AddressesNeeded(nodes), limits.AddressesUsable(p)
	if need > usable {
		r.errorf(setting("network.privateSubnetCidr"), "must have %d addresses for %d nodes (one for each instance, one reserved for each node, one spare), got %d in %s",
			need, nodes, usable, p)
	}
}

func backup(s settings.Settings, _ time.Time, r *report) {
	if s.Production() && s.Volumes.BackupPolicy == "" {
		r.warnf(setting("volumes.backupPolicy"), "should be set in a production stack: retained messages, users and rules are on the volumes alone")
	}
}
