package broker

import (
	"cmp"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

type key struct {
	check check
	// used: the stand-in acts on it. The others are EMQX keys that are checked
	// and otherwise without effect here.
	used bool
}

const many = 1<<31 - 1

// knownKeys is the part of EMQX 5.8's schema that a deployment sets (names as in
// emqx_conf_schema.erl, emqx_schema.erl and the application schemas of that
// line). A star stands for a name of the user's.
var knownKeys = buildKeys()

// What the stand-in acts on, and what it only checks.
const on, idle = true, false

// keyTable has a check per path.
type keyTable map[string]key

func (k keyTable) add(used bool, prefix string, keys map[string]check) {
	for name, c := range keys {
		k[prefix+name] = key{c, used}
	}
}

func buildKeys() keyTable {
	k := keyTable{}
	k.addNodeKeys()
	k.addListenerKeys()
	k.addDashboardKeys()
	k.addMQTTKeys()
	k.addLogKeys()
	k.addAccessKeys()
	k.addOtherKeys()
	return k
}

// addNodeKeys adds node, cluster and rpc: how a member is named, found and reached.
func (k keyTable) addNodeKeys() {
	k.add(on, "node.", map[string]check{
		"name": text, "cookie": text, "data_dir": text, "role": oneOf("core"), "db_role": oneOf("core"),
		"dist_net_ticktime": duration,
	})
	k.add(idle, "node.", map[string]check{
		"max_ports": integer(1024, 134217727), "process_limit": integer(1024, 134217727),
		"dist_buffer_size": integer(1, 2097151), "max_ets_tables": integer(1, many), "global_gc_interval": durationOr("disabled"),
		"crash_dump_file": text, "crash_dump_seconds": duration, "crash_dump_bytes": byteSize, "backtrace_depth": integer(0, many),
		"etc_dir": text, "db_backend": oneOf("mnesia", "rlog"), "rpc_module": oneOf("gen_rpc", "rpc"),
		"tlog_push_mode": oneOf("sync", "async"), "default_shard_transport": oneOf("gen_rpc", "distr"),
		"default_bootstrap_batch_size": integer(1, many), "broker_pool_size": integer(1, many), "generic_pool_size": integer(1, many),
		"channel_cleanup_batch_size": integer(1, many), "cluster_call.retry_interval": duration,
		"cluster_call.max_history": integer(100, 10240), "cluster_call.cleanup_interval": duration,
	})
	k.add(on, "cluster.", map[string]check{
		"discovery_strategy": oneOf("manual", "static", "singleton", "dns", "etcd", "k8s"),
		"dns.name":           text, "dns.record_type": oneOf("a", "aaaa", "srv"), "static.seeds": list, "autoclean": duration, "autoheal": boolean,
		"proto_dist": oneOf("inet_tcp", "inet6_tcp", "inet_tls", "inet6_tls"),
	})
	k.add(idle, "cluster.", map[string]check{
		"name": text, "prevent_overlapping_partitions": boolean, "quic_lb_mode": anything, "links": absent("cluster links"),
		"etcd.*": anything, "k8s.*": anything,
	})
	k.add(on, "rpc.", map[string]check{
		"port_discovery": oneOf("manual", "stateless"), "server_port": integer(1, 65535), "tcp_server_port": integer(1, 65535),
		"listen_address": text, "protocol": oneOf("tcp", "ssl"), "driver": oneOf("tcp", "ssl"), "connect_timeout": duration,
	})
	k.add(idle, "rpc.", map[string]check{
		"mode": oneOf("sync", "async"), "async_batch_size": integer(1, many), "client_num": integer(1, 256), "tcp_client_num": integer(1, 256),
		"ssl_server_port": integer(1, 65535), "certfile": text, "keyfile": text, "cacertfile": text, "send_timeout": duration,
		"authentication_timeout": duration, "call_receive_timeout": duration, "socket_keepalive_idle": duration,
		"socket_keepalive_interval": duration, "socket_keepalive_count": integer(1, many), "socket_sndbuf": byteSize,
		"socket_recbuf": byteSize, "socket_buffer": byteSize, "insecure_fallback": boolean, "ipv6_only": boolean,
		"ciphers": list, "tls_versions": list,
	})
}

// addListenerKeys adds listeners by kind; QUIC is known and absent.
func (k keyTable) addListenerKeys() {
	for _, typ := range []string{"tcp", "ssl", "ws", "wss"} {
		p := "listeners." + typ + ".*."
		k.add(on, p, map[string]check{
			"enable": boolean, "enabled": boolean, "bind": bindAddress, "max_connections": intOr("infinity"), "acceptors": integer(1, many),
			"max_conn_rate": rate, "proxy_protocol": boolean, "proxy_protocol_timeout": duration,
			"enable_authn": oneOrFlag("quick_deny_anonymous"),
		})
		rulesCount := typ == "tcp" || typ == "ssl" // a WebSocket listener's mean nothing to its web server
		k.add(rulesCount, p, map[string]check{"access_rules": accessRules})
		k.add(idle, p, map[string]check{
			"mountpoint": text, "zone": text, "messages_rate": rate, "bytes_rate": rate,
			"tcp_options.active_n": integer(1, many), "tcp_options.backlog": integer(1, many), "tcp_options.send_timeout": duration,
			"tcp_options.send_timeout_close": boolean, "tcp_options.recbuf": byteSize, "tcp_options.sndbuf": byteSize,
			"tcp_options.buffer": byteSize, "tcp_options.high_watermark": byteSize, "tcp_options.nodelay": boolean,
			"tcp_options.reuseaddr": boolean, "tcp_options.keepalive": text,
		})
		if typ == "ssl" || typ == "wss" {
			k.add(on, p+"ssl_options.", map[string]check{
				"certfile": text, "keyfile": text, "cacertfile": text, "verify": oneOf("verify_peer", "verify_none"),
				"fail_if_no_peer_cert": boolean, "versions": list, "handshake_timeout": duration,
			})
			k.add(idle, p+"ssl_options.", map[string]check{
				"ciphers": list, "depth": integer(0, many), "password": text, "reuse_sessions": boolean, "secure_renegotiate": boolean,
				"honor_cipher_order": boolean, "client_renegotiation": boolean, "hibernate_after": duration, "dhfile": text,
				"gc_after_handshake": boolean, "log_level": text, "enable_crl_check": boolean, "partial_chain": anything,
				"verify_peer_ext_key_usage": anything,
			})
		}
		if typ == "ws" || typ == "wss" {
			k.add(on, p+"websocket.", map[string]check{
				"mqtt_path": text, "fail_if_no_subprotocol": boolean, "supported_subprotocols": list, "proxy_address_header": text,
				"proxy_port_header": text, "max_frame_size": intOr("infinity"),
			})
			k.add(idle, p+"websocket.", map[string]check{
				"mqtt_piggyback": oneOf("single", "multiple"), "compress": boolean, "idle_timeout": durationOr("infinity"),
				"check_origin_enable": boolean, "allow_origin_absence": boolean, "check_origins": list, "deflate_opts.*": anything,
			})
		}
	}
	for _, p := range []string{"listeners.quic.*.enable", "listeners.quic.*.enabled"} {
		k[p] = key{boolean, idle}
	}
	k["listeners.quic.*.bind"] = key{absent("QUIC listener"), idle}
	k["listeners.quic.*"] = key{absent("QUIC listener"), idle}
}

// addDashboardKeys adds the dashboard and its API keys.
func (k keyTable) addDashboardKeys() {
	k.add(on, "dashboard.", map[string]check{
		"listeners.http.bind": bindAddress, "listeners.http.enable": boolean, "default_username": text, "default_password": text,
		"token_expired_time": duration,
	})
	k.add(idle, "dashboard.", map[string]check{
		"listeners.http.num_acceptors": integer(1, many), "listeners.http.max_connections": integer(1, many), "listeners.http.backlog": integer(1, many),
		"listeners.http.send_timeout": duration, "listeners.http.inet6": boolean, "listeners.http.ipv6_v6only": boolean,
		"listeners.http.proxy_header": boolean, "listeners.https.bind": bindAddress, "cors": boolean, "i18n_lang": oneOf("en", "zh"),
		"sample_interval": duration, "swagger_support": boolean, "bootstrap_users_file": text, "password_expired_time": duration,
	})
	k["api_key.bootstrap_file"] = key{text, on}
}

// addMQTTKeys adds MQTT itself and what is retained.
func (k keyTable) addMQTTKeys() {
	k.add(on, "retainer.", map[string]check{
		"enable": boolean, "backend.storage_type": oneOf("ram", "disc"), "backend.max_retained_messages": integer(0, many),
		"max_payload_size": byteSize, "backend.type": oneOf("built_in_database"),
	})
	k.add(idle, "retainer.", map[string]check{
		"msg_expiry_interval": duration, "msg_clear_interval": duration, "stop_publish_clear_msg": boolean, "delivery_rate": rate,
		"deliver_rate": rate, "max_publish_rate": rate, "backend.index_specs": anything, "backend.enable": boolean,
		"msg_expiry_interval_override": durationOr("disabled"), "allow_never_expire": boolean,
	})
	k.add(on, "mqtt.", map[string]check{
		"idle_timeout": durationOr("infinity"), "max_packet_size": byteSize, "session_expiry_interval": duration, "max_inflight": integer(1, 65535),
		"max_mqueue_len": intOr("infinity"), "server_keepalive": intOr("disabled"), "max_qos_allowed": integer(0, 2),
		"peer_cert_as_username": oneOf(certFields...), "peer_cert_as_clientid": oneOf(certFields...), "use_username_as_clientid": boolean, "clientid_override": text,
		"retain_available": boolean, "wildcard_subscription": boolean, "shared_subscription": boolean, "max_topic_alias": integer(0, 65535),
		"max_clientid_len": integer(23, 65535), "max_topic_levels": integer(1, 65535),
	})
	k.add(idle, "mqtt.", map[string]check{
		"exclusive_subscription": boolean, "ignore_loop_deliver": boolean,
		"strict_mode": boolean, "response_information": text, "keepalive_multiplier": anything, "keepalive_check_interval": duration,
		"retry_interval": durationOr("infinity"), "upgrade_qos": boolean, "await_rel_timeout": duration, "max_awaiting_rel": intOr("infinity"),
		"max_subscriptions": intOr("infinity"), "mqueue_priorities": anything, "mqueue_default_priority": oneOf("highest", "lowest"),
		"mqueue_store_qos0":                       boolean,
		"shared_subscription_strategy":            oneOf("random", "round_robin", "round_robin_per_group", "sticky", "local", "hash_topic", "hash_clientid"),
		"shared_subscription_initial_sticky_pick": text, "client_attrs_init": anything,
		"message_expiry_interval": durationOr("infinity"),
	})
}

// addLogKeys adds logs and Prometheus.
func (k keyTable) addLogKeys() {
	k["log.console.level"] = key{oneOf("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency", "all"), on}
	k["log.console_handler.level"] = k["log.console.level"]
	for _, h := range []string{"console.", "console_handler.", "file.", "file.*.", "file_handlers.*."} {
		for name, c := range map[string]check{
			"enable": boolean, "level": text, "formatter": oneOf("text", "json"), "time_offset": text, "timestamp_format": oneOf("auto", "epoch", "rfc3339"),
			"path": text, "to": text, "file": text, "rotation_count": integer(1, 128), "rotation_size": byteSizeOr("infinity"), "max_size": byteSizeOr("infinity"),
			"payload_encode": oneOf("hex", "text", "hidden"), "with_mfa": boolean,
		} {
			if _, ok := k["log."+h+name]; !ok {
				k["log."+h+name] = key{c, idle}
			}
		}
	}
	k.add(idle, "log.throttling.", map[string]check{"time_window": duration, "msgs": list})
	k.add(idle, "prometheus.", map[string]check{
		"push_gateway.*": anything, "collectors.*": oneOf("enabled", "disabled"), "enable": boolean,
	})
	k["prometheus.enable_basic_auth"] = key{boolean, on}
}

// addAccessKeys adds who may connect and do what.
func (k keyTable) addAccessKeys() {
	k.add(on, "authorization.", map[string]check{
		"no_match": asGiven(oneOf("allow", "deny")), "deny_action": asGiven(oneOf("ignore", "disconnect")), "sources": anything, "sources.*": anything,
		"cache.enable": asGiven(boolean), "cache.max_size": asGiven(integer(1, 1048576)), "cache.ttl": asGiven(duration), "cache.excludes": asGiven(list),
	})
	k.add(on, "", map[string]check{"authentication": anything, "authentication.*": anything, "banned.bootstrap_file": text})
}

// addOtherKeys adds what is checked and has no effect here.
func (k keyTable) addOtherKeys() {
	k["license.key"] = key{text, idle}
	k.add(idle, "", map[string]check{
		"broker.enable_session_registry": boolean, "broker.session_locking_strategy": oneOf("local", "leader", "quorum", "all"),
		"broker.shared_dispatch_ack_enabled": boolean, "broker.session_history_retain": duration, "broker.routing.storage_schema": oneOf("v1", "v2"),
		"broker.perf.*": anything, "broker.routing.batch_sync.*": anything,
		"sys_topics.sys_msg_interval": durationOr("disabled"), "sys_topics.sys_heartbeat_interval": durationOr("disabled"), "sys_topics.sys_event_messages.*": boolean,
		"sysmon.vm.*": anything, "sysmon.os.*": anything, "sysmon.top.*": anything, "alarm.actions": list, "alarm.size_limit": integer(1, 3000), "alarm.validity_period": duration,
		"force_shutdown.enable": boolean, "force_shutdown.max_mailbox_size": integer(0, many), "force_shutdown.max_heap_size": byteSize,
		"force_gc.enable": boolean, "force_gc.count": integer(0, many), "force_gc.bytes": byteSize,
		"overload_protection.enable": boolean, "overload_protection.*": anything,
		"conn_congestion.enable_alarm": boolean, "conn_congestion.min_alarm_sustain_duration": duration,
		"flapping_detect.enable": boolean, "flapping_detect.window_time": duration, "flapping_detect.max_count": integer(0, many), "flapping_detect.ban_time": duration,
		"stats.enable": boolean, "telemetry.enable": boolean, "delayed.enable": boolean, "delayed.max_delayed_messages": integer(0, many),
		"trace.payload_encode": oneOf("hex", "text", "hidden"), "crl_cache.*": anything, "zones.*": anything, "limiter.*": anything,
		"durable_sessions.enable": onlyFalse("durable sessions"), "slow_subs.*": anything, "auto_subscribe.*": absent("automatic subscription"),
		"rule_engine.*": absent("rule engine"), "bridges.*": absent("bridge"), "connectors.*": absent("connector"), "gateway.*": absent("gateway"),
		"exhook.*": absent("exhook"), "plugins.*": absent("plugin"), "psk_authentication.enable": onlyFalse("TLS-PSK"),
	})
}

// outsideSchema are EMQX_ variables that the entry point and bin/emqx read
// themselves; their values are taken as they are.
var outsideSchema = map[string]bool{
	"EMQX_NODE_NAME": true, "EMQX_NODE_COOKIE": true, "EMQX_NAME": true, "EMQX_HOST": true, "EMQX_DEFAULT_LOG_HANDLER": true,
	"EMQX_LOG_DIR": true, "EMQX_ETC_DIR": true, "EMQX_DATA_DIR": true, "EMQX_WAIT_FOR_START": true, "EMQX_WAIT_FOR_STOP": true,
}

// lookupKey finds the table's entry for a path, stars included. A final star
// also covers deeper paths; of several entries the longest counts.
func lookupKey(path []string) (key, bool) {
	if k, ok := knownKeys[strings.Join(path, ".")]; ok {
		return k, true
	}
	var matching []string
	for pattern := range knownKeys {
		parts := strings.Split(pattern, ".")
		if len(parts) > len(path) || len(parts) < len(path) && parts[len(parts)-1] != "*" {
			continue
		}
		match := true
		for i, p := range parts {
			match = match && (p == "*" || p == path[i])
		}
		// A trailing star must not swallow the typing mistake in listeners.tcp.default.bindd.
		if match && (len(parts) == len(path) || strings.Count(pattern, "*") == 1 && strings.HasSuffix(pattern, ".*")) {
			matching = append(matching, pattern)
		}
	}
	if len(matching) == 0 {
		return key{}, false
	}
	// The closest one: listeners.quic.*.enable before listeners.quic.*.
	return knownKeys[slices.MaxFunc(matching, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, "."), strings.Count(b, ".")), cmp.Compare(a, b))
	})], true
}

// isPath tells whether the table has something at a path or below it.
func isPath(path []string) bool {
	if _, ok := lookupKey(path); ok {
		return true
	}
	for pattern := range knownKeys {
		parts := strings.Split(pattern, ".")
		if len(parts) < len(path) {
			continue
		}
		match := true
		for i, p := range path {
			match = match && (parts[i] == "*" || parts[i] == p)
		}
		if match {
			return true
		}
	}
	return false
}

// nearestVariable names the known variable that is closest to an unknown one.
func nearestVariable(name string) string {
	best, bestN := "", 1<<30
	try := func(candidate string) {
		n := levenshtein.Distance(name, candidate, nil)
		if partsWithin(strings.Split(name, "__"), strings.Split(candidate, "__")) {
			n = 1 // a level left out, such as SSL_OPTIONS
		}
		if n < bestN || n == bestN && candidate < best {
			best, bestN = candidate, n
		}
	}
	for pattern := range knownKeys {
		try("EMQX_" + strings.ToUpper(strings.ReplaceAll(strings.ReplaceAll(pattern, "*", "default"), ".", "__")))
	}
	for v := range outsideSchema {
		try(v)
	}
	return best
}

// partsWithin tells whether all of a appear in b, in order.
func partsWithin(a, b []string) bool {
	for _, p := range b {
		if len(a) > 0 && a[0] == p {
			a = a[1:]
		}
	}
	return len(a) == 0
}
