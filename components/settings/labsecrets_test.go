package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// labFile is a stack file of the lab, or of another cloud, without secrets.
func labFile(t *testing.T, cloud string) Source {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "Pulumi.lab.yaml"))
	assert.NilError(t, err)
	config, _, err := ParseStackFile([]byte(strings.Replace(string(text), "cloud: lab", "cloud: "+cloud, 1)))
	assert.NilError(t, err)
	return Source{
		Get:      func(key string) (string, bool) { v, ok := config[key]; return v, ok },
		IsSecret: func(string) bool { return false },
		Getenv:   func(string) string { return "" },
	}
}

func withFile(t *testing.T, from Source, body string) Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets.json")
	assert.NilError(t, os.WriteFile(path, []byte(body), 0o600))
	from.Getenv = func(name string) string {
		if name == LabSecretsEnv {
			return path
		}
		return ""
	}
	return from
}

const labSecrets = `{
  "emqx-oci:secrets.erlangCookie": "cookieOfTheLabCookieOfTheLab",
  "emqx-oci:secrets.dashboardPassword": "dashboard-of-the-lab",
  "emqx-oci:secrets.apiKey": "key-of-the-lab",
  "emqx-oci:secrets.apiSecret": "secret-of-the-lab",
  "emqx-oci:secrets.statsPassword": "stats-of-the-lab",
  "emqx-oci:nomad.token": "token-of-the-lab"
}`

func TestLabSecretsFillWhatTheStackFileLeavesOut(t *testing.T) {
	_, err := Load("lab", labFile(t, "lab"))
	assert.ErrorContains(t, err, `emqx-oci:secrets.apiKey: is not set; the lab has made one: eval "$(emqx-oci lab env)"`)

	s, err := Load("lab", withFile(t, labFile(t, "lab"), labSecrets))
	assert.NilError(t, err)
	assert.Equal(t, s.Secrets.APIKey.Reveal(), "key-of-the-lab")
	// A group that the stack file has, too, keeps the rest of it.
	assert.Equal(t, s.Nomad.Token.Reveal(), "token-of-the-lab")
	assert.Equal(t, len(s.Nomad.Servers), 1)
}

func TestLabSecretsLeaveTheStackFilesOwnAlone(t *testing.T) {
	from := withFile(t, labFile(t, "lab"), labSecrets)
	get := from.Get
	from.Get = func(key string) (string, bool) {
		if key == "emqx-oci:secrets" {
			return `{"apiKey": "key-of-its-own"}`, true
		}
		return get(key)
	}
	s, err := Load("lab", from)
	assert.NilError(t, err)
	assert.Equal(t, s.Secrets.APIKey.Reveal(), "key-of-its-own")
	assert.Equal(t, s.Secrets.APISecret.Reveal(), "secret-of-the-lab")
}

func TestLabSecretsNeverLeaveTheLab(t *testing.T) {
	_, err := Load("prod", withFile(t, labFile(t, "oci"), labSecrets))
	assert.ErrorContains(t, err, "emqx-oci:secrets.apiKey: is not set; set it with: pulumi config set")
}

func TestLabSecretsThatCannotBeReadAreAnError(t *testing.T) {
	_, err := Load("lab", withFile(t, labFile(t, "lab"), "no JSON"))
	assert.ErrorContains(t, err, "reading the lab's secrets (EMQX_OCI_LAB_SECRETS)")
}
