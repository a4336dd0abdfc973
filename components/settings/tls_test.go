package settings

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// pair is a self-signed certificate for a name, and its key.
func pair(t *testing.T, name string, changes ...func(*x509.Certificate)) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	for _, change := range changes {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	assert.NilError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	assert.NilError(t, err)
	return block("CERTIFICATE", der), block("PRIVATE KEY", keyDER)
}

func block(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

// However the lines of a file end, and whatever stands around them: EMQX and the agents are told the same.
func TestPEMIsNormal(t *testing.T) {
	certificate, key := pair(t, "mqtt.example.com")
	ca, _ := pair(t, "ca.example.com")
	read := func(paste func(string) string) Settings {
		g := good()
		client := map[string]any{"ca": paste(ca), "certificate": paste(certificate), "privateKey": paste(key)}
		for group, value := range map[string]any{
			"tls":    client,
			"nomad":  map[string]any{"address": "https://10.0.2.10:4646", "servers": []string{"10.0.2.10:4647"}, "tls": client},
			"consul": map[string]any{"address": "https://10.0.2.10:8501", "servers": []string{"10.0.2.10"}, "tls": client},
		} {
			body, err := json.Marshal(value)
			assert.NilError(t, err)
			g[group] = string(body)
		}
		s, err := load("prod", g, "secrets", "tls", "nomad", "consul")
		assert.NilError(t, err)
		return s
	}
	want := read(func(s string) string { return s })
	assert.Equal(t, want.TLS.Certificate.Reveal(), certificate)
	assert.Equal(t, want.TLS.PrivateKey.Reveal(), key)
	assert.Equal(t, want.TLS.CA.Reveal(), ca)
	assert.DeepEqual(t, want.Nomad.TLS, ClientTLS{CA: ca, Certificate: certificate, PrivateKey: Secret(key)})
	for name, paste := range map[string]func(string) string{
		"CRLF":     func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"comments": func(s string) string { return "# mine\n" + s + "# end\n" },
		"a mark":   func(s string) string { return "\ufeff  " + s },
	} {
		got := read(paste)
		assert.DeepEqual(t, got.TLS, want.TLS)
		assert.DeepEqual(t, got.Nomad, want.Nomad)
		assert.DeepEqual(t, got.Consul, want.Consul)
		assert.Equal(t, got.TLS.PrivateKey.Reveal(), key, name)
	}
}

func TestCertificates(t *testing.T) {
	certificate, key := pair(t, "mqtt.example.com")
	other, otherKey := pair(t, "mqtt.example.org")
	for _, c := range []struct {
		name  string
		group string
		value map[string]any
		want  string
	}{
		{"fits", "tls", map[string]any{"certificate": certificate, "privateKey": key, "ca": other + certificate}, ""},
		{"another key", "tls", map[string]any{"certificate": certificate, "privateKey": otherKey}, "emqx-oci:tls.certificate: must be a PEM certificate that fits the key: that of \"mqtt.example.com\" is another ECDSA P-256 key"},
		{"another name", "tls", map[string]any{"certificate": other, "privateKey": otherKey}, "emqx-oci:tls.certificate: must be valid for dns.name: it is for mqtt.example.org, not mqtt.example.com"},
		{
			"another name and key", "tls",
			map[string]any{"certificate": other, "privateKey": key},
			"emqx-oci:tls.certificate: must be a PEM certificate that fits the key: that of \"mqtt.example.org\" is another ECDSA P-256 key\n" +
				"emqx-oci:tls.certificate: must be valid for dns.name: it is for mqtt.example.org, not mqtt.example.com",
		},
		{
			"damaged", "tls",
			map[string]any{"certificate": "-----BEGIN CERTIFICATE-----", "privateKey": block("PRIVATE KEY", []byte("no key"))},
			"emqx-oci:tls.certificate: must be PEM certificates: its block 1 does not end: the text is cut off\n" +
				"emqx-oci:tls.privateKey: must be a private key in PEM: it cannot be read: it is damaged, or of another kind: RSA and ECDSA keys are taken",
		},
		{
			"swapped", "tls",
			map[string]any{"certificate": key, "privateKey": certificate},
			"emqx-oci:tls.certificate: must be PEM certificates: it holds a private key, which belongs into privateKey\n" +
				"emqx-oci:tls.privateKey: must be a private key in PEM: it holds a certificate and no key",
		},
		{"key among certificates", "tls", map[string]any{"certificate": certificate + key, "privateKey": key}, "emqx-oci:tls.certificate: must be PEM certificates: it holds a private key, which belongs into privateKey"},
		{
			"encrypted", "tls",
			map[string]any{"certificate": certificate, "privateKey": block("ENCRYPTED PRIVATE KEY", []byte{48})},
			"emqx-oci:tls.privateKey: must be a private key in PEM: it is encrypted, and nobody is there to give its passphrase: decrypt it with openssl pkey -in FILE -out key.pem",
		},
		// In clear, where an error shows what it refuses.
		{
			"key of a client in its certificate's place", "nomad",
			map[string]any{"ca": key, "certificate": key[:100], "privateKey": key},
			"emqx-oci:nomad.tls.ca: must be PEM certificates: it holds a private key, which belongs into privateKey\n" +
				"emqx-oci:nomad.tls.certificate: must be PEM certificates: it holds a private key, which belongs into privateKey",
		},
		{"a piece of a client's key", "nomad", map[string]any{"ca": key[40:100]}, "emqx-oci:nomad.tls.ca: must be PEM certificates: it is no PEM: there is no line -----BEGIN ...-----"},
		{"client", "nomad", map[string]any{"ca": certificate, "certificate": other, "privateKey": otherKey}, ""},
		{
			"client with another key", "nomad",
			map[string]any{"certificate": other, "privateKey": key},
			"emqx-oci:nomad.tls.certificate: must be a PEM certificate that fits the key: that of \"mqtt.example.org\" is another ECDSA P-256 key",
		},
		{"client without a key", "nomad", map[string]any{"certificate": other}, "emqx-oci:nomad.tls.privateKey: must be set with the certificate; set it with: ..."},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := good()
			value := any(c.value)
			if c.group == "nomad" {
				value = map[string]any{"address": "https://10.0.2.10:4646", "servers": []string{"10.0.2.10:4647"}, "tls": c.value}
			}
			body, err := json.Marshal(value)
			assert.NilError(t, err)
			g[c.group] = string(body)
			_, err = load("prod", g, "secrets", "tls", "nomad")
			if c.want == "" {
				assert.NilError(t, err)
				return
			}
			want, more := strings.CutSuffix(c.want, "...")
			if more {
				assert.ErrorContains(t, err, want)
			} else {
				assert.Error(t, err, want)
			}
			for line := range strings.Lines(key) {
				assert.Assert(t, !strings.Contains(err.Error(), line[:16]) || strings.HasPrefix(line, "---"), "an error shows a key: %v", err)
			}
		})
	}
}

// Certificates beside the main one are looked at as that one is, but for the public name.
func TestFurtherCertificates(t *testing.T) {
	main, mainKey := pair(t, "mqtt.example.com")
	eu, euKey := pair(t, "mqtt.example.eu")
	again, againKey := pair(t, "mqtt.example.eu")
	nobody, nobodyKey := pair(t, "mqtt.example.org", func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = "mqtt.example.org", nil })
	of := func(pairs ...string) any {
		all := []map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, map[string]string{"certificate": pairs[i], "privateKey": pairs[i+1]})
		}
		return all
	}
	for name, x := range map[string]struct {
		further any
		want    string
	}{
		"one":           {of(eu, euKey), ""},
		"put right":     {of("# mine\n"+strings.ReplaceAll(eu, "\n", "\r\n"), euKey), ""},
		"none":          {of(), ""},
		"another key":   {of(eu, againKey), "emqx-oci:tls.certificates[0].certificate: must be a PEM certificate that fits the key: that of \"mqtt.example.eu\" is another ECDSA P-256 key"},
		"no name":       {of(nobody, nobodyKey), "emqx-oci:tls.certificates[0].certificate: must have a name among its subjectAltName, by which clients ask for it"},
		"the main name": {of(main, mainKey), "emqx-oci:tls.certificates[0].certificate: must have a name that no certificate before it has, got one for mqtt.example.com: no client would get it"},
		"twice":         {of(eu, euKey, again, againKey), "emqx-oci:tls.certificates[1].certificate: must have a name that no certificate before it has, got one for mqtt.example.eu: no client would get it"},
		"swapped": {
			of(euKey, eu), "emqx-oci:tls.certificates[0].certificate: must be PEM certificates: it holds a private key, which belongs into privateKey\n" +
				"emqx-oci:tls.certificates[0].privateKey: must be a private key in PEM: it holds a certificate and no key",
		},
		"damaged": {
			of(eu, block("PRIVATE KEY", []byte("no key"))),
			"emqx-oci:tls.certificates[0].privateKey: must be a private key in PEM: it cannot be read: it is damaged, or of another kind: RSA and ECDSA keys are taken",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := good()
			body, err := json.Marshal(map[string]any{"certificate": main, "privateKey": mainKey, "certificates": x.further})
			assert.NilError(t, err)
			g["tls"] = string(body)
			s, err := load("prod", g, "secrets", "tls")
			if x.want != "" {
				assert.Error(t, err, x.want)
				return
			}
			assert.NilError(t, err)
			for _, c := range s.TLS.Certificates {
				assert.Equal(t, c.Certificate.Reveal(), eu, "its text is normal")
				assert.Equal(t, c.PrivateKey.Reveal(), euKey)
			}
		})
	}
}

// Keys of session tickets are three, of one size; a rotation leaves two of them.
func TestTicketKeys(t *testing.T) {
	main, mainKey := pair(t, "mqtt.example.com")
	first := RotateTicketKeys("")
	second := RotateTicketKeys(first)
	keys := func(s Secret) []string { return strings.Fields(s.Reveal()) }
	assert.DeepEqual(t, keys(second)[:2], keys(first)[1:])
	assert.Assert(t, keys(second)[2] != keys(first)[0])
	assert.Equal(t, len(keys(RotateTicketKeys("")))+len(keys(second)), 6)
	one, another := RotateTicketKeys(""), RotateTicketKeys("")
	assert.Assert(t, one != another)
	lines := keys(first)
	for name, text := range map[string]string{
		"": first.Reveal(), "with CRLF": strings.Join(lines, "\r\n"), "too few": strings.Join(lines[:2], "\n"), "too many": first.Reveal() + keys(second)[2],
		"twice": lines[0] + "\n" + lines[1] + "\n" + lines[0], "short": lines[0] + "\n" + lines[1] + "\n" + lines[2][:64], "no base64": "a\nb\nc",
	} {
		g := good()
		body, err := json.Marshal(map[string]any{"certificate": main, "privateKey": mainKey, "ticketKeys": text})
		assert.NilError(t, err)
		g["tls"] = string(body)
		s, err := load("prod", g, "secrets", "tls")
		if name == "" || name == "with CRLF" {
			assert.NilError(t, err)
			assert.Equal(t, s.TLS.TicketKeys, first)
			continue
		}
		assert.Error(t, err, "emqx-oci:tls.ticketKeys: must be three different lines of 80 bytes in base64, as `emqx-oci tickets` makes them", name)
	}
}

// Encrypted in the file, in clear at run time: there the format is checked.
func TestSecretsAreCheckedWhereTheyCanBeRead(t *testing.T) {
	g := good()
	g["secrets"] = `{"erlangCookie": "hidden#cookie-with-a-hash", "dashboardPassword": "hidden", "apiKey": "hidden:key", "apiSecret": "[secret]",
		"statsPassword": "hidden password"}`
	_, err := load("prod", g, "secrets")
	assert.Error(t, err, `emqx-oci:secrets.apiKey: must be letters, digits and ._~+/=-: a colon would end it
emqx-oci:secrets.apiSecret: must have at least 12 characters, got 8
emqx-oci:secrets.dashboardPassword: must have at least 12 characters, got 6
emqx-oci:secrets.erlangCookie: must be a letter followed by 19 to 254 letters and digits: a shell script and HOCON read it unquoted
emqx-oci:secrets.statsPassword: must be printable ASCII without spaces`)
}

// A list of revoked certificates is of the authorities that sign them.
func TestRevocationListsAreOfTheAuthorities(t *testing.T) {
	certificate, key := pair(t, "mqtt.example.com")
	authority := func(name string) (string, string) {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		assert.NilError(t, err)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
		assert.NilError(t, err)
		cert, err := x509.ParseCertificate(der)
		assert.NilError(t, err)
		list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), NextUpdate: time.Now().Add(time.Hour)}, cert, private)
		assert.NilError(t, err)
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list}))
	}
	one, ofOne := authority("one")
	two, ofTwo := authority("two")
	for name, x := range map[string]struct{ ca, crl, want string }{
		"of each":          {one + two, ofTwo + ofOne, ""},
		"none at all":      {one, "", ""},
		"of one of two":    {one + two, ofOne, `emqx-oci:tls.clientCrl: must hold a list of each authority in tls.clientCa, or none of its clients gets in; got none of "two"`},
		"of another":       {one, ofTwo, `got none of "one"`},
		"a certificate":    {one, one, "emqx-oci:tls.clientCrl: must be PEM lists of revoked certificates"},
		"one beside a key": {one, ofOne + key, "emqx-oci:tls.clientCrl: must be PEM lists of revoked certificates"},
	} {
		t.Run(name, func(t *testing.T) {
			g := good()
			body, err := json.Marshal(map[string]string{"certificate": certificate, "privateKey": key, "clients": "required", "clientCa": x.ca, "clientCrl": x.crl})
			assert.NilError(t, err)
			g["tls"] = string(body)
			g["network"] = strings.Replace(g["network"], "{", `{"privateSubnetCidr": "10.0.2.0/24", `, 1)
			_, err = load("prod", g, "secrets", "tls")
			if x.want == "" {
				assert.NilError(t, err)
				return
			}
			assert.ErrorContains(t, err, x.want)
		})
	}
}
