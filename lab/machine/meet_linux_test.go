package machine

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// ownCertificate is one of 127.0.0.1 that is its own authority.
func ownCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	assert.NilError(t, err)
	text, err := x509.MarshalPKCS8PrivateKey(k)
	assert.NilError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}))
}

// A door takes who speaks TLS and who does not, whatever the server behind it speaks.
func TestDoorsTakeBoth(t *testing.T) {
	certificate, key := ownCertificate(t)
	servers := Servers{
		CA: certificate, Certificate: certificate, Key: key, GossipKey: "g", ConsulManagement: "m", ConsulAgent: "a", ConsulNomad: "n",
	}
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "TLS %v", r.TLS != nil) })
	for _, secured := range []bool{false, true} {
		servers.Secured = secured
		m, err := New(Config{Dir: t.TempDir(), Servers: servers})
		assert.NilError(t, err)
		behind := httptest.NewUnstartedServer(answer)
		if secured {
			behind.TLS, err = servers.server()
			assert.NilError(t, err)
			behind.StartTLS()
		} else {
			behind.Start()
		}
		t.Cleanup(behind.Close)
		door, err := net.Listen("tcp4", "127.0.0.1:0")
		assert.NilError(t, err)
		t.Cleanup(func() { _ = door.Close() })
		go m.serveDoor(door, fixedAt(behind.Listener.Addr().String()), m.meet)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: servers.client(), DisableKeepAlives: true}}
		for _, scheme := range []string{"http", "https"} {
			res, err := client.Get(scheme + "://" + door.Addr().String())
			assert.NilError(t, err, "%s, secured %v", scheme, secured)
			text, err := io.ReadAll(res.Body)
			assert.NilError(t, err)
			assert.NilError(t, res.Body.Close())
			assert.Equal(t, string(text), fmt.Sprintf("TLS %v", secured), scheme)
		}
		// Who trusts other authorities is not fooled.
		_, err = (&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}).Get("https://" + door.Addr().String())
		assert.ErrorContains(t, err, "unknown authority")
	}
}

func fixedAt(address string) dialer {
	return func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp4", address)
	}
}
