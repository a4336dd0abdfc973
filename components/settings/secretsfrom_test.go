package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// labFile is the lab's stack file, which has no secrets, with some lines replaced.
func labFile(t *testing.T, replace ...string) Source {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "Pulumi.lab.yaml"))
	assert.NilError(t, err)
	config, _, err := ParseStackFile([]byte(strings.NewReplacer(replace...).Replace(string(text))))
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
		if name == "EMQX_OCI_LAB_SECRETS" {
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

func TestSecretsOfAFileFillWhatTheStackFileLeavesOut(t *testing.T) {
	_, err := Load("lab", labFile(t))
	assert.ErrorContains(t, err, `emqx-oci:secrets.apiKey: is not set; it comes from the file that EMQX_OCI_LAB_SECRETS names: eval "$(emqx-oci lab env)"`)

	s, err := Load("lab", withFile(t, labFile(t), labSecrets))
	assert.NilError(t, err)
	assert.Equal(t, s.Secrets.APIKey.Reveal(), "key-of-the-lab")
	// A group that the stack file has, too, keeps the rest of it.
	assert.Equal(t, s.Nomad.Token.Reveal(), "token-of-the-lab")
	assert.Equal(t, len(s.Nomad.Servers), 1)
}

func TestSecretsOfAFileLeaveTheStackFilesOwnAlone(t *testing.T) {
	from := withFile(t, labFile(t), labSecrets)
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

func TestSecretsOfAFileAreOnlyForAStackThatSaysSo(t *testing.T) {
	const line = "  emqx-oci:secretsFrom: EMQX_OCI_LAB_SECRETS\n"
	_, err := Load("prod", withFile(t, labFile(t, line, "", "cloud: lab", "cloud: oci"), labSecrets))
	assert.ErrorContains(t, err, "emqx-oci:secrets.apiKey: is not set; set it with: pulumi config set")
}

func TestSecretsOfAFileThatCannotBeReadAreAnError(t *testing.T) {
	_, err := Load("lab", withFile(t, labFile(t), "no JSON"))
	assert.ErrorContains(t, err, "reading the secrets that EMQX_OCI_LAB_SECRETS names: ")
}

// Any stack may have its secrets so, such as one that a pipeline deploys.
func TestSecretsOfAFileWithoutALab(t *testing.T) {
	from := labFile(t, "EMQX_OCI_LAB_SECRETS", "EMQX_OCI_OURS", "cloud: lab", "cloud: oci")
	_, err := Load("staging", from)
	assert.ErrorContains(t, err, "emqx-oci:secrets.apiKey: is not set; it comes from the file that EMQX_OCI_OURS names\n")
	_, err = Load("staging", withFile(t, from, labSecrets))
	assert.ErrorContains(t, err, "emqx-oci:secrets.apiKey: is not set", "the variable is another one")

	from = labFile(t, "EMQX_OCI_LAB_SECRETS", "NOMAD_TOKEN")
	from.Getenv = func(string) string { return "a-token" } // no path, and not to be shown
	_, err = Load("lab", from)
	assert.ErrorContains(t, err, "emqx-oci:secretsFrom: must be a variable of this program's, such as EMQX_OCI_SECRETS, got \"NOMAD_TOKEN\"")
	assert.Assert(t, !strings.Contains(err.Error(), "a-token"))
}

// Offline and without the file nobody knows what is in it: what it decides about is a doubt, and what is wrong either way a fault.
// With the file at hand it is decided.
func TestAFileThatIsNotAtHandIsADoubt(t *testing.T) {
	const tls, ours = "    terminate: broker # chapters watch EMQX's four listeners\n", "  emqx-oci:tls:\n"
	noPlain := ours + tls + "  emqx-oci:listeners: {mqtt: {open: none}, ws: {open: none}}\n"
	for name, x := range map[string]struct {
		replace      []string
		file         string // "" for none
		doubt, fault string
	}{
		"as it is":           {},
		"no plain listeners": {replace: []string{ours + tls, noPlain}, doubt: "emqx-oci:listeners: must leave one open: mqtt and ws are none, and mqtts and wss need tls.certificate"},
		"no plain listeners, a certificate": {replace: []string{ours + tls, noPlain}, file: labSecrets[:len(labSecrets)-2] + `,
			"emqx-oci:secrets.gatePassword": "x", "emqx-oci:tls.certificate": "certificate", "emqx-oci:tls.privateKey": "key"}`},
		"no plain listeners, no certificate": {
			replace: []string{ours + tls, noPlain}, file: labSecrets, fault: "emqx-oci:listeners: must leave one open: mqtt and ws are none, and mqtts and wss need tls.certificate",
		},
		"no listeners at all": {
			replace: []string{ours + tls, noPlain[:len(noPlain)-2] + ", mqtts: {open: none}, wss: {open: none}}\n"}, fault: "emqx-oci:listeners: must leave one open",
		},
		"certificates of clients": {
			replace: []string{ours + tls, ours + "    clients: optional\n", "    serverCidrs", "    privateSubnetCidr: 10.80.1.0/24\n    serverCidrs"},
			doubt:   "emqx-oci:tls.clients: must be none without tls.certificate, got optional",
		},
		"certificates of clients at the broker": {
			replace: []string{tls, "    terminate: broker\n    clients: optional\n"}, fault: "emqx-oci:tls.clients: must be none with tls.terminate: broker",
		},
		"an authority without its key": {
			replace: []string{ours + tls, ours + "    clients: optional\n    deviceCa: {secure: v1:abc}\n", "    serverCidrs", "    privateSubnetCidr: 10.80.1.0/24\n    serverCidrs"},
			doubt:   "emqx-oci:secrets.deviceCaKey: must be set with tls.deviceCa",
		},
		"a fault of its own": {replace: []string{"count: 3", "count: 0"}, fault: "emqx-oci:nodes.count: must be 1 to 100, got 0"},
	} {
		t.Run(name, func(t *testing.T) {
			from := labFile(t, x.replace...)
			if x.file != "" {
				from = withFile(t, from, x.file)
			}
			from.Offline = true
			s, err := Load("lab", from)
			if x.fault == "" {
				assert.NilError(t, err)
			} else {
				assert.ErrorContains(t, err, x.fault)
			}
			doubts := ""
			for _, d := range s.Doubts {
				doubts += d.String() + "\n"
			}
			assert.Assert(t, strings.Contains(doubts, x.doubt) && (x.doubt != "") == (doubts != ""), "%q", doubts)
		})
	}
}
