//go:build lab

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci/cli"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// The file that init writes is one that Pulumi reads and the settings accept, and it still explains itself.
func TestInitWithPulumi(t *testing.T) {
	pulumi, err := filepath.Abs(agenttest.Tool(t, "pulumi"))
	assert.NilError(t, err)
	dir := t.TempDir()
	for _, d := range []string{"state", "home", "project"} {
		assert.NilError(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	t.Setenv("PULUMI_BACKEND_URL", "file://"+filepath.Join(dir, "state"))
	t.Setenv("PULUMI_HOME", filepath.Join(dir, "home"))
	t.Setenv("PULUMI_CONFIG_PASSPHRASE", "a test")
	t.Setenv("EMQX_OCI_PULUMI", pulumi)
	project := filepath.Join(dir, "project")
	text, err := os.ReadFile("../../Pulumi.yaml")
	assert.NilError(t, err)
	assert.NilError(t, os.WriteFile(filepath.Join(project, "Pulumi.yaml"), text, 0o600))

	initProd := func() (out string, exit int) {
		var b bytes.Buffer
		exit = cli.Run(cli.Options{
			Stdin: strings.NewReader(""), Stdout: &b, Stderr: &b, Getenv: os.Getenv, Dir: project, Validate: validate, Check: check, Checks: kinds.Checks(),
			NewInitializer: func(ctx context.Context, o orchestrate.InitOptions) (cli.Initializer, error) {
				return orchestrate.NewInitializer(ctx, o)
			},
		}, strings.Fields("init prod --region eu-frankfurt-1 --compartment ocid1.compartment.oc1..a --vcn ocid1.vcn.oc1.fra.a"+
			" --public-subnet ocid1.subnet.oc1.fra.a --private-subnet ocid1.subnet.oc1.fra.b --client-cidrs 203.0.113.0/24"+
			" --server-cidrs 10.10.2.0/24 --image ocid1.image.oc1.fra.a --dns-zone example.com --dns-name mqtt.example.com"+
			" --nomad-address https://nomad.example.com:4646 --nomad-servers 10.10.2.10:4647"+
			" --consul-address https://consul.example.com:8501 --consul-servers 10.10.2.10"))
		return b.String(), exit
	}
	out, exit := initProd()
	assert.Equal(t, exit, 0, "%s", out)

	written, err := os.ReadFile(filepath.Join(project, "Pulumi.prod.yaml"))
	assert.NilError(t, err)
	assert.Assert(t, strings.HasPrefix(string(written), "# yaml-language-server: "), "%s", written)
	assert.Assert(t, strings.Contains(string(written), "    # shape: VM.Standard.E5.Flex\n"), "%s", written)

	// As Pulumi hands it to the program.
	cmd := exec.Command(pulumi, "config", "--stack", "prod", "--show-secrets", "--json")
	cmd.Dir = project
	said, err := cmd.Output()
	assert.NilError(t, err)
	var config map[string]struct {
		Value  string
		Secret bool
	}
	assert.NilError(t, json.Unmarshal(said, &config))
	s, err := settings.Load("prod", settings.Source{
		Get:      func(k string) (string, bool) { v, ok := config[k]; return v.Value, ok },
		IsSecret: func(k string) bool { return config[k].Secret },
	})
	assert.NilError(t, err)
	assert.Equal(t, s.Nodes.Count, 3)
	for path, secret := range map[string]settings.Secret{"apiKey": s.Secrets.APIKey, "statsPassword": s.Secrets.StatsPassword} {
		assert.Assert(t, !strings.Contains(string(written)+out, secret.Reveal()), "%s stands in clear", path)
	}
	// What init says it is shown by.
	cmd = exec.Command(pulumi, "config", "get", "-s", "prod", "--path", "emqx-oci:secrets.dashboardPassword")
	cmd.Dir = project
	said, err = cmd.Output()
	assert.NilError(t, err)
	assert.Equal(t, strings.TrimSpace(string(said)), s.Secrets.DashboardPassword.Reveal())

	out, exit = initProd()
	assert.Equal(t, exit, 2, "%s", out)
	again, err := os.ReadFile(filepath.Join(project, "Pulumi.prod.yaml"))
	assert.NilError(t, err)
	assert.DeepEqual(t, again, written)
}
