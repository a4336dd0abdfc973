package cli_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci/cli"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/renew"
)

// renewing runs a command of a stack whose certificate comes from outside.
func renewing(t *testing.T, args string, o renew.Outcome, fail error) (out string, exit int, f *fake, asked []renew.Options) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"Pulumi.yaml": "name: emqx-oci\n", "Pulumi.prod.yaml": "config: {}\n"} {
		assert.NilError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	f = &fake{}
	var stdout, stderr bytes.Buffer
	exit = cli.Run(cli.Options{
		Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }, Dir: dir, Executable: "/usr/local/bin/emqx-oci",
		NewEngine: func(o orchestrate.Options) (cli.Engine, error) { f.opts = o; return f, nil },
		Renew: func(_ context.Context, stack string, _ orchestrate.Config, given renew.Options) (renew.Outcome, error) {
			assert.Equal(t, stack, "prod")
			asked = append(asked, given)
			given.Report("there is no certificate yet")
			return o, fail
		},
		Extension: f.extension,
	}, strings.Fields(args))
	return stdout.String() + stderr.String(), exit, f, asked
}

func TestCertificateRenew(t *testing.T) {
	o := renew.Outcome{Source: "acme", Renewed: true, Name: "mqtt.example.com", Ends: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)}
	out, exit, _, asked := renewing(t, "certificate renew prod --force", o, nil)
	assert.Equal(t, exit, 0)
	assert.Equal(t, out, "certificate \"mqtt.example.com\", which ends on 2027-03-01, is handed to the proxies and brokers\nthere is no certificate yet\n")
	assert.Assert(t, asked[0].Force && asked[0].Aside != nil)
	o.Renewed = false
	out, exit, _, asked = renewing(t, "certificate renew prod --json", o, nil)
	assert.Equal(t, exit, 0)
	assert.Equal(t, out, `{"stack":"prod","source":"acme","renewed":false,"name":"mqtt.example.com","ends":"2027-03-01T00:00:00Z"}`+"\n")
	assert.Assert(t, !asked[0].Force)
	out, exit, _, _ = renewing(t, "certificate renew prod", renew.Outcome{Source: "variable"}, nil)
	assert.Equal(t, exit, 2)
	assert.Assert(t, cmp.Contains(out, "tls.source of stack prod is variable, so somebody else brings its certificate"))
	out, exit, _, _ = renewing(t, "certificate renew prod", renew.Outcome{}, errors.New("refused by the authority"))
	assert.Equal(t, exit, 1)
	assert.Assert(t, cmp.Contains(out, "error: refused by the authority"))
	_, exit, _, _ = renewing(t, "certificate nonsense", renew.Outcome{}, nil)
	assert.Equal(t, exit, 2)
}

// An update gets a certificate that is due first. An authority that is away is no reason not to update.
func TestUpRenewsFirst(t *testing.T) {
	o := renew.Outcome{Source: "acme", Renewed: true, Name: "mqtt.example.com", Ends: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)}
	for name, fail := range map[string]error{"renewed": nil, "refused": errors.New("the authority is away")} {
		out, exit, f, asked := renewing(t, "up prod --yes", o, fail)
		assert.Equal(t, exit, 0, "%s: %s", name, out)
		assert.Equal(t, len(asked), 1)
		assert.Assert(t, cmp.Contains(strings.Join(f.calls, " "), "up"))
		want := `certificate "mqtt.example.com" was renewed, and ends on 2027-03-01`
		if fail != nil {
			want = fail.Error()
		}
		assert.Assert(t, cmp.Contains(out, want))
	}
	_, _, _, asked := renewing(t, "preview prod", o, nil)
	assert.Equal(t, len(asked), 0, "a preview gets nothing")
}
