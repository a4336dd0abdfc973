package cluster

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// VariablePattern is the name of a variable that EMQX reads as a part of its
// configuration. It has one spelling of each path: EMQX leaves out empty parts, and of two
// spellings the later one in order counts.
const VariablePattern = `^EMQX_[A-Z0-9]+(__?[A-Z0-9]+)*$`

var variablePattern = regexp.MustCompile(VariablePattern)

// owned are the parts of EMQX's configuration that the stack stands on: what the
// volumes, the member list, the gates, HAProxy and the published endpoints rely on. A
// path's words are those of EMQX 5.8.9 (emqx_conf_schema, emqx_schema,
// emqx_dashboard_schema, emqx_retainer_schema), "*" is any one; "a|b" are names of the
// same thing, as EMQX knows aliases.
var owned = []struct{ path, why string }{
	{"node.name", "it is the node's identity"},
	{"node.cookie", "it is secrets.erlangCookie"},
	{"node.data_dir", "there the volume is mounted"},
	{"node.role|db_role", "every node has a volume and all data"},
	{"node.db_backend", "members could not join"},
	{"node.config_files", "it is the image's own"},
	{"cluster.name", "members could not join"},
	{"cluster.discovery_strategy", "members find each other in Consul"},
	{"cluster.core_nodes", "every node is a core node"},
	{"cluster.autoclean", "a member that comes back with its data after it was removed cannot start"},
	{"cluster.proto_dist", "the nodes' firewall opens 4370 for TCP"},
	{"cluster.static", "members find each other in Consul"},
	{"cluster.dns", "members find each other in Consul"},
	{"cluster.mcast", "members find each other in Consul"},
	{"cluster.etcd", "members find each other in Consul"},
	{"cluster.k8s", "members find each other in Consul"},
	{"rpc", "members reach each other at 5370 and nowhere else, and forward without waiting for an answer"},
	{"listeners.tcp|ssl|ws|wss.default.enable|enabled", "the proxies, the balancer and the endpoints lead to it; tls decides on the encrypted ones"},
	{"listeners.tcp|ssl|ws|wss.default.bind", "it is ports.broker"},
	{"listeners.tcp|ssl|ws|wss.default.proxy_protocol", "the proxies say by it who a client is"},
	{"listeners.ws|wss.default.websocket.mqtt_path", "the endpoints and the gates say /mqtt"},
	{"listeners.ws|wss.default.websocket.proxy_address_header|proxy_port_header", "a client could say that it is another one"},
	{"listeners.ssl|wss.default.ssl_options.certfile|keyfile|cacertfile", "it is the certificate of tls"},
	{"dashboard.listeners.http.bind", "every check asks EMQX at 18083"},
	{"dashboard.listeners.http.enable", "every check asks EMQX at 18083"},
	{"dashboard.listeners.http.proxy_header", "every check asks EMQX at 18083, without a proxy between"},
	{"dashboard.default_username", "it is admin, with secrets.dashboardPassword"},
	{"dashboard.default_password", "it is secrets.dashboardPassword"},
	{"api_key.bootstrap_file", "there is the key that gates, status and backups ask EMQX with"},
	{"retainer.backend.type|storage_type", "retained messages are on the volumes"},
	{"durable_storage.*.data_dir", "messages of sessions are on the volumes"},
	{"prometheus.enable_basic_auth", "status and rebalance read the metrics"},
	{"broker.enable_session_registry", "clients move with their sessions"},
	{"license.key", "it is secrets.license"},
}

// scripted are variables of the image's start script (bin/emqx, docker-entrypoint.sh)
// that stand above the configuration.
var scripted = map[string]string{
	"EMQX_NODE_NAME":         "it is the node's identity",
	"EMQX_NAME":              "it is the node's identity",
	"EMQX_HOST":              "it is the node's identity",
	"EMQX_NODE_COOKIE":       "it is secrets.erlangCookie",
	"EMQX_ETC_DIR":           "the image's configuration is where it is",
	"EMQX_BOOT_CONFIGS":      "the script makes it, with the node's name, its cookie and the place of its data",
	"EMQX_START_DAEMON_MODE": "Nomad runs EMQX",
}

// VariableFault tells why a variable of EMQX must not be set, "" for one that may be. The
// value does not matter: below such a part everything is the stack's, and EMQX replaces
// all that is below a variable of a part above.
func VariableFault(name string) string {
	if !variablePattern.MatchString(name) {
		return "must be a variable of EMQX, EMQX_ and capital letters, with _ or __ between words"
	}
	if why := ownedBy(name); why != "" {
		return "must not be set: " + why
	}
	return ""
}

func ownedBy(name string) string {
	if why, ok := scripted[name]; ok {
		return why
	}
	path := strings.Split(strings.ToLower(strings.TrimPrefix(name, "EMQX_")), "__")
	var holds []string
	for _, o := range owned {
		switch pattern := strings.Split(o.path, "."); {
		case !samePath(path, pattern):
		case len(path) >= len(pattern):
			return fmt.Sprintf("%s is the stack's own: %s", strings.Join(path[:len(pattern)], "."), o.why)
		default:
			holds = append(holds, spelled(path, pattern))
		}
	}
	if len(holds) == 0 {
		return ""
	}
	return fmt.Sprintf("it replaces all of %s, and %s is the stack's own: set the parts that you mean one by one, as %s__...",
		strings.Join(path, "."), holds[0], name)
}

// spelled is a pattern with a path's words, and the first of its own where that ends.
func spelled(path, pattern []string) string {
	words := slices.Clone(path)
	for _, names := range pattern[len(path):] {
		first, _, _ := strings.Cut(names, "|")
		words = append(words, first)
	}
	return strings.Join(words, ".")
}

// samePath tells whether a path and a pattern agree as far as both go.
func samePath(path, pattern []string) bool {
	for i := range min(len(path), len(pattern)) {
		if pattern[i] != "*" && !slices.Contains(strings.Split(pattern[i], "|"), path[i]) {
			return false
		}
	}
	return true
}

var (
	// secretWords are words of a variable's path whose value nobody may see. Of the words
	// "key" and "keys" only the last counts: what an API key or a licence key is, but
	// neither key files nor keep-alives.
	secretWords = []string{"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "CREDENTIALS", "COOKIE", "PSK"}
	keyWords    = []string{"KEY", "KEYS", "APIKEY"}
	// plainWords end the name of a thing that is about secrets and none itself:
	// PASSWORD_HASH_ALGORITHM, TOKEN_EXPIRED_TIME, SECRET_BASE64_ENCODED.
	plainWords = []string{
		"ALGORITHM", "NAME", "ENABLE", "ENABLED", "TIME", "TTL", "EXPIRY", "EXPIRED", "INTERVAL", "TIMEOUT", "POSITION", "ENCODED",
		"ROUNDS", "ITERATIONS", "FILE", "SEPARATOR", "CHUNK", "SIZE", "MECHANISM", "BACKEND", "QUERY", "FILTER", "FROM",
	}

	// credentials are a user's name and password in a URL, or a field of a HOCON object
	// whose name says what it is.
	credentials = regexp.MustCompile(`(?i)://[^/\s:@"]*:[^/\s@"]+@|(^|[{,\s"])(password|passwd|secret|token|api_?key|private_?key|secret_?access_?key)"?\s*[:=]`)
	// reference is what names a value that lies elsewhere.
	reference = regexp.MustCompile(`^"?(file://|\$\{)[^"]*"?$`)
)

// namesSecret tells whether a variable of EMQX, by its name, holds what nobody may see.
func namesSecret(name string) bool {
	parts := strings.Split(strings.TrimPrefix(name, "EMQX_"), "__")
	words := strings.Split(parts[len(parts)-1], "_")
	last := words[len(words)-1]
	if slices.Contains(plainWords, last) {
		return false
	}
	return slices.Contains(keyWords, last) || slices.ContainsFunc(words, func(w string) bool { return slices.Contains(secretWords, w) })
}

// HoldsSecret tells whether what a variable of EMQX says, by its name or its value, must
// not stand in the open, as in a job's text.
func HoldsSecret(name, value string) bool {
	switch {
	case reference.MatchString(value), value == "", value == `""`:
		return false
	}
	return namesSecret(name) || credentials.MatchString(value)
}
