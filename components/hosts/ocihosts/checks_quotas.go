package ocihosts

import (
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

// checkMaxGroupRules: one network security group holds 120 rules, both directions together
// (OCI's documents, "Network Security Groups", "Limits"; not to be raised).
const checkMaxGroupRules = 120

// checkQuotas counts what the cloud bounds. What is unknown until it has been made cannot
// tell which group a rule is in: its name can.
func checkQuotas(in *preflight.Input, r *preflight.Report) {
	groups := map[string]int{}
	for _, g := range in.Kind(checkGroupType) {
		groups[g.Name] = 0
	}
	for _, rule := range in.Kind(checkSecurityRuleType) {
		if group := checkGroupOf(rule, groups); group != "" {
			groups[group]++
		}
	}
	for _, g := range in.Kind(checkGroupType) {
		if n := groups[g.Name]; n > checkMaxGroupRules {
			r.Errorf(preflight.Setting("network.clientCidrs"), "must need at most %d rules of security group %s, with the ranges of serverCidrs and dashboardCidrs, got %d: "+
				"put ranges side by side into one, or let clients come by fewer ways; each range takes a rule for each listener",
				checkMaxGroupRules, g.Name, n)
		}
	}
	const list = "instanceDetails.launchDetails.createVnicDetails.nsgIds"
	for _, x := range in.Kind(checkConfigurationType) {
		if ids := preflight.Property(x, list); ids.IsArray() && len(ids.ArrayValue()) > limits.MaxGroups {
			r.Errorf(preflight.Path(x, list), "must hold at most %d security groups, got %d", limits.MaxGroups, len(ids.ArrayValue()))
		}
	}
}

// checkGroupOf is the name of the group that a rule's own begins with.
func checkGroupOf(rule recorder.Resource, groups map[string]int) string {
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
