package broker

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// loadKeys reads the API key file at every start (a later line wins, over what is
// stored too), and makes the dashboard user at the first start only.
func (n *node) loadKeys() error {
	if n.data.userCount() == 0 && n.cfg.dashboard.password != "" {
		n.data.setKey(true, n.cfg.dashboard.user, hashSecret(n.cfg.dashboard.password))
	}
	if n.cfg.keyFile == "" {
		return nil
	}
	f, err := os.Open(n.cfg.keyFile)
	if err != nil {
		return fmt.Errorf("failed to open the API key bootstrap file: %w", err)
	}
	defer func() { _ = f.Close() }()
	sc := bufio.NewScanner(f)
	for line := 1; sc.Scan(); line++ {
		text := strings.TrimSpace(sc.Text())
		if text == "" {
			continue
		}
		f := strings.Split(text, ":")
		if len(f) < 2 || len(f) > 3 || f[0] == "" || f[1] == "" {
			return fmt.Errorf("%s, line %d: want key:secret[:role]", n.cfg.keyFile, line)
		}
		if len(f) == 3 && f[2] != "administrator" {
			return fmt.Errorf("%s, line %d: role %q is for the enterprise edition; want administrator", n.cfg.keyFile, line, f[2])
		}
		if old, ok := n.data.key(false, f[0]); !ok || !secretMatches(old.Hash, f[1]) {
			n.data.setKey(false, f[0], hashSecret(f[1]))
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("reading the API key bootstrap file: %w", err)
	}
	n.wg.Go(n.tellKeys)
	return nil
}

func hashSecret(s string) string {
	salt := make([]byte, 8)
	_, _ = rand.Read(salt)
	return hex.EncodeToString(salt) + proof(hex.EncodeToString(salt), s)
}

func secretMatches(hash, s string) bool {
	return len(hash) > 16 && hmac.Equal([]byte(hash[16:]), []byte(proof(hash[:16], s)))
}

// guard lets in API keys (basic) and dashboard tokens (bearer).
func (h *api) guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if why := h.denied(r); why != "" {
			w.Header().Set("WWW-Authenticate", `Basic Realm="minirest-server"`)
			fail(w, http.StatusUnauthorized, why, map[string]string{ //nolint:gosec // words, no credentials
				"BAD_API_KEY_OR_SECRET": "Check api_key/api_secret", "AUTHORIZATION_HEADER_ERROR": "Support authorization: basic/bearer ",
				"BAD_TOKEN": "Get a token by POST /login",
			}[why])
			return
		}
		next(w, r)
	}
}

func (h *api) denied(r *http.Request) string {
	if name, secret, ok := r.BasicAuth(); ok {
		if k, ok := h.app.node.data.key(false, name); ok && secretMatches(k.Hash, secret) {
			return ""
		}
		return "BAD_API_KEY_OR_SECRET"
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "AUTHORIZATION_HEADER_ERROR"
	}
	if !h.app.node.tokenValid(token) {
		return "BAD_TOKEN"
	}
	return ""
}

func (h *api) login(w http.ResponseWriter, r *http.Request) {
	var in struct{ Username, Password string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&in); err != nil {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "want username and password")
		return
	}
	u, ok := h.app.node.data.key(true, in.Username)
	if !ok || !secretMatches(u.Hash, in.Password) {
		fail(w, http.StatusUnauthorized, "BAD_USERNAME_OR_PWD", "Auth failed")
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"token": h.app.node.newToken(in.Username), "version": Version, "role": "administrator",
		"license": map[string]string{"edition": "opensource"},
	})
}

// Tokens are signed with a key that all members derive from the cookie, so one
// made on a node is good on the others.
func (n *node) newToken(user string) string {
	body := base64.RawURLEncoding.EncodeToString([]byte(user)) + "." + strconv.FormatInt(time.Now().Add(n.cfg.dashboard.tokenTTL).Unix(), 10)
	return body + "." + n.signToken(body)
}

func (n *node) signToken(body string) string {
	key := sha256.Sum256([]byte("dashboard token\n" + n.cfg.cookie))
	return proof(string(key[:]), body)
}

func (n *node) tokenValid(token string) bool {
	i := strings.LastIndex(token, ".")
	if i < 0 || !hmac.Equal([]byte(token[i+1:]), []byte(n.signToken(token[:i]))) {
		return false
	}
	_, until, _ := strings.Cut(token[:i], ".")
	t, err := strconv.ParseInt(until, 10, 64)
	return err == nil && time.Now().Unix() < t
}
