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

var (
	// variablePath: nomad/structs/variables.go, validVariablePath.
	variablePath = regexp.MustCompile(`^[a-zA-Z0-9\-_~/]{1,128}$`)
	// dnsLabel is what Consul's DNS can answer for: other names exist in the
	// catalog, and no lookup finds them (Consul's documents, "Services", name).
	dnsLabel   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	dnsTag     = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$`)
	consulName = like(dnsLabel, "a DNS label: at most 63 letters, digits and dashes")
)

// agentRules are what Nomad's and Consul's servers accept, and Consul's DNS can
// answer for.
var agentRules = map[string]rules{
	// What is in the text has checks of its own.
	jobType: {required: []string{"jobspec"}},
	"nomad:index/variable:Variable": {
		required: []string{"path", "items"},
		each: []rule{
			{"path", like(variablePath, "1 to 128 letters, digits and -_~/")},
			{"items", func(v resource.PropertyValue) string {
				if !v.IsObject() || len(v.ObjectValue()) == 0 {
					return "must hold at least one item"
				}
				size := 0
				for key, value := range v.ObjectValue() {
					size += len(key) + len(text(open(value)))
				}
				if size > maxVariable {
					return fmt.Sprintf("must be at most %d bytes together, got %d: is there more than the certificate's own chain in it?", maxVariable, size)
				}
				return ""
			}},
		},
	},
	"consul:index/node:Node": {
		required: []string{"name", "address"},
		each:     []rule{{"name", consulName}},
	},
	memberType: {
		required: []string{"name", "node"},
		each: []rule{
			{"name", consulName},
			{"port", portNumber},
			{"address", length(1, 253)},
			{"tags.[]", like(dnsTag, "a DNS label: at most 63 letters, digits, dashes and underscores")},
		},
	},
	"consul:index/keys:Keys": {
		each: []rule{
			{"keys.[].path", like(regexp.MustCompile(`^[^/].*`), "a path that does not begin with /")},
			// Consul's documents, "KV store endpoint": 512 KB a value.
			{"keys.[].value", length(0, 512*1024)},
		},
		whole: func(r recorder.Resource, wrong func(string, string, ...any)) {
			seen := map[string]bool{}
			keys := property(r, "keys")
			if !keys.IsArray() {
				return
			}
			for i, key := range keys.ArrayValue() {
				key = open(key)
				if !key.IsObject() {
					continue
				}
				name := text(open(key.ObjectValue()["path"]))
				if seen[name] {
					wrong(fmt.Sprintf("keys[%d].path", i), "must not be written twice, got %q", name)
				}
				seen[name] = true
			}
		},
	},
	// The providers themselves: their settings are checked where they are read.
	"pulumi:providers:oci":    {},
	"pulumi:providers:nomad":  {},
	"pulumi:providers:consul": {},
}

// Known tells whether there are rules for a type of resource. A type without
// any would slip through every check.
func Known(token string) bool {
	_, oci := ociRules[token]
	_, agent := agentRules[token]
	return oci || agent
}
