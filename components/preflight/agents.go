package preflight

import (
	"fmt"
	"regexp"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/emqx-oci/emqx-oci/components/recorder"
)

// maxVariable is the most that one Nomad variable may hold, keys and values
// together (nomad/structs/variables.go, maxVariableSize).
const maxVariable = 64 * 1024

// maxValue is the most that one of Consul's keys may hold (Consul's documents, "KV store
// endpoint").
const maxValue = 512 * 1024

var (
	// variablePath: nomad/structs/variables.go, validVariablePath.
	variablePath = regexp.MustCompile(`^[a-zA-Z0-9\-_~/]{1,128}$`)
	// dnsLabel is what Consul's DNS can answer for: other names exist in the
	// catalog, and no lookup finds them (Consul's documents, "Services", name).
	dnsLabel   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	dnsTag     = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$`)
	consulName = Like(dnsLabel, "a DNS label: at most 63 letters, digits and dashes")
)

// agentRules are what Nomad's and Consul's servers accept, and Consul's DNS can
// answer for.
var agentRules = map[string]Rules{
	// What is in the text has checks of its own.
	"nomad:index/job:Job": {Required: []string{"jobspec"}},
	"nomad:index/variable:Variable": {
		Required: []string{"path", "items"},
		Each: []Rule{
			{"path", Like(variablePath, "1 to 128 letters, digits and -_~/")},
			{"items", func(v resource.PropertyValue) string {
				if !v.IsObject() || len(v.ObjectValue()) == 0 {
					return "must hold at least one item"
				}
				size := 0
				for key, value := range v.ObjectValue() {
					size += len(key) + len(Text(Open(value)))
				}
				if size > maxVariable {
					return fmt.Sprintf("must be at most %d bytes together, got %d: is there more than the certificate's own chain in it?", maxVariable, size)
				}
				return ""
			}},
		},
	},
	"consul:index/node:Node": {
		Required: []string{"name", "address"},
		Each:     []Rule{{"name", consulName}},
	},
	"consul:index/service:Service": {
		Required: []string{"name", "node"},
		Each: []Rule{
			{"name", consulName},
			{"port", PortNumber},
			{"address", Length(1, 253)},
			{"tags.[]", Like(dnsTag, "a DNS label: at most 63 letters, digits, dashes and underscores")},
		},
	},
	"consul:index/keys:Keys": {
		Each: []Rule{
			{"keys.[].path", Like(regexp.MustCompile(`^[^/].*`), "a path that does not begin with /")},
			{"keys.[].value", Length(0, maxValue)},
		},
		Whole: func(r recorder.Resource, wrong Wrong) {
			seen := map[string]bool{}
			keys := Property(r, "keys")
			if !keys.IsArray() {
				return
			}
			for i, key := range keys.ArrayValue() {
				key = Open(key)
				if !key.IsObject() {
					continue
				}
				name := Text(Open(key.ObjectValue()["path"]))
				if seen[name] {
					wrong(fmt.Sprintf("keys[%d].path", i), "must not be written twice, got %q", name)
				}
				seen[name] = true
			}
		},
	},
	// The providers themselves: their settings are checked where they are read.
	"pulumi:providers:nomad":  {},
	"pulumi:providers:consul": {},
}
