package broker

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// principal is a client as EMQX's clientinfo has it: what it says of itself, what its
// listener knows of it, and what the authenticators found out. Absent is not empty.
type principal struct {
	clientID           string
	username, password *string
	host               netip.Addr
	cert               *certificate
	enhanced           bool // it came with an authentication method of MQTT 5

	superuser bool
	claims    *claimedRules
	expireAt  time.Time // its connection ends then; zero: never
	cache     decisions
}

func principalOf(cl *mqtt.Client, pk packets.Packet) *principal {
	who := &principal{clientID: cl.ID, enhanced: cl.Properties.ProtocolVersion == 5 && pk.Properties.AuthenticationMethod != ""}
	if pk.Connect.UsernameFlag {
		name := string(pk.Connect.Username)
		who.username = &name
	}
	if pk.Connect.PasswordFlag {
		word := string(pk.Connect.Password)
		who.password = &word
	}
	if ap, err := netip.ParseAddrPort(cl.Net.Remote); err == nil {
		who.host = ap.Addr().Unmap()
	}
	return who
}

// verdict is what an authenticator says of a client.
type verdict struct {
	next      bool          // it knows nothing of the client: ask the next one
	refused   *packets.Code // nil: the client may connect
	superuser bool
	claims    *claimedRules
	expireAt  time.Time
}

var ignored = verdict{next: true}

func refusedWith(code packets.Code) verdict { return verdict{refused: &code} }

// provider checks credentials in one way.
type provider interface {
	authenticate(n *node, who *principal) verdict
}

// starter is a provider that does something when it is created, until it is stopped.
type starter interface {
	start(n *node) (stop func())
}

// authenticator is an element of the chain.
type authenticator struct {
	id       string // mechanism, or mechanism:backend
	enabled  bool
	raw      map[string]any
	provider provider
	stop     func()
}

// authenticatorID is authenticator_id of emqx_authn_config: one of a kind is in the chain.
func authenticatorID(raw map[string]any) string {
	mechanism, _ := raw["mechanism"].(string)
	if backend, ok := raw["backend"].(string); ok && mechanism != "" {
		return mechanism + ":" + backend
	}
	return mechanism
}

const (
	builtinID = "password_based:built_in_database"
	httpID    = "password_based:http"
	jwtID     = "jwt"
)

// chainOf reads the root authentication: a list, or one authenticator.
func chainOf(v any) ([]authenticator, error) {
	elements, err := listOf(v)
	if err != nil {
		return nil, fmt.Errorf("authentication: %w", err)
	}
	var chain []authenticator
	var faults []error
	for i, e := range elements {
		a, err := readAuthenticator(fmt.Sprintf("authentication.%d", i+1), e)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if slices.ContainsFunc(chain, func(o authenticator) bool { return o.id == a.id }) {
			faults = append(faults, fmt.Errorf("authentication.%d: already_exists: a second authenticator %s", i+1, a.id))
		}
		chain = append(chain, a)
	}
	return chain, errors.Join(faults...)
}

func readAuthenticator(path string, v any) (authenticator, error) {
	f := fieldsOf(path, v)
	a := authenticator{id: authenticatorID(f.m), enabled: f.flag("enable", true), raw: f.m}
	f.ignore("mechanism", "backend")
	var err error
	switch a.id {
	case builtinID:
		a.provider, err = readBuiltin(f)
	case jwtID:
		a.provider, err = readTokens(f)
	case httpID:
		a.provider, err = readWebhook(f)
	case "":
		err = fmt.Errorf("%s: want a mechanism and, for password_based, a backend", path)
	default:
		fields, known := databases[a.id]
		if !known {
			err = thrown{fmt.Errorf("%s: the stand-in has no authentication by %s; want %s", path, a.id, strings.Join([]string{builtinID, jwtID, httpID}, ", "))}
			break
		}
		a.provider, err = database{}, readDatabase(f, fields)
	}
	return a, err
}

// authenticate asks the chain, as emqx_authn_chains:authenticate and do_authenticate do.
// Without an enabled authenticator everybody may connect; when none knows the client it is
// not authorized. What it finds out goes into who. The code is nil when who may connect.
func (n *node) authenticate(who *principal) *packets.Code {
	if n.admits(who) {
		return nil
	}
	chain := slices.DeleteFunc(slices.Clone(n.access().chain), func(a authenticator) bool { return !a.enabled })
	for _, a := range chain {
		v := a.provider.authenticate(n, who)
		if v.next {
			continue
		}
		if v.refused == nil {
			who.superuser, who.claims, who.expireAt = v.superuser, v.claims, v.expireAt
		}
		return v.refused
	}
	if len(chain) > 0 {
		return &packets.ErrNotAuthorized
	}
	return nil
}

// admits is what emqx_oci_devices.erl does, once it is loaded, before any authenticator: a hook of client.authenticate
// (emqx_access_control:authenticate, HP_AUTHN of emqx_hooks.hrl).
func (n *node) admits(who *principal) bool {
	if !n.admitsDevices.Load() || who.enhanced || who.cert == nil || who.cert.cn == "" || who.username == nil || *who.username != who.cert.cn {
		return false
	}
	var u user
	if !n.data.lookup(usersTable, userKey(*who.username), &u) {
		return n.admitsNames.Load() && !strings.HasPrefix(who.cert.cn, "emqx-oci-")
	}
	return u.Salt == "emqx-oci-certificate" && !u.Superuser
}

// OnConnectAuthenticate checks bans before credentials, as emqx_channel:process_connect. The
// server knows one reason to refuse a client; the right one is put into CONNACK later.
func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, _ packets.Packet) bool {
	k := linkOf(cl)
	if k == nil || k.who == nil {
		return true
	}
	switch {
	case k.denial != nil:
	case h.app.node.banned(k.who):
		k.denial = &packets.ErrBanned
	case k.authn == "false":
	case k.authn == "quick_deny_anonymous" && (k.who.username == nil || *k.who.username == ""):
		k.denial = &packets.ErrNotAuthorized
	default:
		k.denial = h.app.node.authenticate(k.who)
	}
	if k.denial == nil {
		return true
	}
	h.app.node.log.Warn("authentication_failure", "clientid", cl.ID, "peername", cl.Net.Remote, "reason", k.denial.Reason)
	return false
}

// endWhenExpired ends a connection when its credential's time is over, also one that could
// have connected in another way (emqx_channel:schedule_connection_expire).
func (a *app) endWhenExpired(k *link) {
	if k.who == nil || k.who.expireAt.IsZero() {
		return
	}
	k.expiry = time.AfterFunc(time.Until(k.who.expireAt), func() {
		a.disconnect(k.client, packets.ErrNotAuthorized)
	})
}

// connack3 are the codes that CONNACK of MQTT 3.1.1 has for those of MQTT 5 (emqx_reason_codes:compat): 1 protocol, 2
// identifier, 3 server, 4 credentials, 5 authorization.
var connack3 = map[byte]byte{
	packets.ErrProtocolViolation.Code: 1, packets.ErrClientIdentifierNotValid.Code: 2, packets.ErrTopicNameInvalid.Code: 3,
	packets.ErrBadUsernameOrPassword.Code: 4, packets.ErrNotAuthorized.Code: 5, packets.ErrBanned.Code: 5,
}

// malformedConnack answers a CONNECT that cannot be one: MQTT 5 clients hear that their packet is too large, whatever it is, and
// others nothing (emqx_channel:handle_frame_error).
func malformedConnack(pk packets.Packet, version byte) packets.Packet {
	if version == 5 {
		return denyConnack(pk, packets.ErrPacketTooLarge, version)
	}
	pk.FixedHeader.Type = packets.Reserved
	return pk
}

// denyConnack puts the reason into CONNACK, in the words of the client's version.
func denyConnack(pk packets.Packet, why packets.Code, version byte) packets.Packet {
	pk.ReasonCode = why.Code
	pk.Properties = packets.Properties{}
	if version < 5 {
		code, known := connack3[why.Code]
		if !known {
			code = packets.Err3ServerUnavailable.Code
		}
		pk.ReasonCode = code
	}
	return pk
}

// databases are what the authenticators have that the stand-in cannot ask: the fields without
// which EMQX does not start, and others, by id (apps/emqx_auth_*/src/emqx_authn_*_schema.erl,
// emqx_connector_schema_lib, emqx_redis, emqx_mongodb, emqx_ldap).
var databases = map[string]struct{ need, may string }{
	"password_based:postgresql": {"server database username query", "password disable_prepared_statements"},
	"password_based:mysql":      {"server database query", "username password query_timeout"},
	"password_based:redis":      {"server redis_type cmd", "username password database"},
	"password_based:mongodb":    {"server mongo_type database collection", "username password filter auth_source password_hash_field salt_field is_superuser_field srv_record use_legacy_protocol w_mode topology"},
	"password_based:ldap":       {"server username base_dn method", "password filter query_timeout request_timeout"},
}

// database is one whose server never answers: it knows nobody.
type database struct{}

func (database) authenticate(*node, *principal) verdict { return ignored }

func readDatabase(f *fields, of struct{ need, may string }) error {
	for _, name := range strings.Fields(of.need) {
		if f.value(name) == nil {
			f.fault(name, "required_field")
		}
	}
	f.ignore(strings.Fields(of.may + " pool_size auto_reconnect")...)
	if !strings.Contains(of.need, "base_dn") {
		readPasswords(f)
	}
	_, err := readHTTPClient(f, 0) // for its ssl
	return errors.Join(f.done(), err)
}
