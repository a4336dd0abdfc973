package settings

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Kinds of [AuthAuthenticator] and [AuthSource].
const (
	KindBuiltIn     = "builtIn"
	KindCertificate = "certificate"
	KindJWT         = "jwt"
	KindHTTP        = "http"
	KindLDAP        = "ldap"
	KindPostgreSQL  = "postgresql"
	KindMySQL       = "mysql"
	KindRedis       = "redis"
	KindMongoDB     = "mongodb"
)

// authenticatorFields are what each kind may have, and must where it begins with "!".
var authenticatorFields = map[string]string{
	KindBuiltIn:     "",
	KindCertificate: "",
	KindJWT:         "secret publicKey jwks !claims aclClaim ca",
	KindHTTP:        "!url method headers authorization !body ca",
	KindLDAP:        "!server !username !password query !baseDn ca plain",
	KindPostgreSQL:  "!server !database !username !password !query !hash salt iterations ca plain",
	KindMySQL:       "!server !database !username !password !query !hash salt iterations ca plain",
	KindRedis:       "!server database username password !query !hash salt iterations ca plain",
	KindMongoDB:     "!server !database username password !collection !filter !hash salt iterations ca plain",
}

var sourceFields = map[string]string{
	KindBuiltIn: "",
	KindHTTP:    "!url method headers authorization !body ca",
}

// What EMQX puts into ${} (emqx_authn.hrl, emqx_authn_jwt.erl, emqx_authz_http.erl); of
// client_attrs there is none, as the stack makes none.
var (
	authnPlaceholders = []string{"username", "clientid", "password", "peerhost", "cert_subject", "cert_common_name", "zone"}
	claimPlaceholders = []string{"username", "clientid"}
	authzPlaceholders = []string{"username", "clientid", "peerhost", "proto_name", "mountpoint", "topic", "action", "cert_subject", "cert_common_name", "qos", "retain"}
)

// HasOthers tells whether somebody may connect whom EMQX's built-in database does not know.
func (a *Auth) HasOthers() bool {
	return slices.ContainsFunc(a.Authenticators, func(x AuthAuthenticator) bool { return x.Kind != KindBuiltIn })
}

// ByCertificate tells whether a client's certificate of `tls.clientCa` is enough to get in.
func (a *Auth) ByCertificate() bool {
	return !a.Anonymous && slices.ContainsFunc(a.Authenticators, func(x AuthAuthenticator) bool { return x.Kind == KindCertificate })
}

// validateCertificateNames checks what certificates need to be enough to get in: somebody who verifies
// them, and of one kind alone, as EMQX is told their names and not whose they are.
func (s *Settings) validateCertificateNames(f checker) {
	i := slices.IndexFunc(s.Auth.Authenticators, func(x AuthAuthenticator) bool { return x.Kind == KindCertificate })
	at := fmt.Sprintf("auth.authenticators[%d].kind", i)
	if i < 0 || f.hasAbove(at) || f.Has("tls.clients") || f.Has("tls.terminate") {
		return
	}
	t := s.TLS
	switch before := s.Auth.Authenticators[:i]; {
	case slices.ContainsFunc(before, func(x AuthAuthenticator) bool { return x.Kind != KindBuiltIn }):
		f.Add(at, "must be before all but builtIn, got certificate behind %s: it is asked before them", before[len(before)-1].Kind)
	case t.Terminate == TerminateBroker:
		f.Add(at, "must not be certificate with tls.terminate: broker: EMQX 5.8 does not see a client's certificate behind the PROXY protocol")
	case t.Clients == ClientsNone:
		f.Add(at, "must not be certificate with tls.clients: none: nobody shows one")
	case t.DeviceCA != "":
		f.Add(at, "must not be certificate with tls.deviceCa: EMQX is told a certificate's name and not its authority, and a device would be in that was never added")
	case t.ClientCA == "":
		f.Add(at, "must not be certificate without tls.clientCa: nobody has one")
	}
}

// given are the keys of what an authenticator has.
func (x AuthAuthenticator) given() map[string]bool {
	return map[string]bool{
		"secret": x.Secret != "", "publicKey": x.PublicKey != "", "jwks": x.JWKS != "", "claims": len(x.Claims) > 0, "aclClaim": x.ACLClaim != "",
		"url": x.URL != "", "method": x.Method != "", "headers": len(x.Headers) > 0, "authorization": x.Authorization != "", "body": len(x.Body) > 0,
		"server": x.Server != "", "database": x.Database != "", "username": x.Username != "", "password": x.Password != "", "query": x.Query != "",
		"collection": x.Collection != "", "filter": len(x.Filter) > 0, "baseDn": x.BaseDN != "",
		"hash": x.Hash != "", "salt": x.Salt != "", "iterations": x.Iterations != 0, "ca": x.CA != "", "plain": x.Plain,
	}
}

func (x AuthSource) given() map[string]bool {
	return map[string]bool{
		"url": x.URL != "", "method": x.Method != "", "headers": len(x.Headers) > 0, "authorization": x.Authorization != "", "body": len(x.Body) > 0, "ca": x.CA != "",
	}
}

// validateFields tells of what a kind must have and has not, and the other way round.
func validateFields(f checker, path, kind string, given map[string]bool, kinds map[string]string) {
	of := strings.Fields(kinds[kind])
	for _, key := range slices.Sorted(maps.Keys(given)) {
		at := path + "." + key
		must, may := slices.Contains(of, "!"+key), slices.Contains(of, key)
		switch {
		case f.hasAbove(at):
		case given[key] && !must && !may:
			var others []string
			for _, other := range slices.Sorted(maps.Keys(kinds)) {
				if keys := strings.Fields(kinds[other]); slices.Contains(keys, key) || slices.Contains(keys, "!"+key) {
					others = append(others, other)
				}
			}
			f.Add(at, "must not be set for kind %s: it is of %s", kind, strings.Join(others, ", "))
		case must && !given[key] && key == "password":
			f.Add(at, "is not set; set it with: %s", howToSet(at))
		case must && !given[key]:
			f.Add(at, "must be set for kind %s", kind)
		}
	}
}

func (a *Auth) validateAuthenticators(f checker) {
	for i, x := range a.Authenticators {
		path := fmt.Sprintf("auth.authenticators[%d]", i)
		if f.hasAbove(path) || f.Has(path+".kind") {
			continue
		}
		first := slices.IndexFunc(a.Authenticators, func(other AuthAuthenticator) bool { return other.Kind == x.Kind })
		if first < i {
			f.Add(path+".kind", "must be another than that of auth.authenticators[%d], as EMQX has one of each, got %s", first, x.Kind)
			continue
		}
		if x.Kind == KindBuiltIn && i > 0 {
			f.Add(path+".kind", "must be the first one: the stack's own user is in it, and no other server is to see its password")
		}
		validateFields(f, path, x.Kind, x.given(), authenticatorFields)
		switch x.Kind {
		case KindJWT:
			x.validateTokens(f, path)
		case KindHTTP:
			validateTexts(f, path+".body", x.Body, authnPlaceholders, "username", "password")
			validateTexts(f, path+".headers", x.Headers, authnPlaceholders)
			validateText(f, path+".url", x.URL, authnPlaceholders)
		case KindLDAP:
			validateText(f, path+".query", x.Query, authnPlaceholders)
			validateText(f, path+".baseDn", x.BaseDN, authnPlaceholders)
			if x.BaseDN != "" && !strings.Contains(x.BaseDN+x.Query, "${username}") && !f.Has(path+".baseDn") {
				f.Add(path+".baseDn", "must hold ${username}, or query must: else everybody is one")
			}
		case KindMongoDB:
			validateTexts(f, path+".filter", x.Filter, authnPlaceholders, "username")
			x.validateHash(f, path)
		case KindPostgreSQL, KindMySQL, KindRedis:
			x.validateQuery(f, path)
			x.validateHash(f, path)
		}
	}
}

func (x AuthAuthenticator) validateTokens(f checker, path string) {
	var keys []string
	for _, key := range []string{"secret", "publicKey", "jwks"} {
		if x.given()[key] {
			keys = append(keys, key)
		}
	}
	switch len(keys) {
	case 0:
		f.Add(path, "must have one of secret, publicKey and jwks")
		return
	case 1:
	default:
		f.Add(path, "must have one of secret, publicKey and jwks, got %s", strings.Join(keys, " and "))
		return
	}
	if x.CA != "" && x.JWKS == "" && !f.Has(path+".ca") {
		f.Add(path+".ca", "must not be set without jwks: no server is asked")
	}
	if len(x.Claims) == 0 || f.hasAbove(path+".claims") {
		return
	}
	bound := false
	for _, name := range slices.Sorted(maps.Keys(x.Claims)) {
		if at := path + ".claims." + name; name == "exp" || name == "nbf" || name == "iat" {
			f.Add(at, "must not be set: EMQX looks at a token's times by itself")
		} else {
			validateText(f, at, x.Claims[name], claimPlaceholders)
		}
		bound = bound || x.Claims[name] == "${username}"
	}
	if !bound {
		f.Add(path+".claims", "must hold one that is ${username}, such as sub: ${username}: else whoever has a token is whom he says")
	}
}

// validateQuery: EMQX takes a password by the name of its column (emqx_authn_utils:check_password_from_selected_map).
func (x AuthAuthenticator) validateQuery(f checker, path string) {
	at := path + ".query"
	validateText(f, at, x.Query, authnPlaceholders)
	if x.Query == "" || f.Has(at) {
		return
	}
	words := strings.Fields(x.Query)
	switch first := strings.ToUpper(words[0]); {
	case x.Kind == KindRedis && first != "HGET" && first != "HMGET":
		f.Add(at, "must be HGET or HMGET, a key and names of fields, got %q", x.Query)
	case x.Kind == KindRedis && slices.ContainsFunc(words[min(2, len(words)):], func(name string) bool {
		return !slices.Contains([]string{"password_hash", "salt", "is_superuser"}, name)
	}):
		f.Add(at, "must ask for password_hash, salt and is_superuser alone, got %q", x.Query)
	case x.Kind != KindRedis && first != "SELECT":
		f.Add(at, "must be a SELECT, got %q", x.Query)
	case !strings.Contains(x.Query, "${username}"):
		f.Add(at, "must hold ${username}: else everybody is one, got %q", x.Query)
	case !strings.Contains(x.Query, "password_hash"):
		f.Add(at, "must ask for password_hash, got %q", x.Query)
	}
	if n, err := strconv.Atoi(x.Database); x.Kind == KindRedis && x.Database != "" && (err != nil || n < 0) && !f.Has(path+".database") {
		f.Add(path+".database", "must be a number for kind redis, got %q", x.Database)
	}
}

func (x AuthAuthenticator) validateHash(f checker, path string) {
	if x.Hash == "" || f.Has(path+".hash") {
		return
	}
	if x.Salt != "" && !strings.HasPrefix(x.Hash, "sha") && !f.Has(path+".salt") {
		f.Add(path+".salt", "must not be set for hash %s, which has its own place for it", x.Hash)
	}
	if x.Iterations != 0 && !strings.HasPrefix(x.Hash, "pbkdf2") && !f.Has(path+".iterations") {
		f.Add(path+".iterations", "must not be set for hash %s", x.Hash)
	}
}

func (a *Auth) validateSources(f checker) {
	for i, x := range a.Sources {
		path := fmt.Sprintf("auth.sources[%d]", i)
		if f.hasAbove(path) || f.Has(path+".kind") {
			continue
		}
		if first := slices.IndexFunc(a.Sources, func(other AuthSource) bool { return other.Kind == x.Kind }); first < i {
			f.Add(path+".kind", "must be another than that of auth.sources[%d], as EMQX has one of each, got %s", first, x.Kind)
			continue
		}
		validateFields(f, path, x.Kind, x.given(), sourceFields)
		if x.Kind == KindHTTP {
			validateTexts(f, path+".body", x.Body, authzPlaceholders, "username", "action", "topic")
			validateTexts(f, path+".headers", x.Headers, authzPlaceholders)
			validateText(f, path+".url", x.URL, authzPlaceholders)
		}
	}
}

// validateTexts looks at the placeholders of each, and for those that must be in one of them.
func validateTexts(f checker, path string, texts map[string]string, known []string, must ...string) {
	if len(texts) == 0 || f.hasAbove(path) {
		return
	}
	all := ""
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		validateText(f, path+"."+key, texts[key], known)
		all += texts[key] + " "
	}
	if f.HasBelow(path) {
		return
	}
	for _, name := range must {
		if !strings.Contains(all, "${"+name+"}") {
			f.Add(path, "must hold ${%s}", name)
			return
		}
	}
}

// validateText refuses placeholders that EMQX would leave as they stand.
func validateText(f checker, path, text string, known []string) {
	if f.hasAbove(path) {
		return
	}
	for _, name := range placeholders.FindAllString(text, -1) {
		if !strings.HasSuffix(name, "}") || !slices.Contains(known, strings.Trim(name, "${}")) {
			f.Add(path, "must hold no placeholder but ${%s}, got %q", strings.Join(known, "}, ${"), name)
			return
		}
	}
}
