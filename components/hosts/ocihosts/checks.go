package ocihosts

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// checkLaunchTime is what an instance takes from its pool to a ready Nomad client:
// docs/performance.md has the parts.
const checkLaunchTime = 5 * time.Minute

// Checks are those of instance pools, and of what belongs to them.
func (Hosts) Checks() []preflight.Check {
	return []preflight.Check{
		{
			Name: "domains", After: "broker-memory", Severity: preflight.Warning, Graph: checkDomains,
			Reason: "Most nodes in one availability domain go away with it.",
			Example: `emqx-oci:oci.availabilityDomains: should spread the nodes so that no domain holds most of them, got 2 of 3 in "Uocm:EU-FRANKFURT-1-AD-1": ` +
				`when it goes, so do most sessions, and the rest has to take all clients`,
			Remedy: "List more domains in `oci.availabilityDomains` (in a region with several).",
		},
		{
			Name: "subnet-size", After: "single-node", Severity: preflight.Error, Settings: checkSubnetSize,
			Reason:  "An update ends in the middle when its subnet has no address left.",
			Example: `emqx-oci:network.privateSubnetCidr: must have 7 addresses for 3 nodes (one for each instance, one reserved for each node, one spare), got 5 in 10.10.1.0/29`,
			Remedy:  "Use a larger subnet or fewer nodes. Without `network.privateSubnetCidr` nothing is checked.",
			Quotas: []preflight.Quota{{
				Of: "addresses of the nodes' subnet", Most: "two for each node, one spare; OCI keeps three",
				Source: "OCI, \"Allowed VCN Size and Address Ranges\"", Check: "subnet-size",
			}},
		},
		{
			Name: "backup", After: "subnet-size", Severity: preflight.Warning, Settings: checkBackup,
			Reason:  "What EMQX keeps is on the volumes alone.",
			Example: `emqx-oci:volumes.backupPolicy: should be set in a production stack: retained messages, users and rules are on the volumes alone`,
			Remedy:  "Set `volumes.backupPolicy`: bronze, silver, gold, or the OCID of a policy of your own.",
		},
		{
			Name: "gates", Severity: preflight.Warning, Settings: checkLaunches,
			Reason:  "A gate that gives up sooner than its condition can hold fails every update.",
			Example: `emqx-oci:gates.nodesReady: should be at least 5m0s, what OCI and the boot script may take for an instance, got 2m0s`,
			Remedy:  "Raise the named timeout.",
		},
		{
			Name: "oci-values", After: "agent-values", Severity: preflight.Error, Rules: checkValues,
			Reason:  "OCI's provider lets almost any value through at preview, and the cloud refuses it in the middle of the update.",
			Example: `NetworkSecurityGroupSecurityRule cluster-groups-balancer-in-tcp-1883-from-0.0.0.0-0.protocol: must be "all" or a protocol's number as text, such as "6" for TCP, got "TCP"`,
			Remedy:  "Change the setting behind the value.",
			Quotas: []preflight.Quota{
				{Of: "freeform tags of a resource, the stack's three with them", Most: "10, of 100 and 256 characters", Source: "OCI, \"Tagging overview\"", Check: "oci-values"},
				{Of: "metadata of an instance, encoded", Most: fmt.Sprint(limits.MaxMetadata) + " bytes", Source: "OCI's API, LaunchInstanceDetails.metadata", Check: "oci-values"},
				{Of: "characters of a display name, and of a rule's description", Most: "255", Source: "OCI's API", Check: "oci-values"},
				{Of: "size of a volume", Most: fmt.Sprintf("%d to %d GB", limits.MinVolumeGB, limits.MaxVolumeGB), Source: "OCI's API, CreateVolumeDetails", Check: "oci-values"},
				{Of: "memory of a flexible shape", Most: "1 to 64 GB for each OCPU", Source: "OCI, \"Flexible shapes\"", Check: "oci-values"},
			},
		},
		{
			Name: "quotas", Severity: preflight.Error, Graph: checkQuotas,
			Reason: "OCI refuses the resource that is one too many when the others exist already; [all that is counted](#what-is-counted).",
			Example: `emqx-oci:network.clientCidrs: must need at most 120 rules of security group cluster-groups-nodes, with the ranges of serverCidrs and ` +
				`dashboardCidrs, got 126: put ranges side by side into one, or let clients come by fewer ways; each range takes a rule for each listener`,
			Remedy: "Put client ranges together (203.0.113.0/25 and 203.0.113.128/25 are 203.0.113.0/24), or shorten the named value.",
			Quotas: []preflight.Quota{
				{Of: "rules of a security group", Most: fmt.Sprint(checkMaxGroupRules), Source: "OCI, \"Network Security Groups\"", Check: "quotas"},
				{Of: "security groups of a VNIC, and of the balancer", Most: fmt.Sprint(limits.MaxGroups), Source: "OCI, \"Network Security Groups\"", Check: "quotas"},
				{
					Of: "cores, memory, block storage, instance pools and configurations, balancers of the tenancy", Most: "as the tenancy has been given",
					Source: "OCI, \"Service Limits\"; `oci limits value list`",
				},
			},
		},
		{
			Name: "region", After: "quotas", Severity: preflight.Warning, Settings: checkRegion,
			Reason:  "A region that does not exist answers nothing, and the update waits for its name.",
			Example: `emqx-oci:oci.region: should be a region that this version knows, got eu-madrid-7: if OCI has opened it since, go on`,
			Remedy:  "Look at the spelling; a region that is new is none the worse for it.",
		},
	}
}

// checkDomains: what an availability domain takes with it.
func checkDomains(in *preflight.Input, r *preflight.Report) {
	listed, count := in.Settings.OCI.AvailabilityDomains, in.Settings.Nodes.Count
	if len(listed) == 0 || count < 3 {
		return // which there are is the cloud's to say
	}
	nodes := map[string]int{}
	for i := range count {
		domain := listed[i%len(listed)]
		nodes[domain]++
	}
	for domain, n := range nodes {
		if 2*n > count {
			r.Warnf(preflight.Setting("oci.availabilityDomains"), "should spread the nodes so that no domain holds most of them, got %d of %d in %q: when it goes, so do most sessions, and the rest has to take all clients",
				n, count, domain)
		}
	}
}

func checkSubnetSize(s settings.Settings, _ time.Time, r *preflight.Report) {
	p, err := netip.ParsePrefix(s.Network.PrivateSubnetCIDR)
	if err != nil || !p.Addr().Is4() {
		return // not given; a bad one is a fault of the settings
	}
	nodes := s.Nodes.Count
	need, usable := limits.AddressesNeeded(nodes), limits.AddressesUsable(p)
	if need > usable {
		r.Errorf(preflight.Setting("network.privateSubnetCidr"), "must have %d addresses for %d nodes (one for each instance, one reserved for each node, one spare), got %d in %s",
			need, nodes, usable, p)
	}
}

func checkBackup(s settings.Settings, _ time.Time, r *preflight.Report) {
	if s.Production() && s.Volumes.BackupPolicy == "" {
		r.Warnf(preflight.Setting("volumes.backupPolicy"), "should be set in a production stack: retained messages, users and rules are on the volumes alone")
	}
}

func checkLaunches(s settings.Settings, _ time.Time, r *preflight.Report) {
	if takes := time.Duration(s.Latency * float64(checkLaunchTime)); s.Gates.NodesReady < takes {
		r.Warnf(preflight.Setting("gates.nodesReady"), "should be at least %s, what OCI and the boot script may take for an instance, got %s", takes, s.Gates.NodesReady)
	}
}

// checkRegion warns of one of OCI's that came after this version, or never.
func checkRegion(s settings.Settings, _ time.Time, r *preflight.Report) {
	if s.Cloud == "oci" && s.OCI.Region != "" && !settings.KnownRegion(s.OCI.Region) {
		r.Warnf(preflight.Setting("oci.region"), "should be a region that this version knows, got %s: if OCI has opened it since, go on", s.OCI.Region)
	}
}
