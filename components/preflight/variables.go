package preflight

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/hocon"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

const (
	// keepAliveFactor is how many keep-alives EMQX waits for a silent client
	// (mqtt.keepalive_multiplier).
	keepAliveFactor = 1.5
	// maxVariableText: the kernel starts no program with a longer variable (execve(2),
	// MAX_ARG_STRLEN: 32 pages, the final NUL included).
	maxVariableText = 32*4096 - 1
)

// environment are the further variables of EMQX, with one for each value inside an
// object, as EMQX reads it: then who looks for one by its path finds it. What has a
// variable of its own keeps that, as EMQX puts longer paths in later. Those that nobody
// has opened are left out.
func environment(b settings.Broker) map[string]string {
	env := maps.Clone(b.Env)
	if env == nil {
		env = map[string]string{}
	}
	for name, value := range b.SecretEnv {
		if !value.Hidden() {
			env[name] = value.Reveal()
		}
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		hocon.Read(env[name]).Leaves(func(path []string, value string) {
			inner := strings.ToUpper(strings.Join(append([]string{name}, path...), "__"))
			if _, own := env[inner]; !own {
				env[inner] = value
			}
		})
	}
	return env
}

// variableLengths: what the kernel bounds.
func variableLengths(s settings.Settings, _ time.Time, r *Report) {
	for _, name := range s.Broker.EnvNames() {
		if n := len(name) + len("=") + len(s.Broker.EnvValue(name)); n > maxVariableText {
			r.Errorf(Setting("broker.env."+name), "must have at most %d characters with its name, or the kernel starts no EMQX with it, got %d", maxVariableText, n)
		}
	}
}

// brokerMemory: each listener has a limit, which a variable may have put away or raised.
func brokerMemory(in *Input, r *Report) {
	b, tls := in.Settings.Broker, in.Settings.TLS.AtBroker()
	most, env := cluster.BrokerConnections(b.MemoryMB, tls)+cluster.BrokerSpare, environment(b)
	for _, l := range cluster.NamedListeners(in.Settings.Ports.Cluster(), tls, in.Settings.BrokerListeners()) {
		name := "EMQX_LISTENERS__" + strings.ToUpper(l.EMQX) + "__DEFAULT__MAX_CONNECTIONS"
		got, set := env[name]
		if n, err := strconv.Atoi(got); set && (err != nil || n > most) {
			r.Errorf(Setting("broker.env."+name), "must be at most %d, what broker.memoryMb (%d) holds, got %q: EMQX takes clients until the kernel kills it", most, b.MemoryMB, got)
		}
	}
}

// keepAlive: every hop outlasts a client that speaks once per keep-alive, unless a
// variable of EMQX's says otherwise.
func keepAlive(in *Input, r *Report) {
	most, env := in.Settings.Broker.KeepAliveMax, environment(in.Settings.Broker)
	for _, kind := range []string{"WS", "WSS"} {
		name := "EMQX_LISTENERS__" + kind + "__DEFAULT__WEBSOCKET__IDLE_TIMEOUT"
		need := cluster.IdleTimeout(most)
		if d, err := time.ParseDuration(strings.Trim(env[name], `"`)); err == nil && int(d.Seconds()) < need {
			r.Errorf(Setting("broker.env."+name), "must be at least %d s, 1.5 times broker.keepAliveMax (%d), got %d s", need, most, int(d.Seconds()))
		}
	}
	const server, multiplier = "EMQX_MQTT__SERVER_KEEPALIVE", "EMQX_MQTT__KEEPALIVE_MULTIPLIER"
	if seconds, err := parseSeconds(env[server]); err == nil && seconds > most {
		r.Errorf(Setting("broker.env."+server), "must be at most broker.keepAliveMax (%d s), got %d s", most, seconds)
	}
	if times, err := strconv.ParseFloat(strings.Trim(env[multiplier], `"`), 64); err == nil && times > keepAliveFactor {
		r.Warnf(Setting("broker.env."+multiplier), "should be at most %g: the path closes a silent connection after that many keep-alives, got %g", keepAliveFactor, times)
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
