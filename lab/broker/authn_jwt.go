package broker

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/mochi-mqtt/server/v2/packets"
)

// tokens is the authenticator of JSON Web Tokens, emqx_authn_jwt.
type tokens struct {
	from       string // password, username: where the token is
	aclClaim   string
	disconnect bool              // when the token's time is over
	claims     map[string]string // that it must have, with placeholders
	key        any               // []byte or a public key; nil: those of jwks
	jwks       *keySet
}

func readTokens(f *fields) (*tokens, error) {
	t := &tokens{
		from: f.oneOf("from", "password", "password", "username"), aclClaim: f.text("acl_claim_name", "acl"),
		disconnect: f.flag("disconnect_after_expire", true), claims: readClaims(f),
	}
	if f.flag("use_jwks", false) {
		var err error
		t.jwks, err = readKeySet(f)
		return t, errors.Join(f.done(), err)
	}
	switch f.oneOf("algorithm", "", "hmac-based", "public-key") {
	case "hmac-based":
		secret := []byte(f.needText("secret"))
		if f.flag("secret_base64_encoded", false) {
			decoded, err := base64.StdEncoding.DecodeString(string(secret))
			if err != nil {
				f.fault("secret", "invalid_parameter: %w", err)
			}
			secret = decoded
		}
		t.key = secret
	case "public-key":
		text := f.needText("public_key")
		if b, err := os.ReadFile(text); err == nil {
			text = string(b)
		}
		var err error
		if t.key, err = publicKey([]byte(text)); err != nil && text != "" {
			f.fault("public_key", "invalid_public_key")
		}
	}
	return t, f.done()
}

// readClaims takes a map, or a list of name and value. The claims that have a meaning of
// their own cannot be among them.
func readClaims(f *fields) map[string]string {
	list, isList := f.m["verify_claims"].([]any)
	if !isList {
		return f.pairs("verify_claims")
	}
	f.ignore("verify_claims")
	out := map[string]string{}
	for _, e := range list {
		m, _ := e.(map[string]any)
		name, _ := m["name"].(string)
		value, err := hoconText(m["value"])
		if name == "" || err != nil {
			f.fault("verify_claims", "want name and value")
		}
		out[name] = value
	}
	return out
}

func publicKey(pem []byte) (any, error) {
	if k, err := jwt.ParseRSAPublicKeyFromPEM(pem); err == nil {
		return k, nil
	}
	if k, err := jwt.ParseECPublicKeyFromPEM(pem); err == nil {
		return k, nil
	}
	k, err := jwt.ParseEdPublicKeyFromPEM(pem)
	return k, err
}

func (t *tokens) defaults() map[string]any {
	return map[string]any{"from": "password", "acl_claim_name": "acl", "disconnect_after_expire": true, "verify_claims": map[string]any{}}
}

// methods are the signatures that a key may have made.
func methods(key any) []string {
	switch key.(type) {
	case []byte:
		return []string{"HS256", "HS384", "HS512"}
	case *rsa.PublicKey:
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		return []string{"ES256", "ES384", "ES512"}
	case ed25519.PublicKey:
		return []string{"EdDSA"}
	}
	return []string{"none of these"}
}

// signed gives the claims of a token that one of the keys has signed.
func signed(token string, keys []any) (jwt.MapClaims, bool) {
	for _, key := range keys {
		claims := jwt.MapClaims{}
		p := jwt.NewParser(jwt.WithValidMethods(methods(key)), jwt.WithoutClaimsValidation(), jwt.WithJSONNumber())
		if _, err := p.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return key, nil }); err == nil {
			return claims, true
		}
	}
	return nil, false
}

// authenticate leaves who has no token, or one that no key has signed, to the next
// authenticator, and refuses who has a signed one that says the wrong thing
// (emqx_authn_jwt:verify).
func (t *tokens) authenticate(_ *node, who *principal) verdict {
	token := who.password
	if t.from == "username" {
		token = who.username
	}
	if who.enhanced || token == nil {
		return ignored
	}
	keys := []any{t.key}
	if t.jwks != nil {
		keys = t.jwks.current()
	}
	claims, ok := signed(*token, keys)
	if !ok {
		return ignored
	}
	bad := refusedWith(packets.ErrBadUsernameOrPassword)
	now := float64(time.Now().Unix())
	if exp, has := claims["exp"]; has {
		if n, ok := claimNumber(exp); !ok || now >= n {
			return bad
		}
	}
	if nbf, has := claims["nbf"]; has {
		if n, ok := claimNumber(nbf); !ok || n > now {
			return bad
		}
	}
	for name, template := range t.claims {
		want, _ := who.render(template, claimPlaceholders)
		if claims[name] != want {
			return bad
		}
	}
	v := verdict{superuser: truthy(claims["is_superuser"])}
	if n, ok := claimNumber(claims["exp"]); ok && t.disconnect {
		v.expireAt = time.Unix(int64(n), 0)
	}
	var err error
	if rules, has := claims[t.aclClaim]; has {
		if v.claims, err = rulesOfClaim(plain(rules)); err != nil {
			return bad
		}
		if exp, has := claims["exp"]; has {
			v.claims.expires = true
			if n, ok := claimNumber(exp); ok && n == float64(int64(n)) {
				v.claims.until = int64(n)
			}
		}
	}
	return v
}

// claimNumber reads a number, also one that is written as a string.
func claimNumber(v any) (float64, bool) {
	var text string
	switch x := v.(type) {
	case json.Number:
		text = x.String()
	case string:
		text = x
	default:
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil
}

// truthy is emqx_authn_utils:to_bool.
func truthy(v any) bool {
	switch x := v.(type) {
	case bool:
		return x
	case string:
		n, err := strconv.Atoi(x)
		return x == "true" || err == nil && n >= 1
	case float64:
		return x == float64(int64(x)) && x >= 1
	case json.Number:
		n, err := x.Int64()
		return err == nil && n >= 1
	}
	return false
}

// rulesOfClaim reads rules by kind, {pub: [...], sub: [...], all: [...]}, or a list of them.
func rulesOfClaim(v any) (*claimedRules, error) {
	switch x := v.(type) {
	case []any:
		maps, err := ruleMaps(x)
		if err != nil {
			return nil, err
		}
		rules, err := rawRules(maps)
		return &claimedRules{rules: rules}, err
	case map[string]any:
		out := &claimedRules{byKind: map[string][]topicRule{}}
		for _, kind := range []string{"pub", "sub", "all"} {
			topics, _ := x[kind].([]any)
			for _, one := range topics {
				topic, err := compileTopic(one)
				if err != nil {
					return nil, err
				}
				out.byKind[kind] = append(out.byKind[kind], topic)
			}
		}
		return out, nil
	}
	return nil, errors.New("want a map or a list of rules")
}

// ruleMaps are rules as they came in JSON.
func ruleMaps(list []any) ([]map[string]any, error) {
	out := make([]map[string]any, len(list))
	for i, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			return nil, errors.New("want a list of rules")
		}
		out[i] = m
	}
	return out, nil
}

// keySet are keys of an address, emqx_authn_jwks_client.
type keySet struct {
	endpoint string
	headers  map[string]string
	every    time.Duration
	client   *http.Client

	keys atomic.Pointer[[]any]
}

// readKeySet refreshes no more often than every 10 s.
func readKeySet(f *fields) (*keySet, error) {
	f.ignore("algorithm", "pool_size")
	k := &keySet{endpoint: f.needText("endpoint"), headers: f.pairs("headers")}
	if len(k.headers) == 0 {
		k.headers = map[string]string{"Accept": "application/json"}
	}
	k.every = time.Duration(max(10, f.integer("refresh_interval", 300, 1, many))) * time.Second
	var err error
	k.client, err = readHTTPClient(f, 5*time.Second)
	return k, err
}

func (k *keySet) current() []any {
	if keys := k.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// start asks for the keys at once and then at every interval: until the first answer no
// token is good, and an attempt that fails is not repeated sooner. The old keys stay then.
func (t *tokens) start(n *node) (stop func()) {
	ended := make(chan struct{})
	stop = sync.OnceFunc(func() { close(ended) })
	if t.jwks == nil {
		return stop
	}
	n.wg.Go(func() {
		tick := time.NewTicker(t.jwks.every)
		defer tick.Stop()
		for {
			if keys, err := t.jwks.fetch(n.ctx); err != nil {
				n.log.Warn("failed_to_request_jwks_endpoint", "endpoint", t.jwks.endpoint, "reason", err.Error())
			} else {
				t.jwks.keys.Store(&keys)
			}
			select {
			case <-n.ctx.Done():
				return
			case <-ended:
				return
			case <-tick.C:
			}
		}
	})
	return stop
}

func (k *keySet) fetch(ctx context.Context) ([]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.endpoint, nil)
	if err != nil {
		return nil, err
	}
	for name, v := range k.headers {
		req.Header.Set(name, v)
	}
	_, _, content, err := answer(k.client, req)
	if err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(content, &set); err != nil {
		return nil, fmt.Errorf("invalid_jwks_returned: %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New("invalid_jwks_returned: no keys")
	}
	var keys []any
	for _, one := range set.Keys {
		key := one.Key
		if private, ok := key.(crypto.Signer); ok {
			key = private.Public()
		}
		keys = append(keys, key)
	}
	return slices.DeleteFunc(keys, func(k any) bool { return k == nil }), nil
}
