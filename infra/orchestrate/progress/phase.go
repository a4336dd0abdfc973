package progress

import "strings"

// agentPhases name what a resource of Nomad or Consul belongs to, by what its type token begins with. First match wins.
var agentPhases = []struct{ prefix, name string }{
	{"nomad:index/job:", "jobs"},
	{"nomad:index/variable:", "secrets"},
	{"consul:", "catalog"},
}

// gatesPhase is where a gate stands that no resource waits for.
const gatesPhase = "gates"

// phaseName is the part of the deployment that a resource type belongs to: as the cloud's kinds say, as the agents' types
// are called, or else its provider.
func (t *table) phaseName(typ string) string {
	if t.cloudPhase != nil {
		if name := t.cloudPhase(typ); name != "" {
			return name
		}
	}
	for _, p := range agentPhases {
		if strings.HasPrefix(typ, p.prefix) {
			return p.name
		}
	}
	provider, _, _ := strings.Cut(typ, ":")
	return provider
}
