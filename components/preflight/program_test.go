package preflight

import (
	"fmt"
	"strings"
)

// program is what a stack registers, its texts taken apart.
type program struct {
	*Input
	emqx, haproxy *job
	// proxy is HAProxy's configuration.
	proxy *proxyConfig
	// boots are the nodes' boot scripts, in the order of their pools.
	boots []bootScript
}

// of makes a check of one that looks at a program. What cannot be read is a finding.
func of(look func(in *program, r *Report)) func(*Input, *Report) {
	return func(in *Input, r *Report) {
		p, err := readProgram(in)
		if err != nil {
			r.Errorf("(program)", "must be jobs that can be read: %v", err)
			return
		}
		look(p, r)
	}
}

func readProgram(in *Input) (*program, error) {
	p := &program{Input: in}
	for _, r := range in.Kind(jobType) {
		j, err := readJob(TextAt(r, "jobspec"), r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		if strings.HasSuffix(j.id, "-haproxy") {
			p.haproxy = j
		} else {
			p.emqx = j
		}
	}
	if p.haproxy == nil || p.emqx == nil {
		return nil, fmt.Errorf("both jobs must be there")
	}
	for _, r := range in.Kind(configurationType) {
		p.boots = append(p.boots, readBoot(r))
	}
	var err error
	p.proxy, err = readProxy(p.haproxy)
	return p, err
}

// Types of the resources that these checks look for.
const (
	jobType           = "nomad:index/job:Job"
	poolType          = "oci:Core/instancePool:InstancePool"
	configurationType = "oci:Core/instanceConfiguration:InstanceConfiguration"
	volumeType        = "oci:Core/volume:Volume"
	memberType        = "consul:index/service:Service"
	securityRuleType  = "oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule"
	backendSetType    = "oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified"
	listenerType      = "oci:NetworkLoadBalancer/listener:Listener"
)

// ProgramChecks look for what no stack file can get wrong: a fault of the program, which
// tests find before anybody has it.
var ProgramChecks = []Check{
	{
		Name: "path", Severity: Error, Graph: of(clientPath),
		Reason:  "A port that differs between the balancer, the rules, HAProxy and EMQX lets every gate wait until it gives up.",
		Example: `NetworkLoadBalancersBackendSetsUnified cluster-balancer-mqtt.backends[0].port: must be HAProxy's own port for mqtt, 1883, got 8080`,
	},
	{
		Name: "node-name", Severity: Error, Graph: of(nodeName),
		Reason:  "EMQX finds its peers only when record type, lookup, member list and node names fit together; else each node is a cluster of its own.",
		Example: `Job cluster-emqx.jobspec: env.EMQX_CLUSTER__DNS__RECORD_TYPE: must be srv: with "a" a node's host must be an address, and it is "${node.unique.name}.node.dc1.consul"`,
	},
	{
		Name: "discovery", Severity: Error, Graph: of(discovery),
		Reason:  "Consul's DNS answers three of N, and does not say so, to one who asks as EMQX does: a first boot of more nodes ends as several clusters.",
		Example: `InstanceConfiguration cluster-pools-0-config.instanceDetails.launchDetails.metadata.user_data: must give Consul's agent dns_config {enable_truncate: true}: EMQX would hear of three members`,
	},
	{
		Name: "service-tags", Severity: Error, Graph: of(serviceTags),
		Reason:  "HAProxy asks Consul by a tag whether a member takes part; one that no service carries is a member that gets no clients. Nothing else that Consul says counts.",
		Example: `Job cluster-emqx.jobspec: service.emqx-dashboard: must carry the tag "prod--0" that HAProxy asks for`,
	},
	{
		Name: "idle-timeouts", Severity: Error, Graph: of(idleTimeouts),
		Reason:  "A hop that forgets a connection before its client speaks again disconnects healthy clients.",
		Example: `Listener cluster-listeners-mqtt.tcpIdleTimeout: must be at least 900 s, 1.5 times broker.keepAliveMax (600), got 360 s`,
	},
	{
		Name: "kill-timeouts", Severity: Error, Graph: of(killTimeouts),
		Reason:  "A broker that is killed before it has stopped (up to 120 s) may leave its data broken.",
		Example: `Job cluster-emqx.jobspec: task.kill_timeout: must be at least 4m10s: EMQX takes up to 120 s to stop, and moves clients for 2m0s before, got 5s`,
	},
	{
		Name: "volume-domains", Severity: Error, Graph: of(volumeDomains),
		Reason:  "A volume can be attached only inside its availability domain.",
		Example: `InstancePool cluster-pools-0.placementConfigurations: must be in the availability domain of the node's volume, "Uocm:EU-FRANKFURT-1-AD-2", got "Uocm:EU-FRANKFURT-1-AD-1"`,
	},
	{
		Name: "proxy-memory", Severity: Error, Graph: of(proxyMemory),
		Reason:  "A HAProxy that fills up its connections is killed by Nomad when they need more memory than its limit.",
		Example: `emqx-oci:proxy.memoryMb: must be at least 3294 for 100200 connections of 33 kB, got 2000`,
	},
	{
		Name: "node-limits", Severity: Error, Graph: of(nodeLimits),
		Reason:  "What the checks count with is what the nodes and the jobs are told.",
		Example: `Job cluster-emqx.jobspec: task.config.ulimit.nofile: must be broker.noFile (1048576), got 65536`,
	},
	{
		Name: "same-ports", Severity: Error, Graph: of(samePorts),
		Reason:  "Nomad places only one of two jobs that ask for one port of a node.",
		Example: `Job cluster-haproxy.jobspec: network.port.mqtt: must be free on a node, got 1883, which is port dist of the EMQX job`,
	},
	{
		Name: "protect", Severity: Error, Graph: of(protected),
		Reason:  "Pulumi deletes a volume that is not marked when a change of the program replaces it.",
		Example: `Volume cluster-volumes-1: must be protected, as volumes.protect says`,
	},
}

// protected: what the settings promise must have reached the volumes.
func protected(in *program, r *Report) {
	if !in.Settings.Volumes.Protect {
		return
	}
	for _, v := range in.Kind(volumeType) {
		if !v.Protect {
			r.Errorf(Path(v, ""), "must be protected, as volumes.protect says")
		}
	}
}
