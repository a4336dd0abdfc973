package preflight

import (
	"strconv"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

// clientMaxKill is the max_kill_timeout of a Nomad client that is told no
// other (Nomad's documents, "client block").
const clientMaxKill = 30 * time.Second

// killTimeouts: Nomad's client takes the smaller of what job and client say.
func killTimeouts(in *program, r *Report) {
	most := clientMaxKill
	for i, b := range in.boots {
		d, err := time.ParseDuration(b.vars["MAX_KILL_TIMEOUT"])
		if err != nil {
			d = clientMaxKill
		}
		if i == 0 || d < most {
			most = d
		}
	}
	for _, j := range []*job{in.emqx, in.haproxy} {
		kill, ok := duration(j.task, "kill_timeout")
		at := j.path("task.kill_timeout")
		switch {
		case !ok:
			r.Errorf(at, "must be a duration such as 150s, got %q", j.task.text("kill_timeout"))
		case kill > most:
			r.Errorf(at, "must be at most %s, the max_kill_timeout of the nodes' Nomad clients, got %s", most, kill)
		case j == in.emqx && kill < cluster.BrokerStop+in.drainTime():
			r.Errorf(at, "must be at least %s: EMQX takes up to 120 s to stop, and moves clients for %s before, got %s", cluster.BrokerStop+in.drainTime(), in.drainTime(), kill)
		}
	}
	grace, hard := in.haproxy.seconds("GRACE"), in.haproxy.seconds("HARD_STOP")
	if kill, ok := duration(in.haproxy.task, "kill_timeout"); ok && grace+hard >= kill {
		r.Errorf(in.haproxy.path("task.kill_timeout"), "must be above the script's GRACE (%s) and HARD_STOP (%s) together, got %s", grace, hard, kill)
	}
	if forgets := in.proxy.forgets(); forgets != cluster.Forgotten {
		r.Errorf(Path(in.haproxy.resource, "hcl2.vars.config")+": resolvers", "must forget within %s, as settings and checks have it, got %s", cluster.Forgotten, forgets)
	}
}

// seconds is a time in the environment of a job's script.
func (j *job) seconds(name string) time.Duration {
	n, _ := strconv.Atoi(j.env[name])
	return time.Duration(n) * time.Second
}

// drainTime is how long the script in the task may move clients before it stops
// EMQX; it reads both from its environment.
func (in *program) drainTime() time.Duration {
	if rate, _ := strconv.Atoi(in.emqx.env["DRAIN_RATE"]); rate == 0 {
		return 0
	}
	return in.emqx.seconds("DRAIN_TIMEOUT")
}

// forgets is how long a HAProxy may send new clients to a broker that left Consul: what
// it missed for "hold nx" goes with the next answer, which "hold valid" or the
// retries of lost questions may delay; and 2 s for Consul itself and the age of the
// last answer.
func (c *proxyConfig) forgets() time.Duration {
	dns := c.section("resolvers")
	total := 2 * time.Second
	for _, words := range [][]string{{"hold", "nx"}, {"hold", "valid"}} {
		if d, err := proxyTime(dns.value(words...)); err == nil {
			total += d
		}
	}
	retries, _ := strconv.Atoi(dns.value("resolve_retries"))
	if d, err := proxyTime(dns.value("timeout", "retry")); err == nil {
		total += time.Duration(retries) * d
	}
	return total
}

// idleTimeouts: every hop must outlast a client that speaks once per keep-alive.
func idleTimeouts(in *program, r *Report) {
	most := in.Settings.Broker.KeepAliveMax
	need := cluster.IdleTimeout(most)
	short := func(at string, got int) {
		if got < need {
			r.Errorf(at, "must be at least %d s, 1.5 times broker.keepAliveMax (%d), got %d s", need, most, got)
		}
	}
	for _, l := range in.Kind(listenerType) {
		got := Property(l, "tcpIdleTimeout")
		if got.IsNull() {
			// OCI's own default (network load balancer, "Connection management").
			short(Path(l, "tcpIdleTimeout"), 360)
		} else if !Unknown(got) {
			short(Path(l, "tcpIdleTimeout"), Number(got))
		}
	}
	{
		at := Path(in.haproxy.resource, "hcl2.vars.config")
		defaults := in.proxy.section("defaults")
		for _, name := range []string{"client", "server", "tunnel"} {
			d, err := proxyTime(defaults.value("timeout", name))
			if err != nil {
				if name != "tunnel" {
					r.Errorf(at+": timeout "+name, "must be set in defaults, %v", err)
				}
				continue
			}
			short(at+": timeout "+name, int(d.Seconds()))
		}
	}
	for _, kind := range []string{"WS", "WSS"} {
		name := "EMQX_LISTENERS__" + kind + "__DEFAULT__WEBSOCKET__IDLE_TIMEOUT"
		if d, err := time.ParseDuration(strings.Trim(in.emqx.env[name], `"`)); err == nil {
			short(in.emqx.path("env."+name), int(d.Seconds()))
		}
	}
}

// volumeDomains: a volume can be attached only inside its own availability domain.
func volumeDomains(in *program, r *Report) {
	of := func(x recorder.Resource, name string) (index, domain string) {
		tag, _ := Property(x, "freeformTags").V.(resource.PropertyMap)
		return Text(Open(tag[cluster.TagIndex])), TextAt(x, name)
	}
	volumes := map[string]string{}
	for _, v := range in.Kind(volumeType) {
		index, domain := of(v, "availabilityDomain")
		volumes[index] = domain
	}
	for _, pool := range in.Kind(poolType) {
		placed := Property(pool, "placementConfigurations")
		index, _ := of(pool, "")
		if !placed.IsArray() {
			continue
		}
		for _, p := range placed.ArrayValue() {
			domain := ""
			if p = Open(p); p.IsObject() {
				domain = Text(Open(p.ObjectValue()["availabilityDomain"]))
			}
			switch volume, ok := volumes[index]; {
			case !ok:
				r.Errorf(Path(pool, "freeformTags"), "must have the group-index of a volume, got %q: the node would wait for one for ever", index)
			case volume != domain:
				r.Errorf(Path(pool, "placementConfigurations"), "must be in the availability domain of the node's volume, %q, got %q", volume, domain)
			}
		}
	}
}

func proxyMemory(in *program, r *Report) {
	maxconn, err := strconv.Atoi(in.proxy.section("global").value("maxconn"))
	if err != nil {
		r.Errorf(Path(in.haproxy.resource, "hcl2.vars.config")+": maxconn", "must be a number: HAProxy would take it from its limit of files")
		return
	}
	each, tls := cluster.ProxyConnectionKB, false
	for _, s := range in.proxy.sections {
		for _, line := range s.lines {
			if line[0] == "bind" && strings.Contains(strings.Join(line, " "), " ssl") {
				each, tls = cluster.ProxyConnectionTLSKB, true
			}
		}
	}
	need := cluster.ProxyMemoryMB(maxconn-cluster.ProxyHeadroom, tls)
	if got := in.haproxy.task.one("resources").number("memory"); got < need {
		r.Errorf(Setting("proxy.memoryMb"), "must be at least %d for %d connections of %d kB, got %d", need, maxconn, each, got)
	}
}

// nodeLimits: a container that asks for more than the daemon has does not start.
func nodeLimits(in *program, r *Report) {
	for _, b := range in.boots {
		limit, err := strconv.Atoi(b.vars["NOFILE"])
		if err != nil {
			continue
		}
		for _, j := range []*job{in.emqx, in.haproxy} {
			if got := nofileOf(j); got > limit {
				r.Errorf(j.path("task.config.ulimit.nofile"), "must be at most %d, the limit of the nodes' Docker, got %d", limit, got)
			}
		}
	}
	if got, want := in.sourcePorts(), cluster.SourcePorts(in.Settings.Ports.Cluster()); got != want {
		r.Errorf(Path(in.boots[0].config, "instanceDetails.launchDetails.metadata.user_data"), "must leave %d ports to outgoing connections, got %d", want, got)
	}
	if got, need := nofileOf(in.haproxy), cluster.ProxyFiles(in.Settings.Proxy.MaxConn); got < need {
		r.Errorf(in.haproxy.path("task.config.ulimit.nofile"), "must be at least %d, got %d", need, got)
	}
	if got, need := nofileOf(in.emqx), in.Settings.Broker.NoFile; got != need {
		r.Errorf(in.emqx.path("task.config.ulimit.nofile"), "must be broker.noFile (%d), got %d", need, got)
	}
}

// sourcePorts is how many ports the kernel of a node gives to outgoing
// connections, as the boot script sets it.
func (in *program) sourcePorts() int {
	for _, b := range in.boots {
		_, after, ok := strings.Cut(b.text, "net.ipv4.ip_local_port_range = ")
		if !ok {
			continue
		}
		line, _, _ := strings.Cut(after, "\n")
		ends := strings.Fields(line)
		if len(ends) != 2 {
			continue
		}
		low, err := strconv.Atoi(ends[0])
		high, err2 := strconv.Atoi(ends[1])
		if err != nil || err2 != nil {
			continue
		}
		usable := high - low + 1
		for reserved := range strings.SplitSeq(b.vars["RESERVED_PORTS"], ",") {
			from, to, ranged := strings.Cut(reserved, "-")
			if !ranged {
				to = from
			}
			first, err := strconv.Atoi(from)
			last, err2 := strconv.Atoi(to)
			if err == nil && err2 == nil {
				usable -= max(0, min(last, high)-max(first, low)+1)
			}
		}
		return usable
	}
	return 0
}

// nofileOf is a task's limit of open files; 0 where it has none.
func nofileOf(j *job) int {
	soft, _, _ := strings.Cut(j.task.one("config").one("ulimit").text("nofile"), ":")
	n, _ := strconv.Atoi(soft)
	return n
}

// samePorts: both jobs run on every node, and Nomad places only one of two that
// ask for a port ("reserved port collision").
func samePorts(in *program, r *Report) {
	broker := in.emqx.ports()
	for _, network := range in.haproxy.group.all("network") {
		for _, p := range network.all("port") {
			for label, port := range broker {
				if port != 0 && port == p.number("static") {
					r.Errorf(in.haproxy.path("network.port."+p.label()), "must be free on a node, got %d, which is port %s of the EMQX job", port, label)
				}
			}
		}
	}
}
