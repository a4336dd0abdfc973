package rest

import (
	"crypto"
	"crypto/md5" //nolint:gosec // OCI's fingerprints of keys are MD5; nothing rests on them
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// UserID is the lab's only user.
const UserID = "ocid1.user.oc1..lab"

// maxSkew is how far a request's date may be from the service's, in OCI as here.
const maxSkew = 5 * time.Minute

// Key is the key of the lab's user, as every client of OCI has one.
type Key struct {
	Private *rsa.PrivateKey
	// PEM is the private key as a client's configuration holds it.
	PEM string
	// Fingerprint is that of the public key, in OCI's form: 16 bytes in hexadecimal with colons.
	Fingerprint string
}

// NewKey draws a key.
func NewKey() (Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return Key{}, fmt.Errorf("drawing a key for the API: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	return ParseKey(string(text))
}

// ParseKey reads a private key that NewKey has drawn.
func ParseKey(text string) (Key, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return Key{}, fmt.Errorf("reading the key of the API: it is not PEM")
	}
	private, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("reading the key of the API: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return Key{}, fmt.Errorf("reading the key of the API: %w", err)
	}
	sum := md5.Sum(public) //nolint:gosec // as above
	return Key{Private: private, PEM: text, Fingerprint: strings.ReplaceAll(fmt.Sprintf("% x", sum), " ", ":")}, nil
}

// id names the key in a signature.
func (k Key) id() string { return cloud.TenancyID + "/" + UserID + "/" + k.Fingerprint }

// notAuthenticated is OCI's one answer to all that is wrong with a signature.
var notAuthenticated = &cloud.Error{
	Status: http.StatusUnauthorized, Code: "NotAuthenticated",
	Message: "The required information to complete authentication was not provided or was incorrect.",
}

var parameter = regexp.MustCompile(`(\w+)="([^"]*)"`)

// check verifies a request's signature (draft-cavage-http-signatures-08, with the headers
// that OCI requires: docs.oracle.com, API/Concepts/signingrequests.htm).
func (k Key) check(r *http.Request, content []byte, now time.Time) error {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	given := map[string]string{}
	for _, p := range parameter.FindAllStringSubmatch(rest, -1) {
		given[p[1]] = p[2]
	}
	if !strings.EqualFold(scheme, "Signature") || given["keyId"] != k.id() || given["algorithm"] != "rsa-sha256" {
		return notAuthenticated
	}
	signed := strings.Fields(given["headers"])
	date := "date"
	if slices.Contains(signed, "x-date") {
		date = "x-date"
	}
	needed := []string{date, "(request-target)", "host"}
	if r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		needed = append(needed, "content-length", "content-type", "x-content-sha256")
		sum := sha256.Sum256(content)
		if r.Header.Get("X-Content-Sha256") != base64.StdEncoding.EncodeToString(sum[:]) {
			return notAuthenticated
		}
	}
	for _, header := range needed {
		if !slices.Contains(signed, header) {
			return notAuthenticated
		}
	}
	at, err := http.ParseTime(r.Header.Get(date))
	if err != nil || now.Sub(at).Abs() > maxSkew {
		return notAuthenticated
	}
	signature, err := base64.StdEncoding.DecodeString(given["signature"])
	if err != nil {
		return notAuthenticated
	}
	digest := sha256.Sum256([]byte(signingString(r, signed)))
	if rsa.VerifyPKCS1v15(&k.Private.PublicKey, crypto.SHA256, digest[:], signature) != nil {
		return notAuthenticated
	}
	return nil
}

func signingString(r *http.Request, headers []string) string {
	lines := make([]string, len(headers))
	for n, header := range headers {
		value := r.Header.Get(header)
		switch header {
		case "(request-target)":
			value = strings.ToLower(r.Method) + " " + r.RequestURI
		case "host":
			value = r.Host
		}
		lines[n] = header + ": " + value
	}
	return strings.Join(lines, "\n")
}
