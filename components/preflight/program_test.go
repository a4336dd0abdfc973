package preflight

import (
	"time"

	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// ProgramChecks look for what no stack file can get wrong: a fault of the program, which
// tests find before anybody has it.
var ProgramChecks = []Check{
	{
		Name: "path", Severity: Error, graph: clientPath,
		Reason:  "A port that differs between the balancer, the rules, HAProxy and EMQX lets every gate wait until it gives up.",
		Example: `NetworkLoadBalancersBackendSetsUnified cluster-balancer-mqtt.backends[0].port: must be HAProxy's own port for mqtt, 1883, got 8080`,
	},
	{
		Name: "node-name", Severity: Error, graph: nodeName,
		Reason:  "EMQX finds its peers only when record type, lookup, member list and node names fit together; else each node is a cluster of its own.",
		Example: `Job cluster-emqx.jobspec: env.EMQX_CLUSTER__DNS__RECORD_TYPE: must be srv: with "a" a node's host must be an address, and it is "${node.unique.name}.node.dc1.consul"`,
	},
	{
		Name: "discovery", Severity: Error, graph: discovery,
		Reason:  "Consul's DNS answers three of N, and does not say so, to one who asks as EMQX does: a first boot of more nodes ends as several clusters.",
		Example: `InstanceConfiguration cluster-pools-0-config.instanceDetails.launchDetails.metadata.user_data: must give Consul's agent dns_config {enable_truncate: true}: EMQX would hear of three members`,
	},
	{
		Name: "service-tags", Severity: Error, graph: serviceTags,
		Reason:  "HAProxy asks Consul for services by a tag; one that no service carries is an empty backend.",
		Example: `Job cluster-emqx.jobspec: service.emqx: must carry the tag "prod" that HAProxy asks for`,
	},
	{
		Name: "protect", Severity: Error, graph: protected,
		Reason:  "Pulumi deletes a volume that is not marked when a change of the program replaces it.",
		Example: `Volume cluster-volumes-1: must be protected, as volumes.protect says`,
	},
}

// RunChecks performs some checks as [Run] does all of the product's.
func RunChecks(checks []Check, s settings.Settings, record func() ([]recorder.Resource, error), now time.Time) []Finding {
	return run(checks, s, record, now)
}

// protected: what the settings promise must have reached the volumes.
func protected(in *input, r *report) {
	if !in.settings.Volumes.Protect {
		return
	}
	for _, v := range in.kind(volumeType) {
		if !v.Protect {
			r.errorf(path(v, ""), "must be protected, as volumes.protect says")
		}
	}
}
