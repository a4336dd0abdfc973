package cli_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/infra/operate"
)

var added = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func (c *fakeCluster) Add(_ context.Context, o operate.AddDevice) (operate.Device, error) {
	d := operate.Device{Name: o.Name, Kind: operate.KindPassword, Added: added, State: operate.DeviceIn}
	x := operate.Credential{Device: d, Password: "a-password-that-is-given-once"}
	if o.Certificate {
		ends := added.Add(o.Lasts)
		d.Kind, d.Serial, d.Ends = operate.KindCertificate, "40AB", &ends
		x = operate.Credential{Device: d, Certificate: "the certificate\n", Key: "the key\n"}
	}
	if o.Request != nil {
		x.Key = ""
	}
	if err := o.Keep(x); err != nil {
		return d, err
	}
	c.calls = append(c.calls, "add "+o.Name)
	return d, c.fail
}

func (c *fakeCluster) Devices(context.Context) ([]operate.Device, error) {
	return c.devices, c.fail
}

func (c *fakeCluster) Revoke(_ context.Context, name string) (operate.Revoked, error) {
	c.calls = append(c.calls, "revoke "+name)
	r := operate.Revoked{Device: name, At: added}
	if c.devices != nil {
		r.Kinds, r.Cut = []string{operate.KindPassword}, 1
	}
	return r, c.fail
}

func TestDeviceVerbs(t *testing.T) {
	ends, revoked := added.AddDate(1, 0, 0), added.AddDate(0, 1, 0)
	fleet := []operate.Device{
		{Name: "meter-1", Kind: operate.KindCertificate, Added: added, Serial: "40AB", Ends: &ends, State: operate.DeviceIn, Connections: 1},
		{Name: "meter-2", Kind: operate.KindPassword, Added: added, State: operate.DeviceIn},
		{Name: "meter-3", Kind: operate.KindCertificate, Added: added, Serial: "40AC", Ends: &ends, State: operate.DeviceRevoked, Revoked: &revoked},
		{Name: "meter-4", Kind: operate.KindPassword, Added: added, State: operate.DeviceLeaving, Connections: 2},
	}
	for name, c := range map[string]struct {
		args    string
		cluster fakeCluster
		exit    int
		calls   string
	}{
		"device":                     {args: "device"},
		"device of no command":       {args: "device remove x", exit: 2},
		"device add":                 {args: "device add meter-7", calls: "add meter-7"},
		"device add as json":         {args: "device add meter-7 lab --certificate --days 30 --json", calls: "add meter-7"},
		"device add certificate":     {args: "device add meter-7 --certificate", calls: "add meter-7"},
		"device add fails":           {args: "device add meter-7", cluster: fakeCluster{fail: errors.New("adding device meter-7: it is there")}, calls: "add meter-7", exit: 1},
		"device add without a name":  {args: "device add", exit: 2},
		"device add two":             {args: "device add a b c", exit: 2},
		"device add for days":        {args: "device add meter-7 --days 30", exit: 2},
		"device add for no time":     {args: "device add meter-7 --certificate --days 0", exit: 2},
		"device add without request": {args: "device add meter-7 --csr /nowhere.csr", exit: 2},
		"device list":                {args: "device list", cluster: fakeCluster{devices: fleet}},
		"device list as json":        {args: "device list --json", cluster: fakeCluster{devices: fleet}},
		"device list of none":        {args: "device list"},
		"device revoke":              {args: "device revoke meter-1", cluster: fakeCluster{devices: fleet}, calls: "revoke meter-1"},
		"device revoke once more":    {args: "device revoke meter-1", calls: "revoke meter-1"},
		"device revoke as json":      {args: "device revoke meter-1 --json", cluster: fakeCluster{devices: fleet}, calls: "revoke meter-1"},
		"device init for no time":    {args: "device init --years 0", exit: 2},
	} {
		t.Run(name, func(t *testing.T) {
			out, exit := operated(t, &c.cluster, c.args, 0, "", nil)
			assert.Equal(t, exit, c.exit, "%s", out)
			assert.Equal(t, strings.Join(c.cluster.calls, ", "), c.calls)
			golden.Assert(t, fmt.Sprintf("exit %d\n%s", exit, out), strings.ReplaceAll(name, " ", "-")+".golden")
		})
	}
}

// What a device needs is in files for the caller alone, which nothing replaces; a device that was not added leaves none.
func TestADevicesFilesAreWrittenOnce(t *testing.T) {
	dir := t.TempDir()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		assert.NilError(t, err)
		info, err := os.Stat(filepath.Join(dir, name))
		assert.NilError(t, err)
		assert.Equal(t, info.Mode().Perm(), os.FileMode(0o600))
		return string(text)
	}
	out, exit := operated(t, &fakeCluster{}, "device add meter-7 --out "+dir, 0, "", nil)
	assert.Equal(t, exit, 0, out)
	assert.Equal(t, read("meter-7.password"), "a-password-that-is-given-once\n")
	assert.Assert(t, !strings.Contains(out, "given-once"), out)

	out, exit = operated(t, &fakeCluster{}, "device add meter-7 --certificate --out "+dir+" --json", 0, "", nil)
	assert.Equal(t, exit, 0, out)
	assert.Equal(t, read("meter-7.crt")+read("meter-7.key"), "the certificate\nthe key\n")
	assert.Assert(t, !strings.Contains(out, "the key"), out)

	c := &fakeCluster{}
	out, exit = operated(t, c, "device add meter-7 --out "+dir, 0, "", nil)
	assert.Equal(t, exit, 2, out)
	assert.Assert(t, strings.Contains(out, "meter-7.password exists, and is not replaced") && len(c.calls) == 0, out)

	out, exit = operated(t, &fakeCluster{fail: errors.New("no")}, "device add meter-8 --certificate --out "+dir, 0, "", nil)
	assert.Equal(t, exit, 1, out)
	left, err := filepath.Glob(filepath.Join(dir, "meter-8*"))
	assert.NilError(t, err)
	assert.Equal(t, len(left), 0)
}

// The authority that init makes signs what add signs, and its request is one that is taken.
func TestDeviceInitMakesAnAuthority(t *testing.T) {
	dir := t.TempDir()
	out, exit := operated(t, &fakeCluster{}, "device init prod --years 2 --json --out "+dir, 0, "", nil)
	assert.Equal(t, exit, 0, out)
	var said struct {
		Stack string
		Files []string
		Ends  time.Time
	}
	assert.NilError(t, json.Unmarshal([]byte(out), &said), out)
	assert.Assert(t, said.Stack == "prod" && len(said.Files) == 3 && time.Until(said.Ends) > 700*24*time.Hour, out)
	text := map[string]string{}
	for _, file := range said.Files {
		b, err := os.ReadFile(file)
		assert.NilError(t, err)
		text[filepath.Ext(file)] = string(b)
	}
	x, err := certs.ReadCertificates(text[".crt"])
	assert.NilError(t, err)
	key, err := certs.ReadSigner(text[".key"])
	assert.NilError(t, err)
	made, err := certs.DeviceAuthority{Certificate: x[0], Key: key}.SignClient("meter-7", key.Public(), time.Hour, time.Now())
	assert.NilError(t, err)
	assert.NilError(t, made.CheckSignatureFrom(x[0]))
	assert.DeepEqual(t, made.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth})

	out, exit = operated(t, &fakeCluster{}, "device init prod --out "+dir, 0, "", nil)
	assert.Equal(t, exit, 2, out)
	other := t.TempDir()
	out, exit = operated(t, &fakeCluster{}, "device init prod --out "+other, 0, "", nil)
	assert.Equal(t, exit, 0, out)
	assert.Assert(t, strings.Contains(out, "pulumi config set -s prod --secret --path 'emqx-oci:secrets.deviceCaKey' < "+other+"/device-ca.key"), out)
}
