package nomad

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Authenticator is one of EMQX's, beside its built-in database. Kind says which of the other
// fields count.
type Authenticator struct {
	// Kind is jwt, http, ldap, postgresql, mysql, redis or mongodb.
	Kind string

	// Of jwt: one of Secret, PublicKey (PEM) and JWKS (an https URL); what a token must say; and
	// the claim that holds rules, default "acl".
	Secret, PublicKey, JWKS string
	Claims                  map[string]string
	ACLClaim                string

	Request Request // of http

	// Of ldap and the databases: the server as host:port, and as whom it is asked.
	Server, Database, Username, Password string
	// Of postgresql and mysql a SELECT, of redis a command, of ldap a filter.
	Query string
	// Of mongodb.
	Collection string
	Filter     map[string]string
	// Of ldap.
	BaseDN string
	// Of the databases: bcrypt, pbkdf2-sha256, pbkdf2-sha512, sha256 or sha512; the place of the
	// salt of a SHA-2, default "prefix"; and iterations of a PBKDF2, default 210000.
	Hash, Salt string
	Iterations int

	// CA is the server's authority in PEM, default those that the image knows: see [AuthorityItem].
	CA string
	// Plain speaks to the server of ldap or a database without TLS.
	Plain bool
}

// Source is where EMQX asks about what no rule is about: its own database of rules, or with a
// Request a server.
type Source struct {
	Request *Request
}

// Request is what a server is asked by HTTP.
type Request struct {
	// URL begins with https://.
	URL string
	// Get asks by GET rather than by POST.
	Get bool
	// Headers besides accept and content-type, Authorization one of them.
	Headers       map[string]string
	Authorization string
	// Body has EMQX's placeholders.
	Body map[string]string
	// CA is the server's authority in PEM, default those that the image knows.
	CA string
}

// imageAuthorities is where the image has those that it knows (deploy/docker/Dockerfile).
const imageAuthorities = "/etc/ssl/certs/ca-certificates.crt"

// object keeps no order; JSON sorts its keys, so that the same list is the same text.
type object = map[string]any

// Authentication is EMQX's list of authenticators as its configuration has it and its REST API
// takes it, in JSON, which HOCON reads: the built-in database first, then the others in their
// order. Field names are those of EMQX 5.8.9 (apps/emqx_auth_*/src/emqx_authn_*_schema.erl). It
// holds secrets unless there are no others. EMQX itself looks up ${NOMAD_SECRETS_DIR}
// (emqx_schema:naive_env_interpolation).
func Authentication(others []Authenticator) string {
	list := []object{{
		"mechanism": "password_based", "backend": "built_in_database", "user_id_type": "username", "enable": true,
		"password_hash_algorithm": object{"name": "bcrypt", "salt_rounds": bcryptRounds},
		"bootstrap_file":          "${NOMAD_SECRETS_DIR}/users.json", "bootstrap_type": "hash",
	}}
	for _, a := range others {
		list = append(list, a.rendered())
	}
	return compact(list)
}

func (a Authenticator) rendered() object {
	switch a.Kind {
	case "jwt":
		return a.tokens()
	case "http":
		o := a.Request.rendered("authn-http")
		o["mechanism"], o["backend"], o["enable"] = "password_based", "http", true
		return o
	}
	o := object{"mechanism": "password_based", "backend": a.Kind, "enable": true, "server": a.Server, "ssl": a.ssl()}
	put(o, "database", a.Database)
	put(o, "username", a.Username)
	put(o, "password", a.Password)
	switch a.Kind {
	case "ldap":
		o["base_dn"], o["method"] = a.BaseDN, object{"type": "bind", "bind_password": "${password}"}
		put(o, "filter", a.Query)
		return o
	case "redis":
		o["redis_type"], o["cmd"] = "single", a.Query
		n, _ := strconv.Atoi(a.Database) // 0 where there is none
		o["database"] = n
	case "mongodb":
		o["mongo_type"], o["collection"], o["filter"] = "single", a.Collection, a.Filter
	default:
		o["query"] = a.Query
	}
	o["password_hash_algorithm"] = a.hashing()
	return o
}

func (a Authenticator) tokens() object {
	o := object{"mechanism": "jwt", "enable": true, "from": "password", "use_jwks": a.JWKS != "", "verify_claims": a.Claims}
	put(o, "acl_claim_name", a.ACLClaim)
	switch {
	case a.JWKS != "":
		o["endpoint"], o["ssl"] = a.JWKS, ssl(hostOf(a.JWKS), "authn-jwt", a.CA)
	case a.PublicKey != "":
		o["algorithm"], o["public_key"] = "public-key", a.PublicKey
	default:
		o["algorithm"], o["secret"] = "hmac-based", a.Secret
	}
	return o
}

func (a Authenticator) hashing() object {
	if mac, ok := strings.CutPrefix(a.Hash, "pbkdf2-"); ok {
		iterations := a.Iterations
		if iterations == 0 {
			iterations = 210_000 // of HMAC-SHA-512, OWASP's Password Storage Cheat Sheet
		}
		return object{"name": "pbkdf2", "mac_fun": mac, "iterations": iterations}
	}
	if a.Hash == "bcrypt" {
		return object{"name": "bcrypt"}
	}
	salt := a.Salt
	if salt == "" {
		salt = "prefix"
	}
	return object{"name": a.Hash, "salt_position": salt}
}

func (a Authenticator) ssl() object {
	if a.Plain {
		return object{"enable": false}
	}
	host, _, err := net.SplitHostPort(a.Server)
	if err != nil {
		host = a.Server
	}
	return ssl(host, "authn-"+a.Kind, a.CA)
}

func (r Request) rendered(file string) object {
	headers, method := object{"accept": "application/json"}, "post"
	if r.Get {
		method = "get"
	} else {
		headers["content-type"] = "application/json"
	}
	for name, value := range r.Headers {
		headers[name] = value
	}
	put(headers, "authorization", r.Authorization)
	return object{"method": method, "url": r.URL, "headers": headers, "body": r.Body, "ssl": ssl(hostOf(r.URL), file, r.CA)}
}

// ssl verifies a server; EMQX itself would take any. The name is given, as the databases'
// clients do not tell it to TLS by themselves.
func ssl(host, file, ca string) object {
	path := imageAuthorities
	if ca != "" {
		path = "${NOMAD_SECRETS_DIR}/" + file + ".crt"
	}
	return object{"enable": true, "verify": "verify_peer", "cacertfile": path, "server_name_indication": host}
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// sources is EMQX's list of where it asks about rights, in the same form: the file of rules
// first, as it was when EMQX started.
func sources(others []Source) []object {
	list := []object{{"type": "file", "enable": true, "path": "${NOMAD_TASK_DIR}/acl-at-start.conf"}}
	for _, s := range others {
		if s.Request == nil {
			list = append(list, object{"type": "built_in_database", "enable": true})
			continue
		}
		o := s.Request.rendered("authz-http")
		o["type"], o["enable"] = "http", true
		list = append(list, o)
	}
	return list
}

// Authorities are the authorities of servers that EMQX asks, in PEM by the names of their files:
// see [AuthorityItem].
func Authorities(authenticators []Authenticator, sources []Source) map[string]string {
	files := map[string]string{}
	for _, a := range authenticators {
		ca := a.CA
		if a.Kind == "http" {
			ca = a.Request.CA
		}
		if ca != "" {
			files["authn-"+a.Kind] = ca
		}
	}
	for _, s := range sources {
		if s.Request != nil && s.Request.CA != "" {
			files["authz-http"] = s.Request.CA
		}
	}
	return files
}

// AuthorityItem is the item of the job's variable that holds one of [Authorities].
func AuthorityItem(file string) string { return strings.ReplaceAll(file, "-", "_") + "_ca" }

func put(o object, key, value string) {
	if value != "" {
		o[key] = value
	}
}

// compact is JSON on one line, in which nothing is escaped for a web page.
func compact(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("writing EMQX's configuration: %v", err)) // of maps, texts, numbers and flags
	}
	return strings.TrimSuffix(b.String(), "\n")
}
