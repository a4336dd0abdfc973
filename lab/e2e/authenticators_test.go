//go:build lab

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"gotest.tools/v3/assert"
)

// askedServer is the word that makes this program a server that EMQX asks, beside the servers of Nomad.
const (
	askedServer  = "answer"
	askedAddress = "10.80.2.10:8443"
	askedWord    = "Bearer a-word-of-the-brokers"
	halsPassword = "a-word-of-hal's"
	tokenSecret  = "what-signs-the-tokens-of-this-chapter"
)

// answerFrom answers with the certificate and the key of a file.
func answerFrom(file string) {
	certificate, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		fmt.Println(err)
		return
	}
	s := &http.Server{
		Addr: askedAddress, ReadHeaderTimeout: time.Second, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var asked map[string]string
			_ = json.NewDecoder(r.Body).Decode(&asked)
			answer := `{"result": "deny"}`
			if r.Header.Get("Authorization") == askedWord && asked["user"] == "hal" && asked["word"] == halsPassword {
				answer = `{"result": "allow", "acl": [{"permission": "allow", "action": "all", "topic": "emqx-oci/gate/#"}]}`
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, answer)
		}),
	}
	fmt.Println(s.ListenAndServeTLS("", ""))
}

// others starts the server, and is what stands in the stack file of it and of tokens.
func others(t *testing.T, b *bed) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	host, _, _ := net.SplitHostPort(askedAddress)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "asked"}, IPAddresses: []net.IP{net.ParseIP(host)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	assert.NilError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	assert.NilError(t, err)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	file := filepath.Join(b.project, "asked.pem")
	assert.NilError(t, os.WriteFile(file, append([]byte(ca), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), 0o600))
	self, err := os.Executable()
	assert.NilError(t, err)
	b.start(t, &syncBuffer{}, "lab", "exec", "--in", "servers", "--", self, askedServer, file)

	secure := b.encrypted(t, tokenSecret, askedWord)
	authority := "          " + strings.ReplaceAll(strings.TrimSpace(ca), "\n", "\n          ") + "\n"
	return "    authenticators:\n      - {kind: jwt, secret: " + secure[0] + ", claims: {sub: \"${username}\"}}\n" +
		"      - kind: http\n        url: https://" + askedAddress + "/ask\n        authorization: " + secure[1] +
		"\n        body: {user: \"${username}\", word: \"${password}\"}\n        ca: |\n" + authority
}

// othersConnect asks through each listener who has a token, or is known to the server: as nobody else, and with the
// rights that the token and the server give.
func (b *bed) othersConnect(t *testing.T) {
	t.Helper()
	token := func(secret string, acl ...string) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"sub": "jo", "exp": time.Now().Add(time.Hour).Unix(), "acl": map[string]any{"all": acl},
		}).SignedString([]byte(secret))
		assert.NilError(t, err)
		return text
	}
	b.everywhere(t, "jo", token(tokenSecret, "emqx-oci/gate/#"), "passes")
	b.everywhere(t, "jo", token(tokenSecret, "devices/#"), "not authorized")
	b.everywhere(t, "jim", token(tokenSecret, "emqx-oci/gate/#"), "CONNACK 0x86 (bad user name or password)")
	b.everywhere(t, "jo", token("what-signs-none-of-this-stack's-tokens", "emqx-oci/gate/#"), "CONNACK 0x87 (not authorized)")
	b.everywhere(t, "hal", halsPassword, "passes")
	b.everywhere(t, "hal", metersPassword, "CONNACK 0x87 (not authorized)")

	r := b.run(t, "lab", "exec", "--", "sh", "-c", "mosquitto_pub -V mqttv5 -i pump/1 -h "+name+" -u meter -P \""+metersPassword+"\" -t devices/meter/x -m x")
	assert.Assert(t, strings.Contains(r.stderr+r.stdout, "Banned"), "an identifier of another's: %s", r)
}
