package cloud

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The load balancer with a flexible shape: what it refuses is from the API's reference (CreateLoadBalancerDetails and
// others), from the official provider (internal/service/load_balancer) and from its issues, which are named. Changes of
// one balancer may be asked for at once: the provider holds none back, as it does for the network load balancer.

var flexBalancerKind = kind{
	noun: "loadbalancer", starting: creating, ready: active, deleted: true,
	check: func(s *state, _ string, in, old Props) error {
		if err := need(in, "compartmentId", "displayName", "shape"); err != nil {
			return err
		}
		ids := strs(in, "subnetIds")
		if len(ids) != 1 {
			return invalid("subnetIds must hold one regional subnet, as the lab has no others, got %d", len(ids))
		}
		net, ok := findSubnet(ids[0])
		if !ok {
			return notFound(ids[0])
		}
		if !net.public && !flag(in, "isPrivate", false) {
			return invalid("Private subnet %s is not allowed in a public load balancer", net.name)
		}
		if len(list(in, "reservedIps")) > 0 {
			return &Error{501, "NotImplemented", "the lab has no reserved public addresses"}
		}
		if err := checkShape(in); err != nil {
			return err
		}
		if old != nil && (!slices.Equal(ids, strs(old, "subnetIds")) || flag(in, "isPrivate", false) != flag(old, "isPrivate", false)) {
			return invalid("subnetIds and isPrivate of a load balancer cannot be changed")
		}
		return checkGroups(s, strs(in, "networkSecurityGroupIds"))
	},
	record: func(s *state, r *resource) error {
		net, _ := findSubnet(strs(r.In, "subnetIds")[0])
		private, ok := s.free(net.prefix, firstReserved, lastReserved)
		if !ok {
			return &Error{400, "LimitExceeded", "subnet " + net.name + " has no free address left"}
		}
		r.Address = private.String()
		if flag(r.In, "isPrivate", false) {
			return nil
		}
		public, ok := s.free(publicAddresses, firstReserved, 254)
		if !ok {
			return &Error{400, "LimitExceeded", "no public address is left"}
		}
		r.Public = public.String()
		return nil
	},
	onDelete: func(s *state, r *resource) {
		for id, o := range s.Resources {
			if str(o.In, "loadBalancerId") == r.ID {
				delete(s.Resources, id)
			}
		}
	},
	view: func(_ *state, r *resource) Props {
		public, address := r.Public != "", strOr(Props{"a": r.Public}, "a", r.Address)
		out := clone(r.In)
		for k, v := range (Props{
			"id": r.ID, "isPrivate": !public, "ipAddresses": []any{address}, "ipMode": "IPV4",
			"ipAddressDetails":        []any{Props{"ipAddress": address, "isPublic": public, "reservedIps": []any{}}},
			"networkSecurityGroupIds": orEmptyList(list(r.In, "networkSecurityGroupIds")),
			"definedTags":             orEmptyMap(sub(r.In, "definedTags")), "freeformTags": orEmptyMap(sub(r.In, "freeformTags")),
			"systemTags": Props{}, "securityAttributes": Props{}, "state": r.State, "timeCreated": stamp(r.Created),
			"isDeleteProtectionEnabled": false, "isRequestIdEnabled": false, "requestIdHeader": "",
		}) {
			out[k] = v
		}
		return out
	},
}

func checkShape(in Props) error {
	if shape := str(in, "shape"); !strings.EqualFold(shape, "flexible") {
		return invalid("shape %q: fixed shapes are no longer offered, use flexible", shape)
	}
	details := sub(in, "shapeDetails")
	if details == nil {
		return &Error{400, "MissingParameter", "shapeDetails is required for shape flexible"}
	}
	for _, key := range []string{"minimumBandwidthInMbps", "maximumBandwidthInMbps"} {
		if _, present, err := whole(details, key); err != nil || !present {
			return inside("shapeDetails", invalid("%s is required, a whole number", key))
		}
		if err := within(details, key, 10, 8000); err != nil {
			return inside("shapeDetails", err)
		}
	}
	if low, high := wholeOr(details, "minimumBandwidthInMbps", 0), wholeOr(details, "maximumBandwidthInMbps", 0); low > high {
		return invalid("shapeDetails.maximumBandwidthInMbps must be at least the minimum %d, got %d", low, high)
	}
	return nil
}

var flexName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// checkFlexChild is common to all that a load balancer has: it exists, and the name is one, free and kept.
func checkFlexChild(s *state, token, id, name string, in, old Props) error {
	balancer := str(in, "loadBalancerId")
	if err := need(in, "loadBalancerId"); err != nil {
		return err
	}
	b, ok := s.get(typeFlexBalancer, balancer)
	if !ok {
		return notFound(balancer)
	}
	if b.State == creating {
		return incorrectState("Load balancer %s is being created", balancer)
	}
	if token != typeFlexBackend && !flexName.MatchString(name) {
		return invalid("name %q must have 1 to 32 letters, digits, dashes and underscores", name)
	}
	if old != nil {
		for _, k := range []string{"loadBalancerId", "name", "backendsetName", "certificateName"} {
			if in[k] != nil && old[k] != nil && in[k] != old[k] {
				return invalid("%s cannot be changed", k)
			}
		}
	}
	if r, ok := s.child(token, balancer, str(in, "backendsetName"), name); ok && r.ID != id {
		return invalid("Load balancer %s already has %s '%s'", balancer, kinds[token].noun, name)
	}
	return nil
}

// flexID is the provider's id of a part of a load balancer.
func flexID(collection string) func(r *resource) string {
	return func(r *resource) string {
		return "loadBalancers/" + parentOf(r) + "/" + collection + "/" + childName(r)
	}
}

// flexView is a part as it was written, with what OCI fills in.
func flexView(defaults Props) func(s *state, r *resource) Props {
	return func(_ *state, r *resource) Props {
		out := clone(r.In)
		for k, v := range defaults {
			if out[k] == nil {
				out[k] = v
			}
		}
		out["id"] = r.ID
		return out
	}
}

// Sets, backends and listeners are written as a whole: the provider takes TLS off a listener by leaving it out.
var flexSetKind = kind{
	noun: "backend set", starting: creating, ready: active, whole: true,
	id: flexID("backendSets"),
	check: func(s *state, id string, in, old Props) error {
		if err := checkFlexChild(s, typeFlexSet, id, str(in, "name"), in, old); err != nil {
			return err
		}
		if err := need(in, "policy"); err != nil {
			return err
		}
		if err := oneOf(in, "policy", "ROUND_ROBIN", "LEAST_CONNECTIONS", "IP_HASH"); err != nil {
			return err
		}
		if sub(in, "sslConfiguration") != nil || sub(in, "sessionPersistenceConfiguration") != nil || sub(in, "lbCookieSessionPersistenceConfiguration") != nil {
			return &Error{501, "NotImplemented", "the lab's backend sets have neither TLS nor persistence"}
		}
		// What the official provider makes of backends that it does not know (as terraform-provider-oci#2267).
		for n, b := range subs(in, "backends") {
			if str(b, "ipAddress") == "" {
				return invalid("backends[%d].ipAddress is required", n)
			}
		}
		return checkFlexHealth(sub(in, "healthChecker"))
	},
	passing: "backends",
	placed: func(s *state, set *resource) {
		if set.In["backends"] == nil {
			return
		}
		stay := map[string]bool{}
		for _, b := range subs(set.In, "backends") {
			stay[endName(b)] = true
		}
		for _, b := range s.backends(parentOf(set), childName(set)) {
			if !stay[childName(b)] {
				delete(s.Resources, b.ID)
			}
		}
	},
	held: func(s *state, r *resource) error {
		for _, l := range s.of(typeFlexListener) {
			if parentOf(l) == parentOf(r) && str(l.In, "defaultBackendSetName") == childName(r) && l.State != terminating {
				return invalid("Backend set '%s' is used by listener '%s'", childName(r), childName(l))
			}
		}
		return nil
	},
	onDelete: func(s *state, r *resource) {
		for _, b := range s.backends(parentOf(r), childName(r)) {
			delete(s.Resources, b.ID)
		}
	},
	view: func(s *state, r *resource) Props {
		backends := []any{}
		for _, b := range s.backends(parentOf(r), childName(r)) {
			backends = append(backends, Props{
				"name": childName(b), "ipAddress": str(b.In, "ipAddress"), "port": wholeOr(b.In, "port", 0), "weight": wholeOr(b.In, "weight", 1),
				"backup": flag(b.In, "backup", false), "drain": flag(b.In, "drain", false), "offline": flag(b.In, "offline", false), "maxConnections": 0,
			})
		}
		out := clone(r.In)
		out["id"], out["backends"], out["backendMaxConnections"] = r.ID, backends, wholeOr(r.In, "backendMaxConnections", 0)
		checker := clone(sub(r.In, "healthChecker"))
		for k, v := range (Props{"intervalMs": 10000, "timeoutInMillis": 3000, "retries": 3, "port": 0, "responseBodyRegex": "", "isForcePlainText": false}) {
			if checker[k] == nil {
				checker[k] = v
			}
		}
		out["healthChecker"] = checker
		return out
	},
}

func checkFlexHealth(checker Props) error {
	if checker == nil {
		return &Error{400, "MissingParameter", "healthChecker is required"}
	}
	if err := need(checker, "protocol"); err != nil {
		return err
	}
	if err := oneOf(checker, "protocol", "HTTP", "TCP"); err != nil {
		return err
	}
	if str(checker, "protocol") == "HTTP" && !strings.HasPrefix(str(checker, "urlPath"), "/") {
		return invalid("healthChecker.urlPath must begin with a slash, got %q", str(checker, "urlPath"))
	}
	if r := str(checker, "responseBodyRegex"); r != "" && r != ".*" {
		return &Error{501, "NotImplemented", "the lab's health checks do not look at bodies (responseBodyRegex)"}
	}
	for _, l := range []struct {
		key       string
		low, high int
	}{
		{"port", 0, 65535}, {"intervalMs", 1000, 1800000}, {"timeoutInMillis", 1, 600000}, {"retries", 1, 10}, {"returnCode", 100, 599},
	} {
		if err := within(checker, l.key, l.low, l.high); err != nil {
			return inside("healthChecker", err)
		}
	}
	return nil
}

var flexBackendKind = kind{
	noun: "backend", starting: creating, ready: active, whole: true,
	id: func(r *resource) string {
		return "loadBalancers/" + parentOf(r) + "/backendSets/" + setOf(r) + "/backends/" + childName(r)
	},
	check: func(s *state, id string, in, old Props) error {
		if err := need(in, "backendsetName", "ipAddress"); err != nil {
			return err
		}
		if err := checkFlexChild(s, typeFlexBackend, id, endName(in), in, old); err != nil {
			return err
		}
		if _, ok := s.child(typeFlexSet, str(in, "loadBalancerId"), "", str(in, "backendsetName")); !ok {
			return notFound("backend set " + str(in, "backendsetName") + " of " + str(in, "loadBalancerId"))
		}
		if addr, err := netip.ParseAddr(str(in, "ipAddress")); err != nil || !vcnPrefix.Contains(addr) {
			return invalid("ipAddress %q is not an address of the balancer's VCN (%s)", str(in, "ipAddress"), vcnPrefix)
		}
		if err := checkPort(in); err != nil {
			return err
		}
		if most := wholeOr(in, "maxConnections", 0); most != 0 && most < 256 {
			return invalid("maxConnections must be 0, or 256 at least, got %d", most)
		}
		return within(in, "weight", 1, 100)
	},
	view: func(_ *state, r *resource) Props {
		out := clone(r.In)
		for k, v := range (Props{"weight": 1, "backup": false, "drain": false, "offline": false, "maxConnections": 0}) {
			if out[k] == nil {
				out[k] = v
			}
		}
		out["id"], out["name"] = r.ID, childName(r)
		return out
	},
}

var certificateKind = kind{
	noun: "certificate", starting: creating, ready: active,
	id: flexID("certificates"),
	check: func(s *state, id string, in, old Props) error {
		if old != nil {
			return invalid("a certificate cannot be changed")
		}
		if err := checkFlexChild(s, typeCertificate, id, str(in, "certificateName"), in, old); err != nil {
			return err
		}
		if str(in, "passphrase") != "" {
			return &Error{501, "NotImplemented", "the lab's balancers have no encrypted keys (passphrase)"}
		}
		if _, err := tls.X509KeyPair([]byte(str(in, "publicCertificate")), []byte(str(in, "privateKey"))); err != nil {
			return invalid("The certificate and the private key are not valid, or do not belong together")
		}
		return nil
	},
	held: func(s *state, r *resource) error {
		if s.secures(parentOf(r), "certificateName", childName(r)) {
			// Word for word what OCI answers (terraform-provider-oci#1661).
			return conflict("Certificate '%s' is attached to one or more listeners/backendSets", childName(r))
		}
		return nil
	},
	view: flexView(Props{"caCertificate": "", "passphrase": ""}),
}

// secures tells whether a listener of a balancer has that certificate, or that cipher suite.
func (s *state) secures(balancer, key, name string) bool {
	return slices.ContainsFunc(s.of(typeFlexListener), func(l *resource) bool {
		return parentOf(l) == balancer && l.State != terminating && str(sub(l.In, "sslConfiguration"), key) == name
	})
}

// flexCiphers are those that a suite may hold and that are not for old clients alone (CreateSslCipherSuiteDetails.ciphers).
var flexCiphers = regexp.MustCompile(`^(TLS_(AES_128_GCM_SHA256|AES_256_GCM_SHA384|CHACHA20_POLY1305_SHA256|AES_128_CCM_SHA256|AES_128_CCM_8_SHA256)|` +
	`((ECDHE|ECDH)-(ECDSA|RSA)-|(DHE|DH)-(DSS|RSA)-)?AES(128-GCM-SHA256|128-SHA256|256-GCM-SHA384|256-SHA256|256-SHA384|128-SHA|256-SHA))$`)

var cipherSuiteKind = kind{
	noun: "cipher suite", starting: creating, ready: active,
	id: flexID("sslCipherSuites"),
	check: func(s *state, id string, in, old Props) error {
		if err := checkFlexChild(s, typeCipherSuite, id, str(in, "name"), in, old); err != nil {
			return err
		}
		ciphers := strs(in, "ciphers")
		if len(ciphers) == 0 || strings.HasPrefix(str(in, "name"), "oci-") {
			return invalid("a cipher suite must have ciphers, and no name of Oracle's")
		}
		for _, c := range ciphers {
			if !flexCiphers.MatchString(c) {
				return invalid("ciphers: %q is not supported", c)
			}
		}
		return nil
	},
	held: func(s *state, r *resource) error {
		if s.secures(parentOf(r), "cipherSuiteName", childName(r)) {
			return conflict("Cipher suite '%s' is used by one or more listeners", childName(r))
		}
		return nil
	},
	view: flexView(nil),
}

// Idle seconds of a listener. Oracle documents the default of TCP (300) and an example of 1200; the upper end is the
// console's.
const (
	flexIdleSeconds    = 300
	flexMaxIdleSeconds = 7200
)

var flexListenerKind = kind{
	noun: "listener", starting: creating, ready: active, whole: true,
	id: flexID("listeners"),
	check: func(s *state, id string, in, old Props) error {
		if err := checkFlexChild(s, typeFlexListener, id, str(in, "name"), in, old); err != nil {
			return err
		}
		if err := need(in, "defaultBackendSetName", "protocol"); err != nil {
			return err
		}
		if p := str(in, "protocol"); p != "TCP" {
			return &Error{501, "NotImplemented", "the lab's balancers serve TCP only, not " + p}
		}
		balancer := str(in, "loadBalancerId")
		if set := str(in, "defaultBackendSetName"); set != "" {
			if _, ok := s.child(typeFlexSet, balancer, "", set); !ok {
				return invalid("Listener '%s' refers to unknown backend set '%s'", str(in, "name"), set)
			}
		}
		if err := checkPort(in); err != nil {
			return err
		}
		if err := checkConnections(in); err != nil {
			return err
		}
		for _, l := range s.of(typeFlexListener) {
			if parentOf(l) == balancer && l.ID != id && l.State != terminating && wholeOr(l.In, "port", 0) == wholeOr(in, "port", 0) {
				return invalid("Port %d is used by listener '%s' already", wholeOr(in, "port", 0), childName(l))
			}
		}
		return checkListenerTLS(s, in)
	},
	view: func(s *state, r *resource) Props {
		out := flexView(Props{"hostnameNames": []any{}, "ruleSetNames": []any{}, "pathRouteSetName": "", "routingPolicyName": ""})(s, r)
		if sub(out, "connectionConfiguration") == nil {
			out["connectionConfiguration"] = Props{"idleTimeoutInSeconds": strconv.Itoa(flexIdleSeconds)}
		}
		return out
	},
}

func checkConnections(in Props) error {
	c := sub(in, "connectionConfiguration")
	if c == nil {
		return nil
	}
	if _, present, err := whole(c, "idleTimeoutInSeconds"); err != nil || !present {
		return inside("connectionConfiguration", invalid("idleTimeoutInSeconds is required, a whole number"))
	}
	if err := within(c, "idleTimeoutInSeconds", 1, flexMaxIdleSeconds); err != nil {
		return inside("connectionConfiguration", err)
	}
	if len(strs(c, "backendTcpProxyProtocolOptions")) > 0 {
		return &Error{501, "NotImplemented", "the lab's balancers send no further fields of PROXY protocol (backendTcpProxyProtocolOptions)"}
	}
	return within(c, "backendTcpProxyProtocolVersion", 1, 2)
}

func checkListenerTLS(s *state, in Props) error {
	t := sub(in, "sslConfiguration")
	if t == nil {
		return nil
	}
	balancer, listener := str(in, "loadBalancerId"), str(in, "name")
	if flag(t, "verifyPeerCertificate", true) || len(strs(t, "certificateIds")) > 0 || len(strs(t, "trustedCertificateAuthorityIds")) > 0 {
		return &Error{501, "NotImplemented", "the lab's balancers verify no clients and know no service of certificates"}
	}
	name := str(t, "certificateName")
	if _, ok := s.child(typeCertificate, balancer, "", name); !ok {
		return invalid("Listener for '%s' refers to unknown certificate '%s'", listener, name)
	}
	if suite := str(t, "cipherSuiteName"); suite != "" {
		if _, ok := s.child(typeCipherSuite, balancer, "", suite); !ok {
			return invalid("Listener for '%s' refers to unknown cipher suite '%s'", listener, suite)
		}
	}
	for _, p := range strs(t, "protocols") {
		if !slices.Contains([]string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}, p) {
			return invalid("sslConfiguration.protocols: %q is not supported", p)
		}
	}
	return oneOf(t, "serverOrderPreference", "ENABLED", "DISABLED")
}

// flexSetHealth answers for a set: nothing is known of one that no listener leads to (BackendSetHealth.status).
func flexSetHealth(s *state, args Props) (Props, error) {
	balancer, name := str(args, "loadBalancerId"), str(args, "backendSetName")
	if _, ok := s.child(typeFlexSet, balancer, "", name); !ok {
		return nil, notFound("backend set " + name + " of " + balancer)
	}
	backends := s.backends(balancer, name)
	out := healthOf(backends)
	out["id"], out["loadBalancerId"], out["backendSetName"] = "loadBalancers/"+balancer+"/backendSets/"+name+"/health", balancer, name
	out["status"] = healthUnknown
	if slices.ContainsFunc(s.of(typeFlexListener), func(l *resource) bool {
		return parentOf(l) == balancer && str(l.In, "defaultBackendSetName") == name && l.State != terminating
	}) {
		out["status"] = setHealth(backends)
	}
	return out, nil
}

// flexible are the load balancers that take connections themselves, as the gateway is to serve them.
func (s *state) flexible() []Balancer {
	var out []Balancer
	for _, r := range s.of(typeFlexBalancer) {
		if r.State != active {
			continue
		}
		b := Balancer{ID: r.ID, Private: netip.MustParseAddr(r.Address)}
		if r.Public != "" {
			b.Public = netip.MustParseAddr(r.Public)
		}
		b.Ingress, _ = s.rules(strs(r.In, "networkSecurityGroupIds"))
		for _, l := range s.of(typeFlexListener) {
			if set, ok := s.child(typeFlexSet, r.ID, "", str(l.In, "defaultBackendSetName")); ok && parentOf(l) == r.ID && l.State == active {
				b.Listeners = append(b.Listeners, s.proxied(l, set))
			}
		}
		out = append(out, b)
	}
	return out
}

func (s *state) proxied(l, set *resource) Listener {
	connections := sub(l.In, "connectionConfiguration")
	p := &Proxied{Policy: str(set.In, "policy"), ProxyProtocol: wholeOr(connections, "backendTcpProxyProtocolVersion", 0)}
	eligible := s.eligible(set)
	for _, b := range s.backends(parentOf(set), childName(set)) {
		if addr, ok := s.backendAddress(b); ok && b.State == active {
			end := netip.AddrPortFrom(addr, uint16(wholeOr(b.In, "port", 0))) //nolint:gosec // checked to be a port
			p.Ends = append(p.Ends, End{end, slices.Contains(eligible, end)})
		}
	}
	slices.SortFunc(p.Ends, func(a, b End) int { return a.Address.Compare(b.Address) })
	if t := sub(l.In, "sslConfiguration"); t != nil {
		p.TLS = s.listenerTLS(parentOf(l), t)
	}
	return Listener{
		Name: childName(l), Port: wholeOr(l.In, "port", 0),
		IdleTimeout: time.Duration(wholeOr(connections, "idleTimeoutInSeconds", flexIdleSeconds)) * time.Second,
		Backends:    eligible, Proxied: p,
	}
}

func (s *state) listenerTLS(balancer string, t Props) *ListenerTLS {
	out := &ListenerTLS{
		Protocols: strs(t, "protocols"), ServerOrder: str(t, "serverOrderPreference") == "ENABLED", Tickets: flag(t, "hasSessionResumption", true),
	}
	if len(out.Protocols) == 0 {
		out.Protocols = []string{"TLSv1.2"}
	}
	if r, ok := s.child(typeCertificate, balancer, "", str(t, "certificateName")); ok {
		out.Certificate = fmt.Sprintf("%s\n%s\n", str(r.In, "publicCertificate"), str(r.In, "privateKey"))
	}
	if r, ok := s.child(typeCipherSuite, balancer, "", str(t, "cipherSuiteName")); ok {
		out.Ciphers = strs(r.In, "ciphers")
	}
	return out
}
