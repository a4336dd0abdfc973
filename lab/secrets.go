package lab

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/cloud/rest"
)

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
	// The authority's certificate is public: clients need it to trust the broker.
	if err := writeFile(filepath.Join(dir, CAFile), []byte(ca), 0o644); err != nil {
		return nil, fmt.Errorf("writing the lab's certificate authority: %w", err)
	}
	return s, saveSecrets(dir, s)
}

func saveSecrets(dir string, s map[string]string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = writeFile(filepath.Join(dir, secretsFile), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("writing the lab's secrets: %w", err)
	}
	return nil
}

// addSecrets puts more settings of the stack beside its secrets.
func addSecrets(dir string, more map[string]string) error {
	s, err := secrets(dir)
	if err != nil {
		return err
	}
	maps.Copy(s, more)
	return saveSecrets(dir, s)
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
