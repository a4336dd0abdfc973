package broker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

type listenerConfig struct {
	typ, name      string // tcp ssl ws wss, default
	bind           string
	acceptors      int
	maxConns       int     // 0: no limit
	maxRate        float64 // new connections a second, 0: no limit
	proxy          bool
	rules          []accessRule
	authn          string // true, false, quick_deny_anonymous
	proxyTimeout   time.Duration
	tls            bool
	certFile       string
	keyFile        string
	caFile         string
	verifyPeer     bool
	requireCert    bool
	minTLS, maxTLS uint16
	handshake      time.Duration
	wsPath         string
	wsNeedProto    bool
	wsProtos       []string
	wsAddrHeader   string
	wsPortHeader   string
	wsMaxFrame     int
}

func (l listenerConfig) id() string { return l.typ + ":" + l.name }

var defaultPorts = map[string]string{"tcp": ":1883", "ssl": ":8883", "ws": ":8083", "wss": ":8084"}

func readListeners(s settings, typ string) ([]listenerConfig, error) {
	names := map[string]bool{"default": true}
	for p := range s {
		if parts := strings.Split(p, "."); len(parts) > 3 && parts[0] == "listeners" && parts[1] == typ {
			names[parts[2]] = true
		}
	}
	var out []listenerConfig
	var faults []error
	for _, name := range sortedKeys(names) {
		p := "listeners." + typ + "." + name + "."
		if !get(s, true, p+"enable", p+"enabled") {
			continue
		}
		bind := ""
		if name == "default" {
			bind = defaultPorts[typ]
		}
		l := listenerConfig{
			typ: typ, name: name, bind: get(s, bind, p+"bind"), acceptors: get(s, 16, p+"acceptors"),
			maxConns: max(0, get(s, 0, p+"max_connections")), maxRate: max(0, get(s, 0.0, p+"max_conn_rate")),
			proxy: get(s, false, p+"proxy_protocol"), proxyTimeout: get(s, 3*time.Second, p+"proxy_protocol_timeout"),
			rules: get(s, []accessRule(nil), p+"access_rules"), authn: get(s, "true", p+"enable_authn"),
			tls: typ == "ssl" || typ == "wss", certFile: get(s, "", p+"ssl_options.certfile"), keyFile: get(s, "", p+"ssl_options.keyfile"),
			caFile: get(s, "", p+"ssl_options.cacertfile"), verifyPeer: get(s, "verify_none", p+"ssl_options.verify") == "verify_peer",
			requireCert: get(s, false, p+"ssl_options.fail_if_no_peer_cert"), handshake: get(s, 15*time.Second, p+"ssl_options.handshake_timeout"),
			wsPath: get(s, "/mqtt", p+"websocket.mqtt_path"), wsNeedProto: get(s, true, p+"websocket.fail_if_no_subprotocol"),
			wsProtos:     get(s, []string{"mqtt", "mqtt-v3", "mqtt-v3.1.1", "mqtt-v5"}, p+"websocket.supported_subprotocols"),
			wsAddrHeader: get(s, "x-forwarded-for", p+"websocket.proxy_address_header"),
			wsPortHeader: get(s, "x-forwarded-port", p+"websocket.proxy_port_header"),
			wsMaxFrame:   max(0, get(s, 0, p+"websocket.max_frame_size")),
		}
		var err error
		l.minTLS, l.maxTLS, err = tlsVersions(get(s, []string(nil), p+"ssl_options.versions"))
		if err != nil {
			faults = append(faults, fmt.Errorf("%sssl_options.versions: %w", p, err))
		}
		if l.bind == "" {
			faults = append(faults, fmt.Errorf("%sbind: required for a listener that is not the default one", p))
		}
		if l.tls && (l.certFile == "") != (l.keyFile == "") {
			faults = append(faults, fmt.Errorf("%sssl_options: certfile and keyfile go together", p))
		}
		if l.tls && l.verifyPeer && l.caFile == "" {
			faults = append(faults, fmt.Errorf("%sssl_options.verify: verify_peer needs cacertfile", p))
		}
		if l.requireCert && !l.verifyPeer {
			faults = append(faults, fmt.Errorf("%sssl_options: fail_if_no_peer_cert needs verify = verify_peer (incompatible options)", p))
		}
		out = append(out, l)
	}
	return out, errors.Join(faults...)
}

// accessRule is one of a listener's: whom it lets in, by the address that connects to it.
type accessRule struct {
	allow bool
	all   bool
	net   netip.Prefix
}

// accessRules reads a list of "allow 10.0.0.0/8" and "deny all".
func accessRules(v any) (any, error) {
	lines, err := list(v)
	if err != nil {
		return nil, err
	}
	var out []accessRule
	for _, line := range lines.([]string) {
		verb, whom, ok := strings.Cut(line, " ")
		r := accessRule{allow: verb == "allow", all: whom == "all"}
		if !r.all {
			r.net, err = parseCIDR(whom)
		}
		if !ok || err != nil || verb != "allow" && verb != "deny" {
			return nil, fmt.Errorf("want allow or deny and all or a network, got %q", line)
		}
		out = append(out, r)
	}
	return out, nil
}

// admits asks the rules in order about who connects, which behind a proxy is the proxy. Who
// is in none is let in (esockd_connection_sup:allowed).
func (l listenerConfig) admits(who net.Addr) bool {
	if l.typ == "ws" || l.typ == "wss" {
		return true
	}
	ap, err := netip.ParseAddrPort(who.String())
	for _, r := range l.rules {
		if r.all || err == nil && r.net.Contains(ap.Addr().Unmap()) {
			return r.allow
		}
	}
	return true
}

func tlsVersions(names []string) (lo, hi uint16, err error) {
	known := map[string]uint16{"tlsv1": 0x301, "tlsv1.1": 0x302, "tlsv1.2": 0x303, "tlsv1.3": 0x304}
	for _, n := range names {
		v, ok := known[n]
		if !ok {
			return 0, 0, fmt.Errorf("want tlsv1.2 or tlsv1.3, got %q", n)
		}
		if lo == 0 || v < lo {
			lo = v
		}
		hi = max(hi, v)
	}
	return lo, hi, nil
}

func checkBinds(ls []listenerConfig) error {
	seen := map[string]string{}
	var faults []error
	for _, l := range ls {
		if other, ok := seen[l.bind]; ok && l.bind != "" {
			faults = append(faults, fmt.Errorf("listeners %s and %s share the address %s", other, l.id(), l.bind))
		}
		seen[l.bind] = l.id()
	}
	return errors.Join(faults...)
}

// bindAddress reads 1883, :1883, 10.0.0.1:1883 and [::1]:1883. A host name is
// refused, as EMQX refuses it.
func bindAddress(v any) (any, error) {
	s, err := hoconText(v)
	if err != nil {
		return nil, err
	}
	if n, err := strconv.Atoi(s); err == nil {
		if n < 0 || n > 65535 {
			return nil, fmt.Errorf("port %d is out of range", n)
		}
		if n == 0 {
			return "", nil
		}
		return ":" + s, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return nil, fmt.Errorf("want a port or ip:port, got %q", s)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return nil, fmt.Errorf("want a port or ip:port, got %q", s)
	}
	if host != "" {
		if _, err := netip.ParseAddr(host); err != nil {
			return nil, fmt.Errorf("want a port or ip:port, got %q (a host name cannot be bound)", s)
		}
	}
	return net.JoinHostPort(host, port), nil
}
