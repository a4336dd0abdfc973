package preflight

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/hocon"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

var (
	// lone are variables of the image's start script (bin/emqx), which are no paths.
	lone = []string{
		"EMQX_DEFAULT_LOG_HANDLER", "EMQX_WAIT_FOR_START", "EMQX_WAIT_FOR_STOP", "EMQX_LOG_DIR", "EMQX_CONSOLE_FLAVOR", "EMQX_SSL_DIST_OPTFILE",
	}
	// roots are the first parts of EMQX 5.8's configuration (emqx_conf_schema,
	// "roots", with those of its applications).
	roots = []string{
		"ACTIONS", "ALARM", "API_KEY", "AUTHENTICATION", "AUTHORIZATION", "AUTO_SUBSCRIBE", "BRIDGES", "BROKER", "CLUSTER",
		"CONNECTORS", "CONN_CONGESTION", "CRL_CACHE", "DASHBOARD", "DELAYED", "DURABLE_SESSIONS", "DURABLE_STORAGE", "EXHOOK",
		"FILE_TRANSFER", "FLAPPING_DETECT", "FORCE_GC", "FORCE_SHUTDOWN", "GATEWAY", "GCP_DEVICE", "LICENSE", "LIMITER",
		"LISTENERS", "LOG", "MESSAGE_TRANSFORMATION", "MQTT", "NODE", "OPENTELEMETRY", "OVERLOAD_PROTECTION", "PLUGINS",
		"PROMETHEUS", "PSK_AUTHENTICATION", "REBALANCE", "RETAINER", "REWRITE", "RPC", "RULE_ENGINE", "SCHEMA_REGISTRY",
		"SCHEMA_VALIDATION", "SLOW_SUBS", "STATS", "SYSMON", "SYS_TOPICS", "TELEMETRY", "TOPIC_METRICS", "ZONES", "SOURCES",
	}
	// administered are what people change in the dashboard or over the REST API.
	administered = []string{
		"ACTIONS", "AUTHENTICATION", "AUTHORIZATION", "AUTO_SUBSCRIBE", "BRIDGES", "CONNECTORS", "DELAYED", "EXHOOK", "REWRITE",
		"RULE_ENGINE", "SCHEMA_REGISTRY", "SCHEMA_VALIDATION", "SLOW_SUBS", "SOURCES", "TOPIC_METRICS",
	}
)

// edition: what open-source 5.8 does not have. The licence that a cluster of
// 5.9 or newer needs is a rule of the settings.
func edition(s settings.Settings, _ time.Time, r *Report) {
	name, line, ok := ImageLine(s.Broker.Image)
	if !ok || line != "5.8" || !slices.Contains([]string{"emqx", "emqx-enterprise", "emqx-ee"}, name) {
		return // an image of another name or version: nothing is known of it
	}
	if name != "emqx" {
		if s.Secrets.License == "" {
			r.Warnf(Setting("secrets.license"), "should be set for %q: its built-in trial licence admits 25 connections", s.Broker.Image)
		}
		return
	}
	if s.Secrets.License != "" {
		r.Warnf(Setting("secrets.license"), "should not be set: open-source %q reads no licence", s.Broker.Image)
	}
	for _, name := range s.Broker.EnvNames() {
		value := strings.ToLower(strings.Trim(s.Broker.EnvValue(name), `"`))
		what := ""
		switch {
		case strings.HasPrefix(name, "EMQX_REBALANCE__"):
			what = "no rebalancing and evacuation"
		case strings.HasPrefix(name, "EMQX_LICENSE__"):
			what = "no licences"
		case strings.HasPrefix(name, "EMQX_DURABLE_STORAGE__") && value == "builtin_raft":
			what = "no replicated durable storage"
		case strings.HasPrefix(name, "EMQX_FILE_TRANSFER__") || strings.HasPrefix(name, "EMQX_SCHEMA_REGISTRY__") || strings.HasPrefix(name, "EMQX_GCP_DEVICE__"):
			what = "nothing of this part"
		case name == "EMQX_DURABLE_SESSIONS__ENABLE" && value == "true" && s.Nodes.Count > 1:
			what = "no durable sessions in a cluster"
		}
		if what != "" {
			r.Errorf(Setting("broker.env."+name), "must not be set to %q: open-source %q has %s", s.Broker.EnvValue(name), s.Broker.Image, what)
		}
	}
}

func envHygiene(s settings.Settings, _ time.Time, r *Report) {
	for _, name := range s.Broker.EnvNames() {
		value, path := s.Broker.EnvValue(name), Setting("broker.env."+name)
		first, _, nested := strings.Cut(strings.TrimPrefix(name, "EMQX_"), "__")
		switch {
		case slices.Contains(lone, name):
		case !nested && !slices.Contains(roots, first):
			r.Warnf(path, "should have __ between the parts of its path, such as EMQX_MQTT__MAX_PACKET_SIZE: %q is no part of EMQX 5.8's configuration, and EMQX ignores it",
				strings.ToLower(first))
		case nested && !slices.Contains(roots, first):
			r.Warnf(path, "should begin with a part of EMQX's configuration, such as EMQX_MQTT__: %q is none of 5.8, and EMQX ignores it", strings.ToLower(first))
		case slices.Contains(administered, first):
			r.Warnf(path, "should be set in the dashboard or by the REST API: what is changed there comes back to this value at the next restart")
		}
		// Nomad puts its values in when an allocation starts.
		if strings.Contains(value, "${") && first != "NODE" && first != "RPC" {
			r.Errorf(path, "must be the same on every node, got %q: EMQX shares all of its settings but node and rpc, and one member's address closes the listeners of the others", value)
			continue
		}
		if hidden := s.Broker.SecretEnv[name].Hidden(); hidden || slices.Contains(lone, name) {
			continue // the script reads these as they stand
		}
		_, secret := s.Broker.SecretEnv[name]
		reading(r, path, value, secret)
	}
}

// reading tells of a value that EMQX reads as another one than stands there.
func reading(r *Report, path, value string, secret bool) {
	read := hocon.Read(value)
	quoted := strconv.Quote(value)
	got, reads := quoted, read.String()
	if secret { // what EMQX reads of it is as secret as the whole
		got, quoted, reads = "a secret", `"..."`, "another value"
	}
	looks := strings.TrimSpace(value)
	switch {
	case read.Kind == hocon.Fatal:
		r.Errorf(path, `must be quoted inside, as '%s': EMQX ends at its start, got %s`, quoted, got)
	case read.Kind == hocon.Text && strings.ContainsAny(looks[:min(1, len(looks))], `{["`):
		r.Errorf(path, "must be HOCON that EMQX can read, or be quoted inside: EMQX takes it as one text, brackets and quotes included, got %s", got)
	case read.Same:
	case read.Kind == hocon.Text:
		r.Errorf(path, `must be quoted inside, as '%s': EMQX takes each character above ASCII for one byte, got %s`, quoted, got)
	case read.Value == nil:
		r.Errorf(path, `must not be null, which sets nothing: leave it out, or quote it inside, as '%s'`, quoted)
	case strings.ContainsAny(looks[:1], `{["`):
		r.Errorf(path, "must be written as EMQX reads it, as %s: it leaves comments and spaces out, and signs and zeros of numbers, got %s", reads, got)
	default:
		r.Errorf(path, `must be quoted inside, as '%s', or be written as what EMQX reads, %s: it reads HOCON, got %s`, quoted, reads, got)
	}
}
