package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/certs"
)

// Whatever is pasted, the readers return. What they accept the standard library reads once it is normalised, as the same
// certificates; and what is normalised stays as it is.
func FuzzPEM(f *testing.F) {
	family := newFamily(f)
	key := keyPEM(f, family.leaf.key)
	for _, x := range badTexts(f) {
		f.Add(x.text, key)
		f.Add(certPEM(family.leaf, family.middle), x.text)
	}
	f.Add("\ufeff# mine\r\n"+certPEM(family.root, family.middle, family.leaf), " \t"+key)
	f.Fuzz(func(t *testing.T, text, key string) {
		all, err := certs.ReadCertificates(text)
		chain, normalKey := certs.NormalizeChain(text, key), certs.NormalizeKey(key)
		assert.Equal(t, certs.NormalizeChain(chain, normalKey), chain)
		assert.Equal(t, certs.NormalizeKey(normalKey), normalKey)
		public, keyErr := certs.ReadKey(key)
		if err != nil {
			assert.Assert(t, err.Error() != "" && len(all) == 0)
			return
		}
		assert.Assert(t, len(all) > 0)
		for _, each := range all {
			assert.Assert(t, certs.NormalizeCertificates(text) != "" && x509.NewCertPool().AppendCertsFromPEM([]byte(chain)))
			_ = certs.NameFault(each, host)
		}
		s := certs.Server{Certificates: certs.Ordered(all, public), Authorities: all}
		assert.Equal(t, len(s.Certificates), len(all))
		_ = s.Judge(today)
		if keyErr == nil && certs.KeyFault(all, public) == "" {
			_, err := tls.X509KeyPair([]byte(chain), []byte(normalKey))
			assert.NilError(t, err)
		}
	})
}
