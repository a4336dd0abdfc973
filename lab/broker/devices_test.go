package broker

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	nomadapi "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/infra/operate"
)

// A device with a certificate needs no password once emqx_oci_devices.erl is loaded, as long as the database has its user;
// nobody else gets in so (emqx_channel, emqx_access_control:authenticate; the hook's own text).
func TestDevicesGetInByTheirCertificates(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	const p = "EMQX_LISTENERS__TCP__PROXIED__"
	l.start(0, certNames+"USERNAME=cn", p+"BIND="+l.ip(0)+":1884", p+"PROXY_PROTOCOL=true",
		`EMQX_AUTHENTICATION=[{mechanism = password_based, backend = built_in_database, user_id_type = username, password_hash_algorithm {name = bcrypt}}]`)
	l.wantUp(0)
	const users = "/authentication/password_based%3Abuilt_in_database"
	imported := func(name, salt string, superuser bool) {
		l.wantREST(0, "POST", users+"/import_users?type=hash", fmt.Sprintf(
			`[{"user_id":%q,"password_hash":"$2a$10$.....................................................","salt":%q,"is_superuser":%t}]`, name, salt, superuser), 200)
	}
	imported("meter", "emqx-oci-certificate", false)
	imported("root", "emqx-oci-certificate", true)
	imported("ann", "", false)
	code := func(cn string, o connectOpts) byte {
		o.id, o.v = "of-"+cn, 5
		c, ack := tryConnect(t, proxied(t, l.port("1884"), cn), o)
		_ = c.conn.Close()
		return ack.ReasonCode
	}
	assert.Equal(t, code("meter", connectOpts{}), byte(0x86), "the module is not loaded")
	out, exit := l.ctl(0, "eval_erl", fmt.Sprintf(waitExpression, devicesFile, devicesFile, 0))
	assert.Equal(t, exit, 0, out)
	assert.Equal(t, code("meter", connectOpts{}), byte(0))
	assert.Equal(t, code("meter", connectOpts{user: "ann"}), byte(0), "the certificate says who it is")
	for _, other := range []string{"ann", "root", "nobody"} {
		assert.Equal(t, code(other, connectOpts{}), byte(0x86), other)
	}
	assert.Equal(t, code("", connectOpts{user: "meter"}), byte(0x86), "a name is no certificate")

	// The lock of a revocation, and its end.
	imported("meter", "", false)
	assert.Equal(t, code("meter", connectOpts{}), byte(0x86))
	l.wantREST(0, "DELETE", users+"/users/meter", "", 204)
	assert.Equal(t, code("meter", connectOpts{}), byte(0x86))
}

// With the other number a certificate is enough for every name that the database does not know; a name without a certificate
// is none, by whatever listener it comes, and the stack's own names are nobody's.
func TestClientsGetInByTheirCertificates(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	const p, ws = "EMQX_LISTENERS__TCP__PROXIED__", "EMQX_LISTENERS__WS__PROXIED__"
	l.start(0, certNames+"USERNAME=cn", p+"BIND="+l.ip(0)+":1884", p+"PROXY_PROTOCOL=true", ws+"BIND="+l.ip(0)+":8085", ws+"PROXY_PROTOCOL=true",
		`EMQX_MQTT__CLIENTID_OVERRIDE="`+string(nomad.ClientIDIsUsername("emqx-oci-gate"))+`"`,
		`EMQX_AUTHENTICATION=[{mechanism = password_based, backend = built_in_database, user_id_type = username, password_hash_algorithm {name = bcrypt}}]`)
	l.wantUp(0)
	imported := func(name string) {
		l.wantREST(0, "POST", "/authentication/password_based%3Abuilt_in_database/import_users?type=hash",
			fmt.Sprintf(`[{"user_id":%q,"password_hash":"$2a$10$.....................................................","salt":"","is_superuser":false}]`, name), 200)
	}
	imported("ann")
	code := func(cn, id, user, password string) (codes [2]byte) {
		for i, conn := range []func() net.Conn{
			func() net.Conn { return proxied(t, l.port("1884"), cn) },
			func() net.Conn { return dialWS(t, proxied(t, l.port("8085"), cn), "ws://x/mqtt", nil) },
		} {
			c, ack := tryConnect(t, conn(), connectOpts{id: id, user: user, password: password, v: 5})
			_ = c.conn.Close()
			codes[i] = ack.ReasonCode
		}
		return codes
	}
	both := func(code byte) [2]byte { return [2]byte{code, code} }
	assert.Equal(t, code("bob", "bob", "", ""), both(0x86), "the module is not loaded")
	out, exit := l.ctl(0, "eval_erl", fmt.Sprintf(waitExpression, devicesFile, devicesFile, 1))
	assert.Equal(t, exit, 0, out)
	assert.Equal(t, code("bob", "bob", "", ""), both(0))
	assert.Equal(t, code("bob", "bob", "ann", "anything"), both(0), "the certificate says who it is")
	c, _ := connect(t, proxied(t, l.port("1884"), "bob"), connectOpts{id: "eve", v: 5})
	l.wantNames(c, nomad.RefusedClientID, "bob") // which the job's file of bans refuses
	assert.Equal(t, code("ann", "ann", "", ""), both(0x86), "the database knows ann, who has a password")
	for _, own := range []string{"emqx-oci-gate", "emqx-oci-device"} {
		assert.Assert(t, code(own, own, "", "")[0] != 0, own)
	}
	assert.Equal(t, code("", "bob", "bob", ""), both(0x86), "a name is no certificate")
	assert.Equal(t, code("", "bob", "bob", "bob"), both(0x87))
	// One that was revoked as a device is known to the database.
	imported("bob")
	assert.Equal(t, code("bob", "bob", "", ""), both(0x86))
}

const devicesFile = "../../components/nomad/files/emqx_oci_devices.erl"

// shellNomad runs what goes through Nomad's exec in a shell here, beside the member that it is for.
type shellNomad struct {
	gates.NomadClient

	jobFiles
}

func (n shellNomad) Allocations(context.Context, string) (list []*nomadapi.AllocationListStub, _ error) {
	for i := range 2 {
		list = append(list, &nomadapi.AllocationListStub{ID: fmt.Sprint(i), ClientStatus: "running", DesiredStatus: "run"})
	}
	return list, nil
}

func (n shellNomad) Exec(ctx context.Context, alloc, _ string, command ...string) (gates.ExecResult, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	i, err := strconv.Atoi(alloc)
	if err != nil {
		return gates.ExecResult{}, err
	}
	cmd.Env = n.taskEnv(i)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return gates.ExecResult{Stdout: out.String(), Stderr: errs.String(), Exit: cmd.ProcessState.ExitCode()}, err
}

// consulKey is Consul, with one key.
type consulKey struct {
	gates.ConsulClient

	text    string
	version uint64
}

func (c *consulKey) Key(context.Context, string) (string, uint64, error) {
	return c.text, c.version, nil
}

func (c *consulKey) SetKey(_ context.Context, _, value string, version uint64) (bool, error) {
	if version != c.version {
		return false, nil
	}
	c.text, c.version = value, version+1
	return true, nil
}

// "emqx-oci device" against two members: what it adds gets in on both, what it revokes is cut on the other one, within 10 s,
// and nobody else is; the step that matches users leaves it all alone.
func TestDeviceCommandsOnTwoMembers(t *testing.T) {
	t.Parallel()
	const p = "EMQX_LISTENERS__TCP__PROXIED__"
	secret := strings.Repeat("s", 32)
	files := filesOf(t, nomad.Auth{ // the stack declares nobody
		Authenticators: []nomad.Authenticator{{Kind: "jwt", Secret: secret, Claims: map[string]string{"sub": "${username}"}}},
		Rules:          []nomad.Rule{{Allow: true, Action: "all", Topics: []string{"devices/${username}/#"}}},
	})
	j := closedLab(t, files, func(l *lab, i int) []string {
		return []string{certNames + "USERNAME=cn", p + "BIND=" + l.ip(i) + ":1884", p + "PROXY_PROTOCOL=true"}
	})
	l := j.lab
	for i := range 2 {
		out, exit := l.ctl(i, "eval_erl", fmt.Sprintf(waitExpression, devicesFile, devicesFile, 0))
		assert.Equal(t, exit, 0, out)
	}
	authority, _, err := certs.NewDeviceAuthority("devices", time.Hour, time.Now())
	assert.NilError(t, err)
	kv, shell := &consulKey{}, shellNomad{jobFiles: j}
	c, err := operate.New(operate.Config{
		Environment: "lab", Datacenter: "dc1", Count: 2, Nomad: shell, Consul: kv, Proxy: operate.ProxyConfig{Title: "HAProxy", Job: "none"},
		DevicesConfig: operate.DevicesConfig{Hash: nomad.NewHash, Authority: &authority, Keys: kv},
	})
	assert.NilError(t, err)
	word := map[string]string{}
	add := func(name string, certificate bool) {
		_, err := c.Add(t.Context(), operate.AddDevice{
			Name: name, Certificate: certificate, Lasts: time.Hour, Keep: func(x operate.Credential) error { word[name] = x.Password; return nil },
		})
		assert.NilError(t, err)
	}
	add("valve", false)
	add("stays", false)
	add("meter", true)

	valve, _ := connect(t, dial(t, l.ip(1)+":1883"), connectOpts{id: "v", v: 5, user: "valve", password: word["valve"]})
	stays, _ := connect(t, dial(t, l.ip(1)+":1883"), connectOpts{id: "s", v: 5, user: "stays", password: word["stays"]})
	meter, _ := connect(t, proxied(t, dial(t, l.ip(1)+":1884"), "meter"), connectOpts{id: "m", v: 5})
	l.wantCodes(1, connectOpts{id: "x", user: "valve", password: word["stays"]}, 0x86, 4)
	devices, err := c.Devices(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, len(devices), 3)
	for _, d := range devices {
		assert.Assert(t, d.Connections == 1 && d.State == operate.DeviceIn, "%+v", d)
	}
	match := func() string {
		done, err := gates.MatchUsers(shell, gates.MatchUsersArgs{
			Job: "emqx-lab", May: func(c gates.Client, _ string) bool { return c.Username != "" },
			Access: func() (gates.Access, error) {
				return gates.Access{Digest: files.Digest(), Authentication: files.Authentication, Authorization: files.Authorization, Rules: files.Rules}, nil
			},
		}).Do(t.Context())
		assert.NilError(t, err)
		return done
	}
	assert.Equal(t, match(), "")

	for name, conn := range map[string]*client{"valve": valve, "meter": meter} {
		begun := time.Now()
		r, err := c.Revoke(t.Context(), name)
		assert.NilError(t, err)
		assert.Equal(t, r.Cut, 1)
		conn.wantClosed()
		assert.Assert(t, time.Since(begun) < 10*time.Second)
	}
	l.wantCodes(0, connectOpts{id: "x", user: "valve", password: word["valve"]}, 0x86, 4)
	// Another authenticator knows them all; a name of no device's gets in by it, and those that were revoked do not.
	for name, want := range map[string]byte{"stranger": 0, "valve": 0x86, "meter": 0x86} {
		_, ack := tryConnect(t, dial(t, l.ip(0)+":1883"), connectOpts{id: "t", v: 5, user: name, password: token(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"sub": name})})
		assert.Equal(t, ack.ReasonCode, want, name)
	}
	_, ack := tryConnect(t, proxied(t, dial(t, l.ip(0)+":1884"), "meter"), connectOpts{id: "m", v: 5})
	assert.Equal(t, ack.ReasonCode, byte(0x86))
	assert.Equal(t, strings.Count(kv.text, "\n"), 1, kv.text)
	assert.Equal(t, match(), "")
	assert.Equal(t, stays.subscribe("devices/stays", 1), byte(1), "it was never cut")
}
