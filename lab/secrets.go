package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/cloud/rest"
)

// certificateLife is how long the lab's certificates hold: longer than any lab.
const certificateLife = 365 * 24 * time.Hour

// secretsFile holds the settings that Secrets returns, readable by root only.
const secretsFile = "secrets.json"

// Secrets returns the secret settings of the lab's stack by their path, such as
// "emqx-oci:secrets.erlangCookie". They are drawn at the first call, together with
// a certificate authority of the lab's own for ServerName, and kept in dir.
func secrets(dir string) (map[string]string, error) {
	path := filepath.Join(dir, secretsFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return drawSecrets(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the lab's secrets: %w", err)
	}
	var s map[string]string
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("reading the lab's secrets: %s: %w (remove the lab with `emqx-oci lab down`)", path, err)
	}
	return s, nil
}

func drawSecrets(dir string) (map[string]string, error) {
	ca, cert, key, err := certificates(ServerName, time.Now())
	if err != nil {
		return nil, fmt.Errorf("making the lab's certificates: %w", err)
	}
	s := map[string]string{
		// A letter, then letters and digits: a cookie that needs quotes, or looks like
		// a number, is read in different ways by EMQX and its command line.
		"emqx-oci:secrets.erlangCookie":      "c" + hex.EncodeToString([]byte(random(18))),
		"emqx-oci:secrets.dashboardPassword": random(18),
		"emqx-oci:secrets.apiKey":            "lab-" + random(9),
		"emqx-oci:secrets.apiSecret":         random(32),
		"emqx-oci:secrets.statsPassword":     random(18),
		"emqx-oci:secrets.gatePassword":      random(18),
		"emqx-oci:tls.certificate":           cert,
		"emqx-oci:tls.privateKey":            key,
		"emqx-oci:tls.ca":                    ca,
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the lab's secrets: %w", err)
	}
	// The authority's certificate is public: clients need it to trust the broker.
	if err := writeFile(filepath.Join(dir, CAFile), []byte(ca), 0o644); err != nil {
		return nil, fmt.Errorf("writing the lab's certificate authority: %w", err)
	}
	if err := writeFile(filepath.Join(dir, secretsFile), text, 0o600); err != nil {
		return nil, fmt.Errorf("writing the lab's secrets: %w", err)
	}
	return s, nil
}

// keyFile holds the key by which the lab's user signs requests to OCI's API.
const keyFile = "oci_api_key.pem"

// apiKey returns the key of the lab's user, drawn at the first call.
func apiKey(dir string) (rest.Key, error) {
	path := filepath.Join(dir, keyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := rest.NewKey()
		if err == nil {
			err = writeFile(path, []byte(key.PEM), 0o600)
		}
		return key, err
	}
	if err != nil {
		return rest.Key{}, fmt.Errorf("reading the key of the lab's API: %w", err)
	}
	key, err := rest.ParseKey(string(text))
	if err != nil {
		return key, fmt.Errorf("%s: %w (remove the lab with `emqx-oci lab down`)", path, err)
	}
	return key, nil
}

// statePassphrase encrypts the lab's state. Nothing is won by drawing one: it lies
// in clear beside the secrets, in a folder that only root can read. One that is
// the same in every lab lets Pulumi.lab.yaml carry its salt, so that plain pulumi
// finds there what it would otherwise write, and the next lab could not read.
const statePassphrase = "lab"

// passphrase returns the path of the file that holds it.
func passphrase(dir string) (string, error) {
	path := filepath.Join(dir, "passphrase")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := writeFile(path, []byte(statePassphrase), 0o600); err != nil {
		return "", fmt.Errorf("writing the lab's passphrase: %w", err)
	}
	return path, nil
}

// writeFile replaces a file as a whole: a killed process leaves the old or the new one.
func writeFile(path string, body []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(body); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Chmod(mode), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// random draws n bytes and writes them in the URL-safe alphabet, which no
// configuration language on the path has to quote.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// certificates makes an authority and a server certificate for name, as PEM.
func certificates(name string, now time.Time) (ca, cert, key string, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", "", err
	}
	// An hour back, so that a client whose clock lags a little accepts them.
	from, to := now.Add(-time.Hour), now.Add(certificateLife)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "emqx-oci lab CA"},
		NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, caKey.Public(), caKey)
	if err != nil {
		return "", "", "", err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", "", err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano() + 1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, leafKey.Public(), caKey)
	if err != nil {
		return "", "", "", err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return "", "", "", err
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return block("CERTIFICATE", rootDER), block("CERTIFICATE", leafDER), block("PRIVATE KEY", keyDER), nil
}
