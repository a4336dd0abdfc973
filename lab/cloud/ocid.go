package cloud

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/hex"
	"strings"
)

// newOCID makes an identifier of the form ocid1.<type>.<realm>.<region>.<unique>,
// with the 60 characters of a-z2-7 that OCI's unique parts have. The first eight
// are fixed, as they are within one tenancy, so programs cannot rely on a
// prefix to tell resources apart.
func newOCID(noun string) string {
	b := make([]byte, 33)
	_, _ = rand.Read(b) // never fails since Go 1.24
	unique := strings.ToLower(base32.StdEncoding.EncodeToString(b))[:52]
	return "ocid1." + noun + ".oc1." + Region + ".aaaaaaaa" + unique
}

// newRuleID is the short form that security rules have instead of an OCID.
func newRuleID() string {
	b := make([]byte, 3)
	_, _ = rand.Read(b)
	return strings.ToUpper(hex.EncodeToString(b))
}

// randomSuffix is what the provider and instance pools put into names nobody chose.
func randomSuffix(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))[:n]
}
