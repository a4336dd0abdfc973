package preflight

import (
	"regexp"
	"strconv"
)

// truncates is the one setting of Consul's agent by which EMQX, who asks without EDNS,
// learns of more than three members (ADR 0030).
var truncates = regexp.MustCompile(`\bdns_config: *\{[^}]*\benable_truncate: *true\b`)

// wholeAnswer is what a list of 32 nodes fits into, in bytes.
const wholeAnswer = 8192

// discovery: who asks for many names has to hear that there are more than an answer of
// 512 bytes holds, or has to ask for a larger one.
func discovery(in *program, r *Report) {
	for _, b := range in.boots {
		if b.text != "" && !truncates.MatchString(b.text) {
			r.Errorf(Path(b.config, "instanceDetails.launchDetails.metadata.user_data"),
				"must give Consul's agent dns_config {enable_truncate: true}: EMQX would hear of three members")
		}
	}
	size := in.proxy.section("resolvers").value("accepted_payload_size")
	if n, err := strconv.Atoi(size); err != nil || n < wholeAnswer {
		r.Errorf(Path(in.haproxy.resource, "hcl2.vars.config")+": resolvers",
			"must have an accepted_payload_size of at least %d: HAProxy does not ask by TCP for the rest of an answer, got %q", wholeAnswer, size)
	}
}
