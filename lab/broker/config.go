package broker

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// config is what the environment asks for, checked.
type config struct {
	node     nodeName
	cookie   string
	dataDir  string
	tickTime time.Duration // a silent peer is dead after this long

	strategy   string // manual, singleton, static, dns
	dnsName    string
	recordType string
	seeds      []nodeName
	autoclean  time.Duration
	autoheal   bool

	distAddr string // listen address of the distribution port, "" for all
	rpcAddr  string
	rpcPort  int // own and, when ports are manual, every peer's
	rpcByDig bool

	listeners []listenerConfig
	dashboard dashboardConfig
	keyFile   string
	retain    retainConfig
	mqtt      mqttConfig
	etcDir    string
	env       []string // the process's, for paths
	layers    accessLayers
	access    *access // what they make at the start
	statsAuth bool    // credentials needed for prometheus/stats
	logLevel  string
	idle      []string // keys accepted without effect
	unknown   []string // variables that name no setting
}

type dashboardConfig struct {
	bind           string // "" when off
	user, password string
	tokenTTL       time.Duration
}

type retainConfig struct {
	enable, disc bool
	maxMessages  int
	maxPayload   int
}

type mqttConfig struct {
	idleTimeout     time.Duration
	maxPacket       int
	sessionExpiry   time.Duration
	maxInflight     int
	maxQueue        int
	serverKeepalive int
	maxQoS          int
	retain          bool
	wildcard        bool
	shared          bool
	topicAlias      int
	maxClientID     int // bytes
	maxLevels       int

	certUsername, certClientID string // what of a certificate is the name; disabled
	nameIsClientID             bool   // use_username_as_clientid
	clientID                   *variform
	banned                     string // banned.bootstrap_file
}

// nodeName is emqx@host; the short name's trailing digits move the ports.
type nodeName struct{ short, host string }

func (n nodeName) String() string { return n.short + "@" + n.host }

var shortNameRE = regexp.MustCompile(`^[0-9A-Za-z_-]+$`)

func parseNodeName(s string) (nodeName, error) {
	short, host, ok := strings.Cut(s, "@")
	if !ok || host == "" || !shortNameRE.MatchString(short) {
		return nodeName{}, fmt.Errorf("node name %q: want name@host, the name of letters, digits, _ and -", s)
	}
	return nodeName{short, host}, nil
}

// offset is what ekka adds to a base port: the digits the short name ends in.
func (n nodeName) offset() int {
	i := len(n.short)
	for i > 0 && isDigit(n.short[i-1]) {
		i--
	}
	v, _ := strconv.Atoi(n.short[i:])
	return v
}

const (
	baseDistPort  = 4370
	baseRPCPort   = 5370
	defaultCookie = "emqxsecretcookie"
)

func (n nodeName) distPort() int { return baseDistPort + n.offset() }

// settings are the checked values by path.
type settings map[string]any

func get[T any](s settings, def T, paths ...string) T {
	for _, p := range paths {
		if v, ok := s[p].(T); ok {
			return v
		}
	}
	return def
}

// readSettings turns EMQX_ variables into checked values. All faults come at once. A
// variable that names no setting is none, as in EMQX: one below a known root is warned
// of, any other is not even that. What stands inside a value is checked.
func readSettings(env []string) (s settings, plain map[string]string, idle, unknown []string, err error) {
	s, plain = settings{}, map[string]string{}
	var faults []error
	vars := map[string]string{}
	for _, kv := range env {
		if name, value, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "EMQX_") {
			vars[name] = value
		}
	}
	for _, name := range sortedKeys(vars) {
		value := vars[name]
		if outsideSchema[name] {
			plain[name] = value
			continue
		}
		path := strings.Split(strings.ToLower(strings.TrimPrefix(name, "EMQX_")), "__")
		if !isPath(path) {
			if isPath(path[:1]) {
				unknown = append(unknown, name)
			}
			continue
		}
		leaves := map[string]any{}
		flatten(path, parseHocon(value), leaves)
		for _, p := range sortedKeys(leaves) {
			k, ok := lookupKey(strings.Split(p, "."))
			if !ok {
				faults = append(faults, fmt.Errorf("%s: EMQX has no setting %q that this stand-in knows; did you mean %s?", name, p, nearestVariable(name)))
				continue
			}
			v, err := k.check(leaves[p])
			if err != nil {
				faults = append(faults, fmt.Errorf("%s: %s: %w", name, p, err))
				continue
			}
			s[p] = v
			if !k.used {
				idle = append(idle, p)
			}
		}
	}
	return s, plain, idle, unknown, errors.Join(faults...)
}

// flatten spreads a map value over its leaves, unless the table has the path itself.
func flatten(path []string, v any, out map[string]any) {
	m, ok := v.(map[string]any)
	_, known := lookupKey(path)
	if !ok || known {
		out[strings.Join(path, ".")] = v
		return
	}
	for k, x := range m {
		flatten(append(slices.Clone(path), strings.Split(k, ".")...), x, out)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// loadConfig reads the environment as EMQX's entry point and schema would.
func loadConfig(env []string) (config, error) {
	s, plain, idle, unknown, err := readSettings(env)
	faults := []error{err}
	fault := func(e error) {
		if e != nil {
			faults = append(faults, e)
		}
	}
	c := config{
		cookie:     get(s, defaultCookie, "node.cookie"),
		dataDir:    get(s, "/opt/emqx/data", "node.data_dir"),
		tickTime:   get(s, 2*time.Minute, "node.dist_net_ticktime"),
		strategy:   get(s, "manual", "cluster.discovery_strategy"),
		dnsName:    get(s, "localhost", "cluster.dns.name"),
		recordType: get(s, "a", "cluster.dns.record_type"),
		autoclean:  get(s, 24*time.Hour, "cluster.autoclean"),
		autoheal:   get(s, true, "cluster.autoheal"),
		keyFile:    get(s, "", "api_key.bootstrap_file"),
		statsAuth:  get(s, false, "prometheus.enable_basic_auth"),
		logLevel:   get(s, "warning", "log.console.level", "log.console_handler.level"),
		etcDir:     cmp.Or(plain["EMQX_ETC_DIR"], "/opt/emqx/etc"),
		idle:       idle,
		unknown:    unknown,
		env:        env,
	}
	fault(c.readAccess(s))
	if v := plain["EMQX_NODE_COOKIE"]; v != "" && s["node.cookie"] == nil {
		c.cookie = v
	}
	if c.cookie == "" {
		fault(errors.New("EMQX_NODE__COOKIE: the cookie is empty"))
	}
	name := plain["EMQX_NODE_NAME"] // wins over EMQX_NODE__NAME, as in the entry point
	if name == "" {
		name = get(s, "", "node.name")
	}
	if name == "" {
		name = defaultNodeName(plain)
	}
	c.node, err = parseNodeName(name)
	fault(err)
	fault(c.readCluster(s, env))
	for _, typ := range []string{"tcp", "ssl", "ws", "wss"} {
		ls, err := readListeners(s, typ)
		fault(err)
		c.listeners = append(c.listeners, ls...)
	}
	fault(checkBinds(c.listeners))
	c.dashboard = dashboardConfig{
		bind: get(s, ":18083", "dashboard.listeners.http.bind"), user: get(s, "admin", "dashboard.default_username"),
		password: get(s, "public", "dashboard.default_password"), tokenTTL: get(s, time.Hour, "dashboard.token_expired_time"),
	}
	if !get(s, true, "dashboard.listeners.http.enable") {
		c.dashboard.bind = ""
	}
	c.retain = retainConfig{
		enable: get(s, true, "retainer.enable"), disc: get(s, "ram", "retainer.backend.storage_type") == "disc",
		maxMessages: get(s, 0, "retainer.backend.max_retained_messages"), maxPayload: get(s, 1<<20, "retainer.max_payload_size"),
	}
	c.mqtt = mqttConfig{
		idleTimeout: get(s, 15*time.Second, "mqtt.idle_timeout"), maxPacket: get(s, 1<<20, "mqtt.max_packet_size"),
		sessionExpiry: get(s, 2*time.Hour, "mqtt.session_expiry_interval"), maxInflight: get(s, 32, "mqtt.max_inflight"),
		maxQueue: get(s, 1000, "mqtt.max_mqueue_len"), serverKeepalive: get(s, -1, "mqtt.server_keepalive"),
		maxQoS: get(s, 2, "mqtt.max_qos_allowed"), retain: get(s, true, "mqtt.retain_available"),
		wildcard: get(s, true, "mqtt.wildcard_subscription"), shared: get(s, true, "mqtt.shared_subscription"),
		maxClientID: get(s, 65535, "mqtt.max_clientid_len"), maxLevels: get(s, 128, "mqtt.max_topic_levels"),
		topicAlias: get(s, 65535, "mqtt.max_topic_alias"), certUsername: get(s, "disabled", "mqtt.peer_cert_as_username"),
		certClientID: get(s, "disabled", "mqtt.peer_cert_as_clientid"), nameIsClientID: get(s, false, "mqtt.use_username_as_clientid"),
	}
	if text := get(s, "disabled", "mqtt.clientid_override"); text != "disabled" {
		c.mqtt.clientID, err = parseVariform(text)
		if err != nil {
			fault(fmt.Errorf("mqtt.clientid_override: %w", err))
		}
	}
	c.mqtt.banned = get(s, "", "banned.bootstrap_file")
	return c, errors.Join(faults...)
}

// defaultNodeName is what the entry point makes up from `hostname -i`.
func defaultNodeName(plain map[string]string) string {
	short, host := plain["EMQX_NAME"], plain["EMQX_HOST"]
	if short == "" {
		short = "emqx"
	}
	if host == "" {
		host = "127.0.0.1"
		addrs, _ := net.InterfaceAddrs()
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
				host = n.IP.String()
				break
			}
		}
	}
	return short + "@" + host
}

var distInterfaceRE = regexp.MustCompile(`-kernel\s+inet_dist_use_interface\s+['"]?(\S[^'"]*?)['"]?(?:\s+[-+]|\s*$)`)

func (c *config) readCluster(s settings, env []string) error {
	var faults []error
	for _, kv := range env {
		flags, ok := strings.CutPrefix(kv, "ERL_FLAGS=")
		if !ok || !strings.Contains(flags, "inet_dist_use_interface") {
			continue
		}
		addr, err := distInterface(flags)
		if err != nil {
			faults = append(faults, err)
		}
		c.distAddr = addr
	}
	c.rpcAddr = get(s, "0.0.0.0", "rpc.listen_address")
	if _, err := netip.ParseAddr(c.rpcAddr); err != nil {
		faults = append(faults, fmt.Errorf("EMQX_RPC__LISTEN_ADDRESS: bad_ip_address %q", c.rpcAddr))
	}
	// The image sets manual; outside it EMQX's own default would be stateless.
	c.rpcByDig = get(s, "manual", "rpc.port_discovery") == "stateless"
	c.rpcPort = get(s, 5369, "rpc.server_port", "rpc.tcp_server_port")
	if c.rpcByDig {
		c.rpcPort = baseRPCPort + c.node.offset()
	}
	if p := get(s, "tcp", "rpc.protocol", "rpc.driver"); p == "ssl" {
		faults = append(faults, errors.New("EMQX_RPC__PROTOCOL: the stand-in has no TLS between nodes; want tcp"))
	}
	if p := get(s, "inet_tcp", "cluster.proto_dist"); p != "inet_tcp" && p != "inet6_tcp" {
		faults = append(faults, fmt.Errorf("EMQX_CLUSTER__PROTO_DIST: the stand-in has no TLS between nodes; want inet_tcp, got %s", p))
	}
	switch c.strategy {
	case "etcd", "k8s":
		faults = append(faults, fmt.Errorf("EMQX_CLUSTER__DISCOVERY_STRATEGY: the stand-in has no %s discovery", c.strategy))
	case "dns":
		if _, err := netip.ParseAddr(c.node.host); c.recordType != "srv" && err != nil {
			faults = append(faults, fmt.Errorf("EMQX_CLUSTER__DNS__RECORD_TYPE is %s, so the host of node name %q must be an IP address", c.recordType, c.node))
		}
	}
	for _, name := range get(s, []string(nil), "cluster.static.seeds") {
		n, err := parseNodeName(name)
		if err != nil {
			faults = append(faults, fmt.Errorf("EMQX_CLUSTER__STATIC__SEEDS: %w", err))
			continue
		}
		c.seeds = append(c.seeds, n)
	}
	return errors.Join(faults...)
}

// distInterface reads the Erlang tuple {10,80,1,10}.
func distInterface(flags string) (string, error) {
	bad := fmt.Errorf("ERL_FLAGS: want -kernel inet_dist_use_interface {a,b,c,d}, got %q", flags)
	m := distInterfaceRE.FindStringSubmatch(flags)
	if m == nil || !strings.HasPrefix(m[1], "{") || !strings.HasSuffix(m[1], "}") {
		return "", bad
	}
	ip, err := netip.ParseAddr(strings.ReplaceAll(strings.ReplaceAll(strings.Trim(m[1], "{}"), " ", ""), ",", "."))
	if err != nil {
		return "", bad
	}
	return ip.String(), nil
}
