package nomad

import (
	"encoding/json"
	"testing"

	"gotest.tools/v3/assert"
)

func TestTheListOfAuthenticatorsBeginsWithTheDatabase(t *testing.T) {
	const builtIn = `{"backend":"built_in_database","bootstrap_file":"${NOMAD_SECRETS_DIR}/users.json","bootstrap_type":"hash","enable":true,` +
		`"mechanism":"password_based","password_hash_algorithm":{"name":"bcrypt","salt_rounds":10},"user_id_type":"username"}`
	assert.Equal(t, Authentication(nil), "["+builtIn+"]")
	const tls = `"ssl":{"cacertfile":"/etc/ssl/certs/ca-certificates.crt","enable":true,"server_name_indication":"db.example.com","verify":"verify_peer"}`
	for _, c := range []struct {
		a    Authenticator
		want string
	}{
		{
			Authenticator{Kind: "jwt", Secret: "<s>", Claims: map[string]string{"sub": "${username}"}},
			`{"algorithm":"hmac-based","enable":true,"from":"password","mechanism":"jwt","secret":"<s>","use_jwks":false,"verify_claims":{"sub":"${username}"}}`,
		},
		{
			Authenticator{Kind: "jwt", JWKS: "https://db.example.com:8443/keys", ACLClaim: "rules", Claims: map[string]string{"sub": "${username}"}},
			`{"acl_claim_name":"rules","enable":true,"endpoint":"https://db.example.com:8443/keys","from":"password","mechanism":"jwt",` + tls + `,"use_jwks":true,"verify_claims":{"sub":"${username}"}}`,
		},
		{
			Authenticator{Kind: "http", Request: Request{
				URL: "https://db.example.com/ask", Authorization: "Bearer x", Headers: map[string]string{"x-a": "b"}, Body: map[string]string{"u": "${username}"}, CA: "pem",
			}},
			`{"backend":"http","body":{"u":"${username}"},"enable":true,"headers":{"accept":"application/json","authorization":"Bearer x","content-type":"application/json","x-a":"b"},` +
				`"mechanism":"password_based","method":"post","ssl":{"cacertfile":"${NOMAD_SECRETS_DIR}/authn-http.crt","enable":true,"server_name_indication":"db.example.com","verify":"verify_peer"},` +
				`"url":"https://db.example.com/ask"}`,
		},
		{
			Authenticator{Kind: "postgresql", Server: "db.example.com:5432", Database: "d", Username: "u", Password: "p", Query: "SELECT", Hash: "sha256"},
			`{"backend":"postgresql","database":"d","enable":true,"mechanism":"password_based","password":"p","password_hash_algorithm":{"name":"sha256","salt_position":"prefix"},` +
				`"query":"SELECT","server":"db.example.com:5432",` + tls + `,"username":"u"}`,
		},
		{
			Authenticator{Kind: "redis", Server: "db.example.com:6379", Database: "2", Query: "HGET", Hash: "pbkdf2-sha256", Plain: true},
			`{"backend":"redis","cmd":"HGET","database":2,"enable":true,"mechanism":"password_based","password_hash_algorithm":{"iterations":210000,"mac_fun":"sha256","name":"pbkdf2"},` +
				`"redis_type":"single","server":"db.example.com:6379","ssl":{"enable":false}}`,
		},
		{
			Authenticator{Kind: "ldap", Server: "db.example.com:636", Username: "cn=x", Password: "p", BaseDN: "dc=x", Query: "(uid=${username})"},
			`{"backend":"ldap","base_dn":"dc=x","enable":true,"filter":"(uid=${username})","mechanism":"password_based","method":{"bind_password":"${password}","type":"bind"},` +
				`"password":"p","server":"db.example.com:636",` + tls + `,"username":"cn=x"}`,
		},
		{
			Authenticator{Kind: "mongodb", Server: "db.example.com:27017", Database: "d", Collection: "c", Filter: map[string]string{"n": "${username}"}, Hash: "bcrypt"},
			`{"backend":"mongodb","collection":"c","database":"d","enable":true,"filter":{"n":"${username}"},"mechanism":"password_based","mongo_type":"single",` +
				`"password_hash_algorithm":{"name":"bcrypt"},"server":"db.example.com:27017",` + tls + `}`,
		},
	} {
		assert.Equal(t, Authentication([]Authenticator{c.a}), "["+builtIn+","+c.want+"]")
	}
	assert.DeepEqual(t, Authorities([]Authenticator{{Kind: "jwt", CA: "a"}, {Kind: "http", Request: Request{CA: "b"}}, {Kind: "redis"}}, []Source{{}, {Request: &Request{CA: "c"}}}),
		map[string]string{"authn-jwt": "a", "authn-http": "b", "authz-http": "c"})
	assert.Equal(t, AuthorityItem("authn-jwt"), "authn_jwt_ca")
}

func TestTheListOfSourcesBeginsWithTheRules(t *testing.T) {
	files, err := Auth{Sources: []Source{{}, {Request: &Request{URL: "https://a.example.com/x", Get: true}}}}.Files()
	assert.NilError(t, err)
	var authorization struct{ Sources []map[string]any }
	assert.NilError(t, json.Unmarshal([]byte(files.Authorization), &authorization))
	list := authorization.Sources
	assert.Equal(t, len(list), 3)
	assert.Equal(t, list[0]["path"], "${NOMAD_TASK_DIR}/acl-at-start.conf")
	assert.Equal(t, list[1]["type"], "built_in_database")
	assert.Equal(t, list[2]["type"], "http")
	assert.Equal(t, list[2]["method"], "get")
	headers, _ := list[2]["headers"].(map[string]any)
	assert.Assert(t, headers["content-type"] == nil, "EMQX refuses it with get")
}
