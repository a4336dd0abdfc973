package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/nomad"
)

// What a job's secrets say of authenticators and sources, as their files lie in a task.
func authLists(t *testing.T, authenticators []nomad.Authenticator, sources []nomad.Source) []string {
	t.Helper()
	dir := t.TempDir()
	declared := filesOf(t, nomad.Auth{
		Users:          []nomad.User{{Name: "ann", Password: "ann's-password"}},
		Rules:          []nomad.Rule{{UserPattern: "[+#]", Action: "all"}, {Allow: true, Action: "all", Topics: []string{"devices/${username}/#"}}},
		Authenticators: authenticators, Sources: sources,
	})
	files := map[string]string{"users.json": declared.Users, "acl-at-start.conf": declared.Rules}
	for file, ca := range nomad.Authorities(authenticators, sources) {
		files[file+".crt"] = ca
	}
	for name, text := range files {
		assert.NilError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	placed := strings.NewReplacer("${NOMAD_SECRETS_DIR}", dir, "${NOMAD_TASK_DIR}", dir)
	var authorization map[string]json.RawMessage
	assert.NilError(t, json.Unmarshal([]byte(placed.Replace(declared.Authorization)), &authorization))
	return []string{
		"EMQX_AUTHENTICATION=" + placed.Replace(declared.Authentication), "EMQX_AUTHORIZATION=" + placed.Replace(declared.Authorization),
		"EMQX_AUTHORIZATION__SOURCES=" + string(authorization["sources"]), // a lab of these tests has a variable of its own for them
	}
}

// A server that is asked who may connect and who may do what, and has keys of tokens.
func authServer(t *testing.T, keys any) (address, ca string) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		var asked map[string]string
		_ = json.Unmarshal(text, &asked)
		answer, _ := json.Marshal(keys)
		if r.URL.Path != "/keys" {
			result := "ignore"
			switch {
			case r.Header.Get("Authorization") != "Bearer of-emqx":
			case r.URL.Path == "/ask" && asked["user"] == "hal" && asked["word"] == "hal's-password",
				r.URL.Path == "/may" && asked["user"] == "hal" && asked["do"] == "subscribe" && asked["topic"] == "news":
				result = "allow"
			case asked["user"] == "hal":
				result = "deny"
			}
			answer = []byte(`{"result":"` + result + `"}`)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
	t.Cleanup(s.Close)
	return s.URL, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// Who has a token or is known to a server gets in, by the list that EMQX's job hands over, and
// as nobody else. Users of the stack are asked about nowhere else.
func TestAuthenticatorsOfTheJob(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	address, ca := authServer(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Algorithm: "ES256"}}})
	token := func(claims jwt.MapClaims) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(key)
		assert.NilError(t, err)
		return text
	}
	request := func(path string, body map[string]string) nomad.Request {
		return nomad.Request{URL: address + path, Authorization: "Bearer of-emqx", Body: body, CA: ca}
	}
	may := request("/may", map[string]string{"user": "${username}", "do": "${action}", "topic": "${topic}"})
	l := newLab(t, 1)
	l.start(0, authLists(t, []nomad.Authenticator{
		{Kind: "jwt", JWKS: address + "/keys", CA: ca, Claims: map[string]string{"sub": "${username}"}},
		{Kind: "http", Request: request("/ask", map[string]string{"user": "${username}", "word": "${password}"})},
	}, []nomad.Source{{Request: &may}})...)
	l.wantUp(0)

	soon := time.Now().Add(time.Hour).Unix()
	good := token(jwt.MapClaims{"sub": "jo", "exp": soon, "acl": map[string]any{"all": []string{"jo/#"}}})
	eventually(t, func() string {
		if l.connack(0, connectOpts{id: "x", v: 5, user: "jo", password: good}) != 0 {
			return "the keys of tokens are not there"
		}
		return ""
	})
	for _, c := range []struct {
		user, password string
		five, three    byte
	}{
		{"jo", good, 0, 0},
		{"jim", good, 0x86, 4}, // another's
		{"ann", good, 0x86, 4}, // a user of the stack's
		{"jo", token(jwt.MapClaims{"sub": "jo", "exp": time.Now().Add(-time.Hour).Unix()}), 0x86, 4},
		{"jo", token(jwt.MapClaims{"exp": soon}), 0x86, 4}, // of nobody
		{"jo", good[:len(good)-4], 0x87, 5},                // nobody has signed that
		{"hal", "hal's-password", 0, 0},
		{"hal", "wrong", 0x87, 5},
		{"ann", "ann's-password", 0, 0},
		{"ann", "hal's-password", 0x86, 4},
		{"eve", "hal's-password", 0x87, 5},
	} {
		l.wantCodes(0, connectOpts{id: "x", user: c.user, password: c.password}, c.five, c.three)
	}

	rights := func(user, password string, topics map[string]byte) {
		c, _ := connect(t, dial(t, l.ip(0)+":1883"), connectOpts{id: user, v: 5, user: user, password: password})
		for topic, code := range topics {
			assert.Equal(t, c.subscribe(topic, 1), code, "%s: %s", user, topic)
		}
		c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}})
	}
	rights("jo", good, map[string]byte{"jo/x": 1, "news": 0x87, "devices/jo/x": 0x87}) // its token says all
	rights("hal", "hal's-password", map[string]byte{"devices/hal/x": 1, "news": 1, "devices/ann/x": 0x87})
	rights("ann", "ann's-password", map[string]byte{"devices/ann/x": 1, "news": 0x87})
}

// Every kind is one that EMQX's schemas take, with their names; who asks a server in vain goes on.
func TestEveryKindOfAuthenticatorIsRead(t *testing.T) {
	t.Parallel()
	const server = "db.example.com:1234"
	l := newLab(t, 1)
	l.start(0, authLists(t, []nomad.Authenticator{
		{Kind: "jwt", Secret: strings.Repeat("s", 32), Claims: map[string]string{"sub": "${username}"}, ACLClaim: "rules"},
		{Kind: "ldap", Server: server, Username: "cn=emqx", Password: "p", BaseDN: "dc=example", Query: "(uid=${username})"},
		{Kind: "postgresql", Server: server, Database: "d", Username: "u", Password: "p", Query: "SELECT password_hash FROM x WHERE n = ${username}", Hash: "sha256"},
		{Kind: "mysql", Server: server, Database: "d", Username: "u", Password: "p", Query: "SELECT password_hash FROM x WHERE n = ${username}", Hash: "bcrypt"},
		{Kind: "redis", Server: server, Database: "1", Query: "HGET u:${username} password_hash", Hash: "pbkdf2-sha512", Plain: true},
		{Kind: "mongodb", Server: server, Database: "d", Collection: "c", Filter: map[string]string{"n": "${username}"}, Hash: "sha512", Salt: "suffix"},
	}, []nomad.Source{{}})...)
	l.wantUp(0)
	l.wantCodes(0, connectOpts{id: "x", user: "ann", password: "ann's-password"}, 0, 0)
	l.wantCodes(0, connectOpts{id: "x", user: "eve", password: "ann's-password"}, 0x87, 5)
	hs, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "a/+", "rules": []any{}}).SignedString([]byte(strings.Repeat("s", 32)))
	assert.NilError(t, err)
	c, _ := connect(t, dial(t, l.ip(0)+":1883"), connectOpts{id: "x", v: 5, user: "a/+", password: hs})
	assert.Equal(t, c.subscribe("devices/a/b/x", 1), byte(0x87), "a name with a wildcard has no rights by it")
}
