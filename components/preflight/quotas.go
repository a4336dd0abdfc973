package preflight

import (
	"fmt"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

// Quota is a limit on how much of something there may be, which nobody enforces before
// an update is under way.
type Quota struct {
	// Of what, with its unit; Most of it; and who says so.
	Of, Most, Source string
	// Check is the name of the check that counts; empty for one that only the tenancy knows.
	Check string
}

// Limits that [quotas] counts itself.
const (
	// maxGroupRules: one network security group holds 120 rules, both directions together
	// (OCI's documents, "Network Security Groups", "Limits"; not to be raised).
	maxGroupRules = 120
	// maxGroups: a VNIC is in at most 5 groups (the same).
	maxGroups = 5
	// maxVariableText: the kernel starts no program with a longer variable (execve(2),
	// MAX_ARG_STRLEN: 32 pages, the final NUL included).
	maxVariableText = 32*4096 - 1
)

// Quotas are all that what a stack registers can meet. Tenancies have more, of their
// own: those are asked for in docs/tasks/first-deployment.md.
var Quotas = []Quota{
	{"rules of a security group", fmt.Sprint(maxGroupRules), "OCI, \"Network Security Groups\"", "quotas"},
	{"security groups of a VNIC, and of the balancer", fmt.Sprint(maxGroups), "OCI, \"Network Security Groups\"", "quotas"},
	{"characters of a variable of EMQX with its name", fmt.Sprint(maxVariableText), "Linux, execve(2), MAX_ARG_STRLEN", "quotas"},
	{"freeform tags of a resource, the stack's three with them", "10, of 100 and 256 characters", "OCI, \"Tagging overview\"", "oci-values"},
	{"metadata of an instance, encoded", fmt.Sprint(limits.MaxMetadata) + " bytes", "OCI's API, LaunchInstanceDetails.metadata", "oci-values"},
	{"characters of a display name, and of a rule's description", "255", "OCI's API", "oci-values"},
	{"size of a volume", fmt.Sprintf("%d to %d GB", limits.MinVolumeGB, limits.MaxVolumeGB), "OCI's API, CreateVolumeDetails", "oci-values"},
	{"memory of a flexible shape", "1 to 64 GB for each OCPU", "OCI, \"Flexible shapes\"", "oci-values"},
	{"time to live of a DNS record", fmt.Sprint(limits.MaxTTL) + " s", "OCI's API, RecordDetails", "oci-values"},
	{"addresses of the nodes' subnet", "two for each node, one spare; OCI keeps three", "OCI, \"Allowed VCN Size and Address Ranges\"", "subnet-size"},
	{"a Nomad variable, names and values", fmt.Sprint(maxVariable) + " bytes", "nomad/structs/variables.go, maxVariableSize", "agent-values"},
	{"a value in Consul's KV", fmt.Sprint(512*1024) + " bytes", "Consul, \"KV store endpoint\"", "agent-values"},
	{"kill timeout of a task", "max_kill_timeout of the nodes' Nomad, 10m", "the boot script", "settings"},
	{"nodes", fmt.Sprint(cluster.MaxNodes), "server slots of HAProxy's configuration", "settings"},
	{"cores, memory, block storage, instance pools and configurations, balancers of the tenancy", "as the tenancy has been given", "OCI, \"Service Limits\"; `oci limits value list`", ""},
}

// quotas counts what the cloud and the nodes' kernel bound. What is unknown until the
// cloud has made it cannot tell which group a rule is in: its name can.
func quotas(in *input, r *report) {
	groups := map[string]int{}
	for _, g := range in.kind(groupType) {
		groups[g.Name] = 0
	}
	for _, rule := range in.kind(securityRuleType) {
		if group := groupOf(rule, groups); group != "" {
			groups[group]++
		}
	}
	for _, g := range in.kind(groupType) {
		if n := groups[g.Name]; n > maxGroupRules {
			r.errorf(setting("network.clientCidrs"), "must need at most %d rules of security group %s, with the ranges of serverCidrs and dashboardCidrs, got %d: "+
				"put ranges side by side into one, or let clients come by fewer ways; each range takes a rule for each listener",
				maxGroupRules, g.Name, n)
		}
	}
	for kind, property := range map[string]string{
		configurationType: "instanceDetails.launchDetails.createVnicDetails.nsgIds", balancerType: "networkSecurityGroupIds",
	} {
		in.atMostGroups(kind, property, r)
	}
	for _, name := range in.settings.Broker.EnvNames() {
		if n := len(name) + len("=") + len(in.settings.Broker.EnvValue(name)); n > maxVariableText {
			r.errorf(setting("broker.env."+name), "must have at most %d characters with its name, or the kernel starts no EMQX with it, got %d", maxVariableText, n)
		}
	}
}

func (in *input) atMostGroups(kind, list string, r *report) {
	for _, x := range in.kind(kind) {
		if ids := property(x, list); ids.IsArray() && len(ids.ArrayValue()) > maxGroups {
			r.errorf(path(x, list), "must hold at most %d security groups, got %d", maxGroups, len(ids.ArrayValue()))
		}
	}
}

// groupOf is the name of the group that a rule's own begins with.
func groupOf(rule recorder.Resource, groups map[string]int) string {
	var found []string
	for name := range groups {
		if strings.HasPrefix(rule.Name, name+"-") {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, func(a, b string) int { return len(a) - len(b) })
}
