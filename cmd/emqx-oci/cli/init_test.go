package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci/cli"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
)

// initializer keeps what it was told to write.
type initializer struct {
	dir     string
	opts    orchestrate.InitOptions
	text    string
	secrets map[string]string
	fail    error
}

func (i *initializer) Write(_ context.Context, text []byte, secrets map[string]string) (string, error) {
	i.text, i.secrets = string(text), secrets
	return filepath.Join(i.dir, "Pulumi."+i.opts.Stack+".yaml"), i.fail
}

// initCall runs init with the settings' own checks.
func initCall(t *testing.T, i *initializer, c call, sigs chan os.Signal) (out, errs string, exit int) {
	t.Helper()
	i.dir = t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(i.dir, "Pulumi.yaml"), []byte("name: emqx-oci\n"), 0o600))
	var stdout, stderr bytes.Buffer
	stdin := strings.NewReader(c.stdin)
	exit = cli.Run(cli.Options{
		Stdin: stdin, Stdout: &stdout, Stderr: &stderr, StdinTerminal: c.terminal, StdoutTerminal: c.terminal,
		Getenv: func(string) string { return "" }, Dir: i.dir, Signals: sigs,
		Validate: func(stack string, c orchestrate.Config) error {
			_, err := settings.Load(stack, settings.Source{Get: c.Get, IsSecret: c.IsSecret})
			return err
		},
		NewInitializer: func(_ context.Context, o orchestrate.InitOptions) (cli.Initializer, error) {
			i.opts = o
			return i, nil
		},
	}, strings.Fields(c.args))
	return stdout.String(), stderr.String(), exit
}

// all gives every question its flag.
const all = " --region eu-frankfurt-1 --compartment ocid1.compartment.oc1..a --vcn ocid1.vcn.oc1.fra.a" +
	" --public-subnet ocid1.subnet.oc1.fra.a --private-subnet ocid1.subnet.oc1.fra.b" +
	" --client-cidrs 203.0.113.0/24,198.51.100.0/24 --server-cidrs 10.10.2.0/24 --image ocid1.image.oc1.fra.a --nodes 5" +
	" --dns-zone example.com --dns-name mqtt.example.com" +
	" --nomad-address https://nomad.example.com:4646 --nomad-servers 10.10.2.10:4647,10.10.2.11:4647" +
	" --consul-address https://consul.example.com:8501 --consul-servers 10.10.2.10"

func TestInit(t *testing.T) {
	for name, c := range map[string]struct {
		call
		exit int
	}{
		"init without a stack":      {call: call{args: "init"}, exit: 2},
		"init of a bad name":        {call: call{args: "init Prod_1"}, exit: 2},
		"init in a pipe":            {call: call{args: "init prod"}, exit: 2},
		"init in a pipe, some":      {call: call{args: "init prod --region eu-frankfurt-1 --image foo --nodes many --dns-zone example.com --dns-name mqtt.example.org"}, exit: 2},
		"init with all flags":       {call: call{args: "init prod" + all}},
		"init with all flags, json": {call: call{args: "init prod --json" + all}},
		"init asks": {call: call{args: "init prod", terminal: true, stdin: strings.Join([]string{
			"", "eu-frankfurt-1", "frankfurt", "ocid1.compartment.oc1..a", "ocid1.vcn.oc1.fra.a", "ocid1.subnet.oc1.fra.a", "ocid1.subnet.oc1.fra.b",
			"10.1.2.3/8, everybody", "203.0.113.0/24 , 198.51.100.0/24", "10.10.2.0/24", "ocid1.image.oc1.fra.a", "0", "many", "", "example.com", "mqtt.example.org",
			"mqtt.example.com", "nomad", "https://nomad.example.com:4646", "10.10.2.10", "10.10.2.10:4647", "https://consul.example.com:8501", "", "10.10.2.10",
		}, "\n") + "\n"}},
		"init asks, end of input":   {call: call{args: "init prod", terminal: true, stdin: "eu-frankfurt-1\n"}, exit: 1},
		"init asks what is no flag": {call: call{args: "init prod" + strings.Replace(all, "--nodes 5", "", 1), terminal: true, stdin: "4\n"}},
		"init with yes":             {call: call{args: "init prod --yes --region x", terminal: true}, exit: 2},
	} {
		t.Run(name, func(t *testing.T) {
			var i initializer
			out, errs, exit := initCall(t, &i, c.call, nil)
			assert.Equal(t, exit, c.exit, "%s", errs)
			text := fmt.Sprintf("$ emqx-oci %s\n-- stdout --\n%s-- stderr --\n%s-- exit %d --\n", c.args, out, errs, exit)
			text = strings.ReplaceAll(text, i.dir, "DIR")
			golden.Assert(t, text, strings.ReplaceAll(strings.ReplaceAll(name, ", ", "-"), " ", "-")+".golden")
			assert.Equal(t, i.text != "", exit == 0, "a file is written when, and only when, all is well")
			for path, secret := range i.secrets {
				assert.Assert(t, !strings.Contains(out+errs+i.text, secret), "%s is shown", path)
			}
		})
	}
}

// load reads the settings of a stack file's text, with secrets of its own.
func load(t *testing.T, text string, secrets map[string]string) settings.Settings {
	t.Helper()
	text += "  emqx-oci:secrets:\n"
	for path, secret := range secrets {
		text += fmt.Sprintf("    %s: %s\n", strings.TrimPrefix(path, "emqx-oci:secrets."), secret)
	}
	values, _, err := settings.ParseStackFile([]byte(text))
	assert.NilError(t, err, "%s", text)
	s, err := settings.Load("prod", settings.Source{
		Get:      func(k string) (string, bool) { v, ok := values[k]; return v, ok },
		IsSecret: func(string) bool { return true }, Getenv: func(string) string { return "" },
	})
	assert.NilError(t, err, "%s", text)
	return s
}

func TestInitWritesWhatWasSaid(t *testing.T) {
	var i initializer
	_, errs, exit := initCall(t, &i, call{args: "init prod --secrets-provider awskms://alias/x" + all}, nil)
	assert.Equal(t, exit, 0, "%s", errs)
	assert.Equal(t, i.opts.SecretsProvider, "awskms://alias/x")
	s := load(t, i.text, i.secrets)
	assert.Equal(t, s.OCI.Region, "eu-frankfurt-1")
	assert.Equal(t, s.OCI.Compartment, "ocid1.compartment.oc1..a")
	assert.Equal(t, s.Network.VCN, "ocid1.vcn.oc1.fra.a")
	assert.Equal(t, s.Network.PublicSubnet, "ocid1.subnet.oc1.fra.a")
	assert.Equal(t, s.Network.PrivateSubnet, "ocid1.subnet.oc1.fra.b")
	assert.DeepEqual(t, s.Network.ClientCIDRs, []string{"203.0.113.0/24", "198.51.100.0/24"})
	assert.DeepEqual(t, s.Network.ServerCIDRs, []string{"10.10.2.0/24"})
	assert.Equal(t, s.Nodes.Image, "ocid1.image.oc1.fra.a")
	assert.Equal(t, s.Nodes.Count, 5)
	assert.Equal(t, s.DNS.Zone, "example.com")
	assert.Equal(t, s.DNS.Name, "mqtt.example.com")
	assert.Equal(t, s.Nomad.Address, "https://nomad.example.com:4646")
	assert.DeepEqual(t, s.Nomad.Servers, []string{"10.10.2.10:4647", "10.10.2.11:4647"})
	assert.Equal(t, s.Consul.Address, "https://consul.example.com:8501")
	assert.DeepEqual(t, s.Consul.Servers, []string{"10.10.2.10"})
}

// What the file shows behind a "#" is the default, in its place: taking the "#" away changes nothing.
func TestInitShowsDefaults(t *testing.T) {
	var i initializer
	_, errs, exit := initCall(t, &i, call{args: "init prod" + all}, nil)
	assert.Equal(t, exit, 0, "%s", errs)
	commented := regexp.MustCompile(`(?m)^( +)# ([a-zA-Z]+: \S+)$`)
	assert.Assert(t, len(commented.FindAllString(i.text, -1)) >= 8, "the test must see the defaults:\n%s", i.text)
	opened := commented.ReplaceAllString(i.text, "$1$2")
	assert.DeepEqual(t, load(t, opened, i.secrets), load(t, i.text, i.secrets))
	// And what it writes down is the default, too.
	pinned := regexp.MustCompile(`(?m)^  emqx-oci:(volumes|proxy):\n(?:    .*\n)+|^    image: emqx.*\n`)
	assert.Equal(t, len(pinned.FindAllString(i.text, -1)), 3)
	without := pinned.ReplaceAllString(i.text, "")
	without = strings.Replace(without, "    # cpu: 2000", "    cpu: 2000", 1) // a group is not empty
	assert.DeepEqual(t, load(t, without, i.secrets), load(t, i.text, i.secrets))
	assert.Assert(t, strings.HasPrefix(i.text, "# yaml-language-server: $schema=components/settings/schema.json\n"))
}

func TestInitMakesOtherSecretsEachTime(t *testing.T) {
	seen := map[string]bool{}
	for range 20 {
		var i initializer
		_, errs, exit := initCall(t, &i, call{args: "init prod" + all}, nil)
		assert.Equal(t, exit, 0, "%s", errs)
		assert.Equal(t, len(i.secrets), 6)
		for _, s := range i.secrets {
			assert.Assert(t, !seen[s])
			assert.Assert(t, len(s) >= 32)
			seen[s] = true
		}
		load(t, i.text, i.secrets)
	}
}

// What YAML would read as something else stays a name.
func TestInitQuotesNames(t *testing.T) {
	for _, vcn := range []string{"yes", "0x10", "#net", "a:b", "{x}", "null", "1.5"} {
		var i initializer
		_, errs, exit := initCall(t, &i, call{args: "init prod" + all + " --vcn " + vcn}, nil)
		assert.Equal(t, exit, 0, "%s", errs)
		assert.Equal(t, load(t, i.text, i.secrets).Network.VCN, vcn)
	}
}

func TestInitIsCancelledByASignal(t *testing.T) {
	var i initializer
	sigs := make(chan os.Signal, 1)
	sigs <- syscall.SIGINT
	r, w, err := os.Pipe() // nobody types
	assert.NilError(t, err)
	defer r.Close()
	defer w.Close()
	dir := t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), []byte("name: emqx-oci\n"), 0o600))
	var out, errs bytes.Buffer // the signal may come at any time: what it says is nobody else's
	exit := cli.Run(cli.Options{
		Stdin: r, Stdout: &out, Stderr: &errs, StdinTerminal: true, StdoutTerminal: true,
		Getenv: func(string) string { return "" }, Dir: dir, Signals: sigs,
		Validate:       func(string, orchestrate.Config) error { return nil },
		NewInitializer: func(context.Context, orchestrate.InitOptions) (cli.Initializer, error) { return &i, nil },
	}, []string{"init", "prod"})
	assert.Equal(t, exit, 130)
	assert.Equal(t, i.text, "")
}
