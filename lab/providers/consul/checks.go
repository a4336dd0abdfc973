package consul

import (
	"fmt"
	"sort"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

// healthChecks of a service. Nobody runs the checks of an external node unless
// consul-esm does: their status stays what it is set to, critical by default.
func healthChecks(in rpc.Props) (api.HealthChecks, error) {
	var out api.HealthChecks
	for _, c := range objects(in["checks"]) {
		if text(c["tcp"]) != "" && text(c["http"]) != "" {
			return nil, fmt.Errorf("you cannot set both tcp and http in the same check")
		}
		skip, _ := c["tlsSkipVerify"].(bool)
		def := api.HealthCheckDefinition{
			HTTP: text(c["http"]), TCP: text(c["tcp"]), Method: or(c["method"], "GET"),
			TLSSkipVerify: skip, Header: map[string][]string{},
		}
		for _, h := range objects(c["headers"]) {
			def.Header[text(h["name"])] = texts(h["values"])
		}
		for _, d := range []struct {
			key string
			set *time.Duration
			def string
		}{
			{"interval", &def.IntervalDuration, ""},
			{"timeout", &def.TimeoutDuration, ""},
			{"deregisterCriticalServiceAfter", &def.DeregisterCriticalServiceAfterDuration, "30s"},
		} {
			length, err := time.ParseDuration(or(c[d.key], d.def))
			if err != nil {
				return nil, fmt.Errorf("failed to parse %s: %w", d.key, err)
			}
			*d.set = length
		}
		out = append(out, &api.HealthCheck{
			Node: text(in["node"]), ServiceID: text(in["serviceId"]), CheckID: text(c["checkId"]),
			Name: text(c["name"]), Notes: text(c["notes"]), Status: or(c["status"], api.HealthCritical), Definition: def,
		})
	}
	return out, nil
}

func or(v any, otherwise string) string {
	if s := text(v); s != "" {
		return s
	}
	return otherwise
}

func checkProps(all api.HealthChecks, node, service string) []any {
	out := []any{}
	for _, c := range all {
		if c.Node != node || c.ServiceID != service {
			continue
		}
		headers := []any{}
		names := make([]string, 0, len(c.Definition.Header))
		for name := range c.Definition.Header {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			headers = append(headers, map[string]any{"name": name, "values": table.StringList(c.Definition.Header[name])})
		}
		out = append(out, map[string]any{
			"checkId": c.CheckID, "name": c.Name, "notes": c.Notes, "status": c.Status,
			"http": c.Definition.HTTP, "tcp": c.Definition.TCP, "method": c.Definition.Method,
			"tlsSkipVerify": c.Definition.TLSSkipVerify, "headers": headers,
			"interval":                       c.Definition.IntervalDuration.String(),
			"timeout":                        c.Definition.TimeoutDuration.String(),
			"deregisterCriticalServiceAfter": c.Definition.DeregisterCriticalServiceAfterDuration.String(),
		})
	}
	return out
}
