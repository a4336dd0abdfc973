package preflight

import (
	"strconv"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

const (
	// clientMaxKill is the max_kill_timeout of a Nomad client that is told no
	// other (Nomad's documents, "client block").
	clientMaxKill = 30 * time.Second
	// launchTime is what an instance takes from its pool to a ready Nomad client:
	// docs/performance.md has the parts.
	launchTime = 5 * time.Minute
	// keepAliveFactor is how many keep-alives EMQX waits for a silent client
	// (mqtt.keepalive_multiplier).
	keepAliveFactor = 1.5
)

// killTimeout: Nomad's client takes the smaller of what job and client say.
func killTimeout(in *input, r *report) {
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
		if j == nil {
			continue
		}
		kill, ok := duration(j.task, "kill_timeout")
		at := j.path("task.kill_timeout")
		switch {
		case !ok:
			r.errorf(at, "must be a duration such as 150s, got %q", j.task.text("kill_timeout"))
		case kill > most:
			r.errorf(at, "must be at most %s, the max_kill_timeout of the nodes' Nomad clients, got %s", most, kill)
		case j == in.emqx && kill < cluster.BrokerStop+in.drainTime():
			r.errorf(at, "must be at least %s: EMQX takes up to 120 s to stop, and moves clients for %s before, got %s", cluster.BrokerStop+in.drainTime(), in.drainTime(), kill)
		}
	}
	if in.proxy == nil {
		return
	}
	grace, hard := in.haproxy.seconds("GRACE"), in.haproxy.seconds("HARD_STOP")
	if kill, ok := duration(in.haproxy.task, "kill_timeout"); ok && grace+hard >= kill {
		r.errorf(in.haproxy.path("task.kill_timeout"), "must be above the script's GRACE (%s) and HARD_STOP (%s) together, got %s", grace, hard, kill)
	}
	in.drain(grace, r)
}

// seconds is a time in the environment of a job's script.
func (j *job) seconds(name string) time.Duration {
	n, _ := strconv.Atoi(j.env[name])
	return time.Duration(n) * time.Second
}

// drainTime is how long the script in the task may move clients before it stops
// EMQX; it reads both from its environment.
func (in *input) drainTime() time.Duration {
	if rate, _ := strconv.Atoi(in.emqx.env["DRAIN_RATE"]); rate == 0 {
		return 0
	}
	return in.emqx.seconds("DRAIN_TIMEOUT")
}

// drain: a node that stops must be out of the way before its ports close.
func (in *input) drain(grace time.Duration, r *report) {
	for _, set := range in.kind(backendSetType) {
		interval, timeout := number(property(set, "healthChecker.intervalInMillis")), number(property(set, "healthChecker.timeoutInMillis"))
		notice := time.Duration(number(property(set, "healthChecker.retries"))*interval+timeout) * time.Millisecond
		if grace < notice {
			r.warnf(setting("proxy.shutdownDelay"), "should be at least %s, what the balancer takes to notice a failing health check, got %s", notice, grace)
			break
		}
	}
	if in.emqx == nil || in.settings.Latency == 0 { // where no answer is lost
		return
	}
	delay, ok := duration(in.emqx.group, "shutdown_delay")
	if forgets := in.proxy.forgets(); ok && delay < forgets {
		r.warnf(setting("broker.shutdownDelay"), "should be at least %s, for which HAProxy may send new clients to a broker that left Consul, got %s", forgets, delay)
	}
}

// forgets is how long a HAProxy may send new clients to a broker that left Consul: what
// it missed for "hold obsolete" goes with the next answer, which "hold valid" or the
// retries of lost questions may delay; and 2 s for Consul itself and the age of the
// last answer.
func (c *proxyConfig) forgets() time.Duration {
	dns := c.section("resolvers")
	total := 2 * time.Second
	for _, words := range [][]string{{"hold", "obsolete"}, {"hold", "valid"}} {
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

// keepAlive: every hop must outlast a client that speaks once per keep-alive.
func keepAlive(in *input, r *report) {
	most := in.settings.Broker.KeepAliveMax
	need := cluster.IdleTimeout(most)
	short := func(at string, got int) {
		if got < need {
			r.errorf(at, "must be at least %d s, 1.5 times broker.keepAliveMax (%d), got %d s", need, most, got)
		}
	}
	for _, l := range in.kind(listenerType) {
		got := property(l, "tcpIdleTimeout")
		if got.IsNull() {
			// OCI's own default (network load balancer, "Connection management").
			short(path(l, "tcpIdleTimeout"), 360)
		} else if !unknown(got) {
			short(path(l, "tcpIdleTimeout"), number(got))
		}
	}
	if in.proxy != nil {
		at := path(in.haproxy.resource, "hcl2.vars.config")
		defaults := in.proxy.section("defaults")
		for _, name := range []string{"client", "server", "tunnel"} {
			d, err := proxyTime(defaults.value("timeout", name))
			if err != nil {
				if name != "tunnel" {
					r.errorf(at+": timeout "+name, "must be set in defaults, %v", err)
				}
				continue
			}
			short(at+": timeout "+name, int(d.Seconds()))
		}
	}
	if in.emqx == nil {
		return
	}
	for _, kind := range []string{"WS", "WSS"} {
		name := "EMQX_LISTENERS__" + kind + "__DEFAULT__WEBSOCKET__IDLE_TIMEOUT"
		if d, err := time.ParseDuration(strings.Trim(in.emqx.env[name], `"`)); err == nil {
			short(in.emqx.path("env."+name), int(d.Seconds()))
		}
	}
	in.brokerKeepAlive(most, r)
}

// brokerKeepAlive looks at what EMQX itself may be told about keep-alives.
func (in *input) brokerKeepAlive(most int, r *report) {
	const server, multiplier = "EMQX_MQTT__SERVER_KEEPALIVE", "EMQX_MQTT__KEEPALIVE_MULTIPLIER"
	if seconds, err := parseSeconds(in.emqx.env[server]); err == nil && seconds > most {
		r.errorf(setting("broker.env."+server), "must be at most broker.keepAliveMax (%d s), got %d s", most, seconds)
	}
	if times, err := parseFloat(in.emqx.env[multiplier]); err == nil && times > keepAliveFactor {
		r.warnf(setting("broker.env."+multiplier), "should be at most %g: the path closes a silent connection after that many keep-alives, got %g", keepAliveFactor, times)
	}
}

func gateTimes(s settings.Settings, _ time.Time, r *report) {
	if takes := time.Duration(s.Latency * float64(launchTime)); s.Gates.NodesReady < takes {
		r.warnf(setting("gates.nodesReady"), "should be at least %s, what OCI and the boot script may take for an instance, got %s", takes, s.Gates.NodesReady)
	}
	notice := time.Duration(s.Edge.HealthRetries)*s.Edge.HealthInterval + s.Edge.HealthTimeout
	if s.Gates.EdgeHealthy < notice {
		r.warnf(setting("gates.edgeHealthy"), "should be at least %s, what the balancer takes to call a backend healthy, got %s", notice, s.Gates.EdgeHealthy)
	}
	if ttl := time.Duration(s.DNS.TTL) * time.Second; s.Gates.RoundTrip < ttl {
		r.warnf(setting("gates.roundTrip"), "should be at least dns.ttl (%s): a resolver may know the old address for so long, got %s", ttl, s.Gates.RoundTrip)
	}
}

// nomadTimings are rules of Nomad's server (nomad/structs, Validate of
// UpdateStrategy, MigrateStrategy, RestartPolicy, ReschedulePolicy,
// ServiceCheck): without one, this says so.
func nomadTimings(in *input, r *report) {
	for _, j := range []*job{in.emqx, in.haproxy} {
		if j == nil {
			continue
		}
		j.durations(r)
		update := j.group.one("update")
		least, _ := duration(update, "min_healthy_time")
		healthy, _ := duration(update, "healthy_deadline")
		progress, _ := duration(update, "progress_deadline")
		if update.has("healthy_deadline") && least >= healthy {
			r.errorf(j.path("update.min_healthy_time"), "must be below healthy_deadline (%s), got %s", healthy, least)
		}
		if update.has("progress_deadline") && progress != 0 && healthy >= progress {
			r.errorf(j.path("update.progress_deadline"), "must be above healthy_deadline (%s), or 0s, got %s", healthy, progress)
		}
		if kill, ok := duration(j.task, "kill_timeout"); ok && progress != 0 && kill > progress {
			r.errorf(j.path("task.kill_timeout"), "must be at most progress_deadline (%s), got %s", progress, kill)
		}
		if update.text("auto_promote") == "true" && update.number("canary") == 0 {
			r.errorf(j.path("update.auto_promote"), "must not be true without canaries")
		}
		for _, v := range j.group.all("volume") {
			if v.text("per_alloc") == "true" && update.number("canary") > 0 {
				r.errorf(j.path("update.canary"), "must be 0 with a volume per allocation, got %d", update.number("canary"))
			}
		}
		restart := j.group.one("restart")
		delay, _ := duration(restart, "delay")
		interval, _ := duration(restart, "interval")
		if restart.has("interval") && (interval < 5*time.Second || time.Duration(restart.number("attempts"))*delay > interval) {
			r.errorf(j.path("restart.interval"), "must be at least 5s, and hold %d attempts of %s, got %s", restart.number("attempts"), delay, interval)
		}
		for _, s := range j.services() {
			for _, check := range s.all("check") {
				for _, name := range []string{"interval", "timeout"} {
					if d, ok := duration(check, name); !ok || d < time.Second {
						r.errorf(j.path("service."+s.text("name")+".check."+name), "must be at least 1s, got %q", check.text(name))
					}
				}
			}
		}
	}
}

// durations are those that Nomad reads as such.
func (j *job) durations(r *report) {
	for _, part := range []struct {
		at    string
		block block
		names []string
	}{
		{"update", j.group.one("update"), []string{"min_healthy_time", "healthy_deadline", "progress_deadline", "stagger"}},
		{"migrate", j.group.one("migrate"), []string{"min_healthy_time", "healthy_deadline"}},
		{"restart", j.group.one("restart"), []string{"delay", "interval"}},
		{"reschedule", j.group.one("reschedule"), []string{"delay", "max_delay", "interval"}},
		{"disconnect", j.group.one("disconnect"), []string{"lost_after", "stop_on_client_after"}},
		{"group", j.group, []string{"shutdown_delay"}},
		{"task", j.task, []string{"shutdown_delay"}},
	} {
		for _, name := range part.names {
			if d, ok := duration(part.block, name); !ok || d < 0 {
				r.errorf(j.path(part.at+"."+name), "must be a duration such as 30s, got %q", part.block.text(name))
			}
		}
	}
	for _, gone := range []string{"max_client_disconnect", "stop_after_client_disconnect", "prevent_reschedule_on_lost"} {
		if j.group.has(gone) {
			r.errorf(j.path("group."+gone), "must not be set: Nomad ignores it from 1.10 on, use a disconnect block")
		}
	}
}

// parseSeconds reads a time as EMQX does: seconds for a plain number.
func parseSeconds(text string) (int, error) {
	text = strings.Trim(text, `"`)
	if n, err := strconv.Atoi(text); err == nil {
		return n, nil
	}
	d, err := time.ParseDuration(text)
	return int(d.Seconds()), err
}

func parseFloat(text string) (float64, error) { return strconv.ParseFloat(strings.Trim(text, `"`), 64) }
