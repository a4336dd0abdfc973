package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"
)

func token(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(method, claims).SignedString(key)
	assert.NilError(t, err)
	return s
}

// A token that nobody has signed is left to the next authenticator, a signed one that says the wrong
// thing is refused (emqx_authn_jwt:verify).
func TestTokensWithASecret(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0, `EMQX_AUTHENTICATION=[{mechanism = jwt, algorithm = "hmac-based", secret = "short", verify_claims {sub = "${clientid}", iss = lab}}]`)
	l.wantUp(0)
	now := time.Now().Unix()
	for name, c := range map[string]struct {
		key    string
		claims jwt.MapClaims
		five   byte
		three  byte
	}{
		"right":               {"short", jwt.MapClaims{"sub": "c", "iss": "lab", "exp": now + 100, "nbf": now - 1}, 0, 0},
		"no time at all":      {"short", jwt.MapClaims{"sub": "c", "iss": "lab"}, 0, 0},
		"time as text":        {"short", jwt.MapClaims{"sub": "c", "iss": "lab", "exp": fmt.Sprint(now + 100)}, 0, 0},
		"another's signature": {"other", jwt.MapClaims{"sub": "c", "iss": "lab"}, 0x87, 5},
		"over":                {"short", jwt.MapClaims{"sub": "c", "iss": "lab", "exp": now}, 0x86, 4},
		"not yet":             {"short", jwt.MapClaims{"sub": "c", "iss": "lab", "nbf": now + 100}, 0x86, 4},
		"another client's":    {"short", jwt.MapClaims{"sub": "d", "iss": "lab"}, 0x86, 4},
		"without a claim":     {"short", jwt.MapClaims{"sub": "c"}, 0x86, 4},
		"no number":           {"short", jwt.MapClaims{"sub": "c", "iss": "lab", "exp": "soon"}, 0x86, 4},
	} {
		t.Log(name)
		l.wantCodes(0, connectOpts{id: "c", user: "u", password: token(t, jwt.SigningMethodHS256, []byte(c.key), c.claims)}, c.five, c.three)
	}
	l.wantCodes(0, connectOpts{id: "c", user: "u", password: "no token"}, 0x87, 5)
	l.wantCodes(0, connectOpts{id: "c", user: "u"}, 0x87, 5)
	unsigned := token(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"sub": "c", "iss": "lab"})
	l.wantCodes(0, connectOpts{id: "c", user: "u", password: unsigned}, 0x87, 5)
}

// A public key takes its own kind of signature only: not one that was made with the key's text as a secret.
func TestTokensWithAPublicKey(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	assert.NilError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	assert.NilError(t, err)
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	l := newLab(t, 1)
	l.start(0)
	l.wantUp(0)
	conf, _ := json.Marshal(map[string]any{"mechanism": "jwt", "algorithm": "public-key", "public_key": public, "from": "username"})
	l.wantREST(0, "POST", "/authentication", string(conf), 200)
	l.wantCodes(0, connectOpts{id: "c", user: token(t, jwt.SigningMethodRS256, key, jwt.MapClaims{})}, 0, 0)
	l.wantCodes(0, connectOpts{id: "c", user: token(t, jwt.SigningMethodPS512, key, jwt.MapClaims{})}, 0, 0)
	l.wantCodes(0, connectOpts{id: "c", user: token(t, jwt.SigningMethodHS256, []byte(public), jwt.MapClaims{})}, 0x87, 5)
	l.wantREST(0, "PUT", "/authentication/jwt", `{"mechanism":"jwt","algorithm":"public-key","public_key":"none"}`, 400)
	l.wantREST(0, "PUT", "/authentication/jwt", `{"mechanism":"jwt","algorithm":"hmac-based","secret":"s","verify_claims":[{"name":"a","value":"b"}]}`, 204)
	shown := l.wantREST(0, "GET", "/authentication/jwt", "", 200)
	assert.Assert(t, strings.Contains(shown, `"secret":"******"`), shown)
	l.wantREST(0, "PUT", "/authentication/jwt", `{"mechanism":"jwt","algorithm":"hmac-based","secret":"******"}`, 204)
	l.wantCodes(0, connectOpts{id: "c", user: "u", password: token(t, jwt.SigningMethodHS256, []byte("s"), jwt.MapClaims{})}, 0, 0)
}

// keyServer is a JWKS endpoint.
type keyServer struct {
	*httptest.Server
	set  atomic.Pointer[jose.JSONWebKeySet] // nil: 404
	hits atomic.Int32
}

func newKeyServer(t *testing.T) *keyServer {
	k := &keyServer{}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.hits.Add(1)
		set := k.set.Load()
		if set == nil {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(set)
	}))
	t.Cleanup(k.Close)
	return k
}

// Keys of an address: any of them may have signed. Until it has answered no token is good, and an
// attempt that fails is not repeated before the interval (emqx_authn_jwks_client).
func TestTokensWithKeysOfAnAddress(t *testing.T) {
	t.Parallel()
	one, err := rsa.GenerateKey(rand.Reader, 2048)
	assert.NilError(t, err)
	two, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	keys := newKeyServer(t)
	l := newLab(t, 1)
	l.start(0)
	l.wantUp(0)
	conf := `{"mechanism":"jwt","use_jwks":true,"endpoint":"` + keys.URL + `","refresh_interval":INTERVAL}`
	l.wantREST(0, "POST", "/authentication", strings.ReplaceAll(conf, "INTERVAL", "1000"), 200)
	eventually(t, func() string {
		if keys.hits.Load() == 0 {
			return "not asked"
		}
		return ""
	})
	keys.set.Store(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: one.Public(), KeyID: "1"}, {Key: two.Public(), KeyID: "2"}}})
	right := connectOpts{id: "c", user: "u", password: token(t, jwt.SigningMethodES256, two, jwt.MapClaims{})}
	l.wantCodes(0, right, 0x87, 5)
	l.wantREST(0, "PUT", "/authentication/jwt", strings.ReplaceAll(conf, "INTERVAL", "999"), 204) // created anew: it asks
	eventually(t, func() string {
		if code := l.connack(0, right); code != 0 {
			return fmt.Sprint(code)
		}
		return ""
	})
	l.wantCodes(0, connectOpts{id: "c", user: "u", password: token(t, jwt.SigningMethodRS256, one, jwt.MapClaims{})}, 0, 0)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	l.wantCodes(0, connectOpts{id: "c", user: "u", password: token(t, jwt.SigningMethodES256, stranger, jwt.MapClaims{})}, 0x87, 5)
	hits := keys.hits.Load()
	l.wantREST(0, "PUT", "/authorization/settings", `{"no_match":"allow","deny_action":"ignore","cache":{}}`, 200)
	l.wantCodes(0, right, 0, 0)
	assert.Equal(t, keys.hits.Load(), hits, "one that has not changed goes on with its keys")
}

// Rules of a token come before all others: by kind they deny what they do not name, as a list they leave
// it to the others (emqx_authz_client_info). Its time over, the connection ends, or, where it does not, all is denied.
func TestRulesOfAToken(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0, `EMQX_AUTHENTICATION=[{mechanism = jwt, algorithm = "hmac-based", secret = s}]`, "EMQX_AUTHORIZATION__CACHE__ENABLE=false")
	l.wantUp(0)
	as := func(id string, claims jwt.MapClaims) *client {
		return l.mqtt(0, connectOpts{id: id, v: 5, user: "u", password: token(t, jwt.SigningMethodHS256, []byte("s"), claims)})
	}
	c := as("kinds", jwt.MapClaims{"acl": map[string]any{"pub": []string{"p/${clientid}"}, "sub": []string{"eq s/#"}, "all": []string{"a"}}})
	assert.Equal(t, c.puback("p/kinds", 1), byte(0))
	assert.Equal(t, c.puback("p/other", 1), byte(0x87))
	assert.Equal(t, c.subscribe("s/#", 1), byte(1))
	assert.Equal(t, c.subscribe("s/1", 1), byte(0x87))
	assert.Equal(t, c.puback("a", 1), byte(0))
	c = as("list", jwt.MapClaims{"acl": []any{map[string]any{"permission": "deny", "action": "publish", "topic": "t", "qos": 1}}})
	assert.Equal(t, c.puback("t", 1), byte(0x87))
	assert.Equal(t, c.puback("u", 1), byte(0))
	l.wantCodes(0, connectOpts{id: "c", user: "u", password: token(t, jwt.SigningMethodHS256, []byte("s"), jwt.MapClaims{"acl": []any{map[string]any{"permission": "maybe"}}})}, 0x86, 4)

	exp := time.Now().Unix() + 2
	short := as("short", jwt.MapClaims{"exp": exp})
	assert.Equal(t, short.want(packets.Disconnect).ReasonCode, byte(0x87))
	assert.Assert(t, time.Now().Unix() >= exp)
	short.wantClosed()

	l.wantREST(0, "PUT", "/authentication/jwt", `{"mechanism":"jwt","algorithm":"hmac-based","secret":"s","disconnect_after_expire":false,"acl_claim_name":"may"}`, 204)
	stays := as("stays", jwt.MapClaims{"exp": time.Now().Unix() + 2, "may": map[string]any{"all": []string{"#"}}})
	assert.Equal(t, stays.puback("t", 1), byte(0))
	eventually(t, func() string {
		if code := stays.puback("t", 1); code != 0x87 {
			return fmt.Sprint(code)
		}
		return ""
	})
}
