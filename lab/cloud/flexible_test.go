package cloud

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// flexCertificate is a certificate with its key.
func flexCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	assert.NilError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	assert.NilError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

type flexBed struct {
	*testing.T
	c  *Cloud
	m  *fakeMachine
	lb string
}

func (b flexBed) make(token string, in Props) string {
	b.Helper()
	if token != typeFlexBalancer {
		in["loadBalancerId"] = b.lb
	}
	id, _, err := b.c.Create(b.Context(), token, in)
	assert.NilError(b, err)
	return id
}

func (b flexBed) refused(token string, in Props, why string) {
	b.Helper()
	if token != typeFlexBalancer {
		in["loadBalancerId"] = b.lb
	}
	_, _, err := b.c.Create(b.Context(), token, in)
	assert.ErrorContains(b, err, why)
}

func flexShape(low, high int) Props {
	return Props{
		"compartmentId": CompartmentID, "displayName": "b", "shape": "flexible", "subnetIds": []any{PublicSubnet},
		"shapeDetails": Props{"minimumBandwidthInMbps": low, "maximumBandwidthInMbps": high},
	}
}

func flexSet(name string) Props {
	return Props{"name": name, "policy": "LEAST_CONNECTIONS", "healthChecker": Props{"protocol": "HTTP", "port": 8080, "urlPath": "/health", "returnCode": 200, "intervalMs": 1000, "timeoutInMillis": 500}}
}

func newFlexBed(t *testing.T) flexBed {
	t.Helper()
	l := newLab(t)
	b := flexBed{T: t, c: l.Cloud, m: l.m}
	b.lb = b.make(typeFlexBalancer, flexShape(10, 100))
	return b
}

func TestFlexibleRefusesWhatOCIRefuses(t *testing.T) {
	b := newFlexBed(t)
	b.refused(typeFlexBalancer, flexShape(100, 10), "must be at least the minimum 100")
	b.refused(typeFlexBalancer, flexShape(5, 10), "must be between 10 and 8000")
	b.refused(typeFlexSet, Props{"name": "a b", "policy": "LEAST_CONNECTIONS"}, "letters, digits, dashes and underscores")
	five := flexSet("five")
	five["policy"] = "FIVE_TUPLE"
	b.refused(typeFlexSet, five, "policy must be one of")
	b.make(typeFlexSet, flexSet("mqtt"))
	b.refused(typeFlexSet, flexSet("mqtt"), "already has backend set 'mqtt'")
	b.refused(typeFlexBackend, Props{"backendsetName": "other", "ipAddress": "10.80.1.10", "port": 1883}, "backend set other")
	b.make(typeFlexBackend, Props{"backendsetName": "mqtt", "ipAddress": "10.80.1.10", "port": 1883})
	b.refused(typeFlexBackend, Props{"backendsetName": "mqtt", "ipAddress": "10.80.1.10", "port": 1883}, "already has backend '10.80.1.10:1883'")
	b.refused(typeFlexListener, Props{"name": "mqtt", "defaultBackendSetName": "none", "port": 1883, "protocol": "TCP"}, "refers to unknown backend set 'none'")
	b.refused(typeFlexListener, Props{"name": "mqtt", "defaultBackendSetName": "mqtt", "port": 1883, "protocol": "TCP", "connectionConfiguration": Props{"idleTimeoutInSeconds": "7201"}}, "between 1 and 7200")
	b.refused(typeFlexListener, Props{
		"name": "mqtt", "defaultBackendSetName": "mqtt", "port": 1883, "protocol": "TCP", "sslConfiguration": Props{"certificateName": "none", "verifyPeerCertificate": false},
	}, "refers to unknown certificate 'none'")
	b.refused(typeCipherSuite, Props{"name": "s", "ciphers": []any{"ECDHE-RSA-CHACHA20-POLY1305"}}, "is not supported")
	_, key := flexCertificate(t)
	other, _ := flexCertificate(t)
	b.refused(typeCertificate, Props{"certificateName": "c", "publicCertificate": other, "privateKey": key}, "do not belong together")
}

// As in terraform-provider-oci#1661: the listener has to move first.
func TestACertificateThatIsAttachedStays(t *testing.T) {
	b := newFlexBed(t)
	b.make(typeFlexSet, flexSet("mqtts"))
	certificates := map[string]string{}
	for _, name := range []string{"old", "new"} {
		public, private := flexCertificate(t)
		certificates[name] = b.make(typeCertificate, Props{"certificateName": name, "publicCertificate": public, "privateKey": private})
	}
	suite := b.make(typeCipherSuite, Props{"name": "suite", "ciphers": []any{"TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"}})
	listener := Props{
		"name": "mqtts", "defaultBackendSetName": "mqtts", "port": 8883, "protocol": "TCP", "loadBalancerId": b.lb,
		"connectionConfiguration": Props{"idleTimeoutInSeconds": "900", "backendTcpProxyProtocolVersion": 2},
		"sslConfiguration":        Props{"certificateName": "old", "cipherSuiteName": "suite", "protocols": []any{"TLSv1.2", "TLSv1.3"}, "verifyPeerCertificate": false},
	}
	id := b.make(typeFlexListener, listener)
	err := b.c.Delete(t.Context(), typeCertificate, certificates["old"])
	assert.ErrorContains(t, err, "409-Conflict, Certificate 'old' is attached to one or more listeners/backendSets")
	_, err = b.c.Update(t.Context(), typeCertificate, certificates["old"], Props{"publicCertificate": "x"})
	assert.ErrorContains(t, err, "cannot be changed")
	assert.ErrorContains(t, b.c.Delete(t.Context(), typeCipherSuite, suite), "is used by one or more listeners")
	assert.ErrorContains(t, b.c.Delete(t.Context(), typeFlexSet, "loadBalancers/"+b.lb+"/backendSets/mqtts"), "is used by listener 'mqtts'")

	got := b.m.balancers[0].Listeners[0]
	assert.Equal(t, got.IdleTimeout, 900*time.Second)
	assert.Equal(t, got.Proxied.ProxyProtocol, 2)
	assert.Assert(t, strings.Contains(got.Proxied.TLS.Certificate, "BEGIN CERTIFICATE") && strings.Contains(got.Proxied.TLS.Certificate, "PRIVATE KEY"))
	assert.DeepEqual(t, got.Proxied.TLS.Protocols, []string{"TLSv1.2", "TLSv1.3"})

	listener["sslConfiguration"] = Props{"certificateName": "new", "cipherSuiteName": "suite", "verifyPeerCertificate": false}
	_, err = b.c.Update(t.Context(), typeFlexListener, id, listener)
	assert.NilError(t, err)
	assert.NilError(t, b.c.Delete(t.Context(), typeCertificate, certificates["old"]))
}

// Nothing is known of a set that no listener leads to; then its backends are listed by address and port.
func TestHealthOfAFlexibleSet(t *testing.T) {
	b := newFlexBed(t)
	b.make(typeFlexSet, flexSet("mqtt"))
	for _, ip := range []string{"10.80.1.10", "10.80.1.11"} {
		b.make(typeFlexBackend, Props{"backendsetName": "mqtt", "ipAddress": ip, "port": 1883})
	}
	ask := func() Props {
		out, err := b.c.Invoke(t.Context(), getFlexSetHealth, Props{"loadBalancerId": b.lb, "backendSetName": "mqtt"})
		assert.NilError(t, err)
		return out
	}
	var probes map[string]probe
	b.c.read(func(s *state) { probes = s.probes() })
	assert.Equal(t, len(probes), 2)
	for id, p := range probes {
		assert.Equal(t, p.interval, time.Second)
		result := healthOK
		if strings.Contains(id, "10.80.1.11") {
			result = "CONNECT_FAILED"
		}
		_, err := b.c.record(p, result)
		assert.NilError(t, err)
	}
	assert.Equal(t, ask()["status"], "UNKNOWN")
	b.make(typeFlexListener, Props{"name": "mqtt", "defaultBackendSetName": "mqtt", "port": 1883, "protocol": "TCP"})
	got := ask()
	assert.Equal(t, got["status"], "WARNING")
	assert.DeepEqual(t, got["criticalStateBackendNames"], []any{"10.80.1.11:1883"})
	ends := b.m.balancers[0].Listeners[0].Proxied.Ends
	assert.Assert(t, len(ends) == 2 && ends[0].Up && !ends[1].Up, "%+v", ends)

	// What the official provider makes of a set's backends that it does not know.
	set := flexSet("mqtt")
	set["loadBalancerId"], set["backends"] = b.lb, []any{Props{"port": nil}}
	_, err := b.c.Update(t.Context(), typeFlexSet, "loadBalancers/"+b.lb+"/backendSets/mqtt", set)
	assert.ErrorContains(t, err, "backends[0].ipAddress is required")
}
