package components

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

func closed() settings.Settings {
	s := settings.Settings{Environment: "prod"}
	s.Nodes.Count, s.Nomad.Datacenter = 3, "dc1"
	s.Broker = settings.Broker{Image: cluster.DefaultBrokerImage, CPU: 2000, MemoryMB: 4096, KeepAliveMax: 600, NoFile: cluster.DefaultNoFile}
	s.Secrets.GatePassword, s.Secrets.ErlangCookie = "of-the-round-trip", settings.StandInCookie
	s.Auth = settings.Auth{ClientID: settings.ClientIDAny, Rules: []settings.AuthRule{{Permit: "allow", Topics: []string{"devices/${username}/#"}}}}
	return s
}

// What a server or a token is trusted by is among the secrets, with all that stands in its list, and
// in no text of the job, which stays as it is when that changes.
func TestSecretsOfAuthenticatorsAreInNoText(t *testing.T) {
	s := closed()
	s.Auth.Authenticators = []settings.AuthAuthenticator{
		{Kind: settings.KindBuiltIn},
		{Kind: settings.KindJWT, Secret: "what-signs-tokens", Claims: map[string]string{"sub": "${username}"}},
		{Kind: settings.KindHTTP, URL: "https://a.example.com", Authorization: "Bearer of-emqx", CA: "an authority", Body: map[string]string{"u": "${username}"}},
		{Kind: settings.KindMySQL, Server: "m.example.com:3306", Database: "d", Username: "u", Password: "of-mysql", Query: "SELECT", Hash: "bcrypt"},
	}
	s.Auth.Sources = []settings.AuthSource{{Kind: settings.KindHTTP, URL: "https://b.example.com", Authorization: "Bearer of-rights"}}
	vars, err := emqxArgs(s).HCL2()
	assert.NilError(t, err)
	files, err := auth(s).Files()
	assert.NilError(t, err)
	for _, word := range []string{"what-signs-tokens", "Bearer of-emqx", "of-mysql", "Bearer of-rights"} {
		assert.Assert(t, strings.Contains(files.Authentication+files.Authorization, word), word)
		for name, value := range vars {
			assert.Assert(t, !strings.Contains(value, word), "%s holds %s", name, word)
		}
	}
	assert.Equal(t, vars["authorities"], `{"authn-http" = "authn_http_ca"}`)
	assert.Assert(t, !strings.Contains(files.Rules, "{deny, all, all, all}"), "nobody would be asked then")
	assert.Assert(t, strings.Contains(files.Rules, `{deny, {username, {re, "[+#]"}}, all, all}`))
	s.Auth.Authenticators[3].Password = "another"
	same, err := emqxArgs(s).HCL2()
	assert.NilError(t, err)
	assert.DeepEqual(t, same, vars)
	changed, err := auth(s).Files()
	assert.NilError(t, err)
	assert.Assert(t, changed.Digest() != files.Digest())
}

// Another user, rule or denyAction leaves the job as it is: nothing restarts.
func TestWhoMayConnectIsNotInTheJob(t *testing.T) {
	s := closed()
	vars, err := emqxArgs(s).HCL2()
	assert.NilError(t, err)
	for name, want := range map[string]string{"auth": "true", "secret_env": "", "authorities": "{}", "per_client": "{}", "clientid_override": "", "banned": ""} {
		assert.Equal(t, vars[name], want, name)
	}
	files, err := auth(s).Files()
	assert.NilError(t, err)
	assert.Equal(t, files.Rules, `{allow, {username, "emqx-oci-gate"}, all, ["emqx-oci/gate/#"]}.
{deny, {username, "emqx-oci-gate"}, all, all}.
{allow, all, all, ["devices/${username}/#"]}.
{deny, all, all, all}.
`)
	s.Auth.Users, s.Auth.DenyAction = []settings.AuthUser{{Name: "ann", Password: "ann's-password"}}, "disconnect"
	s.Auth.Rules = nil
	changed, err := emqxArgs(s).HCL2()
	assert.NilError(t, err)
	assert.DeepEqual(t, changed, vars)
	s.Auth.Anonymous = true
	changed, err = emqxArgs(s).HCL2()
	assert.NilError(t, err)
	assert.Equal(t, changed["auth"], "false")
}

// Whatever stands before the other rules, who has no right to his identifier has none to anything.
func TestIdentifiersAndBoundsOfTheJob(t *testing.T) {
	s := closed()
	s.Broker.Limits = settings.Limits{MessageRate: 10, ByteRateKB: 64, Subscriptions: 20, Flapping: settings.Flapping{On: true, Count: 7, Window: 60e9, Ban: 300e9}}
	for setting, want := range map[string]nomad.ClientIDs{
		settings.ClientIDUsername: nomad.ClientIDIsUsername(settings.GateUser), settings.ClientIDPrefix: nomad.ClientIDBeginsWithUsername(),
	} {
		s.Auth.ClientID = setting
		vars, err := emqxArgs(s).HCL2()
		assert.NilError(t, err)
		assert.Equal(t, vars["clientid_override"], string(want))
		files, err := auth(s).Files()
		assert.NilError(t, err)
		assert.Assert(t, strings.HasPrefix(files.Rules, `{deny, {clientid, "emqx-oci-refused"}, all, all}.`), files.Rules)
		assert.Equal(t, vars["banned"], "as,who,reason\nclientid,emqx-oci-refused,the client identifier is not of this user\n")
		assert.Equal(t, vars["per_client"], `{"EMQX_FLAPPING_DETECT__BAN_TIME" = "\"300s\"", "EMQX_FLAPPING_DETECT__ENABLE" = "true", `+
			`"EMQX_FLAPPING_DETECT__MAX_COUNT" = "7", "EMQX_FLAPPING_DETECT__WINDOW_TIME" = "\"60s\"", `+
			`"EMQX_LISTENERS__TCP__DEFAULT__BYTES_RATE" = "\"64KB/s\"", "EMQX_LISTENERS__TCP__DEFAULT__MESSAGES_RATE" = "\"10/s\"", `+
			`"EMQX_LISTENERS__WS__DEFAULT__BYTES_RATE" = "\"64KB/s\"", "EMQX_LISTENERS__WS__DEFAULT__MESSAGES_RATE" = "\"10/s\"", "EMQX_MQTT__MAX_SUBSCRIPTIONS" = "20"}`)
	}
}

// Which subscriptions EMQX lets a client make, as emqx_authz_rule and emqx_topic:match of 5.8.9 have it.
func TestWhatAClientMayHold(t *testing.T) {
	a := &nomad.Auth{
		Users: []nomad.User{{Name: "ann"}, {Name: "root", Superuser: true}},
		Rules: []nomad.Rule{
			{Action: "subscribe", User: "eve", Topics: nil},
			{Action: "all", Address: "10.9.0.0/16", Topics: []string{"secret/#"}},
			{Allow: true, Action: "publish", Topics: []string{"only/published"}},
			{Allow: true, Action: "all", Topics: []string{"devices/${username}/#", "net/+", "eq raw/+"}},
			{Allow: true, Action: "subscribe", ClientID: "c1", Topics: []string{"secret/x", "$SYS/+"}},
			{Allow: true, Action: "subscribe", User: "bob", Topics: []string{"#"}},
		},
	}
	for _, c := range []struct {
		user, id, address, filter string
		want                      bool
	}{
		{"ann", "c", "10.1.0.1", "devices/ann/x", true},
		{"ann", "c", "10.1.0.1", "devices/ann", true}, // # is the level above it too
		{"ann", "c", "10.1.0.1", "devices/ann/#", true},
		{"ann", "c", "10.1.0.1", "devices/+/x", false},
		{"ann", "c", "10.1.0.1", "devices/bob/x", false},
		{"", "c", "10.1.0.1", "devices//x", false}, // a placeholder is never nothing
		{"ann", "c", "10.1.0.1", "$share/g/devices/ann/x", true},
		{"ann", "c", "10.1.0.1", "$queue/devices/ann/x", true},
		{"ann", "c", "10.1.0.1", "$share/g/devices/bob/x", false},
		{"ann", "c", "10.1.0.1", "net/a", true},
		{"ann", "c", "10.1.0.1", "net/#", true}, // of a filter it is a word
		{"ann", "c", "10.1.0.1", "net/a/b", false},
		{"ann", "c", "10.1.0.1", "raw/+", true},
		{"ann", "c", "10.1.0.1", "raw/x", false},
		{"ann", "c", "10.1.0.1", "only/published", false},
		{"eve", "c", "10.1.0.1", "devices/eve/x", false},
		{"ann", "c1", "10.1.0.1", "secret/x", true},
		{"ann", "c1", "10.9.0.1", "secret/x", false}, // the first that matches
		{"ann", "c1", "::ffff:10.9.0.1", "secret/x", false},
		{"ann", "c1", "10.1.0.1", "$SYS/x", true},
		{"bob", "c", "10.1.0.1", "any/thing", true},
		{"bob", "c", "10.1.0.1", "$SYS/x", false}, // no wildcard is for these
		{"root", "c", "10.1.0.1", "$SYS/#", true},
		{"eve", "c1", "10.1.0.1", "secret/x", false},
	} {
		got := mayHold(a)(gates.Client{ID: c.id, Username: c.user, Address: c.address}, c.filter)
		assert.Check(t, got == c.want, "%+v", c)
	}
}
