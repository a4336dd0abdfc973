package components

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/infra/renew"
)

// held are Nomad's variables.
type held map[string]gates.Variable

func (h held) Variable(_ context.Context, path string) (gates.Variable, error) { return h[path], nil }

func (h held) SetVariable(_ context.Context, path string, items map[string]string, version uint64) (bool, error) {
	h[path] = gates.Variable{Items: items, Version: version + 1, Changed: time.Now()}
	return true, nil
}

// ownCertificate is its own authority, good for a time.
func ownCertificate(t *testing.T, name string, good time.Duration) (certificate, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	x := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(good),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, x, x, k.Public(), k)
	assert.NilError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	assert.NilError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func from(source string) settings.Settings {
	s := settings.Settings{Environment: "prod"}
	s.TLS.Source, s.TLS.Terminate, s.DNS.Name, s.DNS.Zone = source, settings.TerminateProxy, "mqtt.example.com", "example.com"
	s.Nomad.Namespace, s.Nomad.Address, s.Consul.Address = "iot", "http://127.0.0.1:1", "http://127.0.0.1:1"
	s.TLS.VaultSecret = "ocid1.vaultsecret.oc1.eu-frankfurt-1.aaaa"
	return s
}

const proxysPath = "nomad/jobs/emqx-prod-haproxy/haproxy"

// An update that finds no certificate, or one that clients refuse, ends before it touches anything, and says what to do.
func TestAnUpdateWantsItsCertificate(t *testing.T) {
	const day = 24 * time.Hour
	good, key := ownCertificate(t, "mqtt.example.com", 300*day)
	_, another := ownCertificate(t, "mqtt.example.com", day)
	other, otherKey := ownCertificate(t, "other.example.com", 300*day)
	ended, endedKey := ownCertificate(t, "mqtt.example.com", -time.Hour)
	late, lateKey := ownCertificate(t, "mqtt.example.com", 2*time.Hour)
	const put = "; write it with: nomad var put -namespace iot " + proxysPath + " certificate=@chain.pem private_key=@key.pem"
	for name, c := range map[string]struct {
		certificate, key, source, want string
		preview                        bool
	}{
		"good":                       {good, key, "variable", "", false},
		"renewed late":               {late, lateKey, "variable", "", false},
		"none":                       {"", "", "variable", "must find certificate and key in the Nomad variable " + proxysPath + ", which holds none" + put, false},
		"none, at a preview":         {"", "", "variable", "which holds none" + put, true},
		"another key":                {good, another, "variable", "its certificate must fit its key", false},
		"another name":               {other, otherKey, "variable", "that clients accept: it must be valid for dns.name: it is for other.example.com", false},
		"one that has ended":         {ended, endedKey, "variable", "that ended on", false},
		"none from an authority":     {"", "", "acme", "which holds none; get it with: emqx-oci certificate renew prod", false},
		"none yet from an authority": {"", "", "acme", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			variables := held{}
			if c.certificate != "" {
				variables[proxysPath] = gates.Variable{Version: 1, Items: map[string]string{cluster.ItemCertificate: c.certificate, cluster.ItemPrivateKey: c.key}}
			}
			s := from(c.source)
			_, err := recorder.Run(func(ctx *pulumi.Context) error { return wantCertificate(ctx, s, renewalIn(s, variables)) }, recorder.Options{Preview: c.preview})
			if c.want == "" {
				assert.NilError(t, err)
				return
			}
			assert.ErrorContains(t, err, "tls.source: ")
			assert.ErrorContains(t, err, c.want)
			assert.Assert(t, !strings.Contains(err.Error(), "BEGIN"))
		})
	}
}

// Where TLS ends at the brokers it is their variable that counts; what this program brings goes to both.
func TestTheVariableIsThatOfWhoEndsTLS(t *testing.T) {
	s := from("vault")
	s.TLS.Terminate = settings.TerminateBroker
	assert.DeepEqual(t, renewalIn(s, held{}).Store.Paths, []string{"nomad/jobs/emqx-prod/emqx", proxysPath})
	s.TLS.Terminate = settings.TerminateProxy
	assert.DeepEqual(t, renewalIn(s, held{}).Store.Paths, []string{proxysPath, "nomad/jobs/emqx-prod/emqx"})
	assert.Assert(t, !strings.HasPrefix(AccountVariable("prod"), "nomad/jobs"), "a job could read it")
}

// The vault's current version is handed over when it is another one, and when clients would take it. What the program asks
// registers nothing.
func TestTheVaultsCertificateIsHandedOver(t *testing.T) {
	first, firstKey := ownCertificate(t, "mqtt.example.com", 90*24*time.Hour)
	second, secondKey := ownCertificate(t, "mqtt.example.com", 90*24*time.Hour)
	other, otherKey := ownCertificate(t, "other.example.com", 90*24*time.Hour)
	content, asked := "", 0
	aside := func(_ context.Context, _ string, program pulumi.RunFunc) error {
		r, err := recorder.Run(program, recorder.Options{Call: func(token string, args resource.PropertyMap) (map[string]any, error) {
			asked++
			assert.Equal(t, token, "oci:Secrets/getSecretbundle:getSecretbundle")
			assert.Equal(t, args["secretId"].StringValue(), "ocid1.vaultsecret.oc1.eu-frankfurt-1.aaaa")
			if content == "" {
				return nil, errors.New("404-NotAuthorizedOrNotFound")
			}
			return map[string]any{"secretBundleContents": []any{map[string]any{"content": base64.StdEncoding.EncodeToString([]byte(content)), "contentType": "BASE64"}}}, nil
		}})
		if err == nil {
			for _, x := range r.Resources {
				assert.Assert(t, strings.HasPrefix(x.Type, "pulumi:providers:"), x.Type)
			}
		}
		return err
	}
	s, variables := from("vault"), held{}
	do := func(text string) (renew.Outcome, error) {
		content = text
		return renewBy(t.Context(), s, renewalIn(s, variables), renew.Options{Aside: aside})
	}
	o, err := do(firstKey + first)
	assert.NilError(t, err)
	assert.Assert(t, o.Renewed && asked == 1)
	o, err = do(first + firstKey)
	assert.NilError(t, err)
	assert.Assert(t, !o.Renewed, "the same pair in another order")
	for text, want := range map[string]string{
		"":                  "404-NotAuthorizedOrNotFound",
		"nonsense":          "the secret tls.vaultSecret must hold the certificate with its chain and its key",
		second + firstKey:   "its certificate must fit its key",
		other + otherKey:    "is not handed over, as clients would refuse it: it must be valid for dns.name",
		second:              "its key must be a private key in PEM",
		second + "\x00\xff": "its key must be a private key in PEM",
	} {
		_, err = do(text)
		assert.ErrorContains(t, err, want)
		assert.Equal(t, variables[proxysPath].Items[cluster.ItemCertificate], first)
	}
	o, err = do(second + secondKey)
	assert.NilError(t, err)
	assert.Assert(t, o.Renewed)
	for _, path := range []string{proxysPath, "nomad/jobs/emqx-prod/emqx"} {
		assert.Equal(t, variables[path].Items[cluster.ItemCertificate], second)
		assert.Equal(t, variables[path].Items[cluster.ItemPrivateKey], secondKey)
	}

	s = from("variable")
	o, err = RenewCertificate(t.Context(), s, renew.Options{})
	assert.NilError(t, err)
	assert.DeepEqual(t, o, renew.Outcome{Source: "variable"})
	assert.Assert(t, cmp.Contains(variables[proxysPath].Items[cluster.ItemCertificate], "BEGIN"))
}
