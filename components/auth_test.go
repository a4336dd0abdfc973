package components

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

func closed() settings.Settings {
	s := settings.Settings{Environment: "prod"}
	s.Nodes.Count, s.Nomad.Datacenter = 3, "dc1"
	s.Broker = settings.Broker{Image: cluster.DefaultBrokerImage, CPU: 2000, MemoryMB: 4096, KeepAliveMax: 600, NoFile: cluster.DefaultNoFile}
	s.Secrets.GatePassword, s.Secrets.ErlangCookie = "of-the-round-trip", settings.StandInCookie
	s.Auth = settings.Auth{ClientID: settings.ClientIDAny, Rules: []settings.AuthRule{{Permit: "allow", Topics: []string{"devices/${username}/#"}}}}
	return s
}

// What a server or a token is trusted by is among the secrets, with all that stands in its list,
// and changes the digest by which nodes restart; the job's text says none of it.
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
	secret := nomad.Environment(secretVariables(s))
	for _, word := range []string{"what-signs-tokens", "Bearer of-emqx", "of-mysql", "Bearer of-rights"} {
		assert.Assert(t, strings.Contains(secret, word), word)
		for name, value := range vars {
			assert.Assert(t, !strings.Contains(value, word), "%s holds %s", name, word)
		}
	}
	assert.Equal(t, vars["secret_lists"], "true")
	assert.Equal(t, vars["authorities"], `{"authn-http" = "authn_http_ca"}`)
	assert.Assert(t, !strings.Contains(vars["acl"], "{deny, all, all, all}"), "nobody would be asked then")
	assert.Assert(t, strings.Contains(vars["acl"], `{deny, {username, {re, "[+#]"}}, all, all}`))
	digest := vars["secret_env"]
	s.Auth.Authenticators[3].Password = "another"
	vars, err = emqxArgs(s).HCL2()
	assert.NilError(t, err)
	assert.Assert(t, vars["secret_env"] != digest)
}

// Users alone need no secrets but themselves: a stack from before has the same job.
func TestUsersAloneAreInTheJob(t *testing.T) {
	vars, err := emqxArgs(closed()).HCL2()
	assert.NilError(t, err)
	assert.Equal(t, len(secretVariables(closed())), 0)
	for name, want := range map[string]string{"secret_lists": "false", "secret_env": "", "authorities": "{}", "per_client": "{}", "clientid_override": "", "banned": ""} {
		assert.Equal(t, vars[name], want, name)
	}
	assert.Equal(t, vars["acl"], `{allow, {username, "emqx-oci-gate"}, all, ["emqx-oci/gate/#"]}.
{deny, {username, "emqx-oci-gate"}, all, all}.
{allow, all, all, ["devices/${username}/#"]}.
{deny, all, all, all}.
`)
}

// Whatever stands before the other rules, who has no right to his identifier has none to anything.
func TestIdentifiersAndBoundsOfTheJob(t *testing.T) {
	s := closed()
	s.Broker.PerClient = settings.PerClient{MessageRate: 10, ByteRateKB: 64, Subscriptions: 20, Flapping: settings.Flapping{On: true, Count: 7, Window: 60e9, Ban: 300e9}}
	for setting, want := range map[string]nomad.ClientIDs{
		settings.ClientIDUsername: nomad.ClientIDIsUsername(settings.GateUser), settings.ClientIDPrefix: nomad.ClientIDBeginsWithUsername(),
	} {
		s.Auth.ClientID = setting
		vars, err := emqxArgs(s).HCL2()
		assert.NilError(t, err)
		assert.Equal(t, vars["clientid_override"], string(want))
		assert.Assert(t, strings.HasPrefix(vars["acl"], `{deny, {clientid, "emqx-oci-refused"}, all, all}.`), vars["acl"])
		assert.Equal(t, vars["banned"], "as,who,reason\nclientid,emqx-oci-refused,the client identifier is not of this user\n")
		assert.Equal(t, vars["per_client"], `{"EMQX_FLAPPING_DETECT__BAN_TIME" = "\"300s\"", "EMQX_FLAPPING_DETECT__ENABLE" = "true", `+
			`"EMQX_FLAPPING_DETECT__MAX_COUNT" = "7", "EMQX_FLAPPING_DETECT__WINDOW_TIME" = "\"60s\"", `+
			`"EMQX_LISTENERS__TCP__DEFAULT__BYTES_RATE" = "\"64KB/s\"", "EMQX_LISTENERS__TCP__DEFAULT__MESSAGES_RATE" = "\"10/s\"", `+
			`"EMQX_LISTENERS__WS__DEFAULT__BYTES_RATE" = "\"64KB/s\"", "EMQX_LISTENERS__WS__DEFAULT__MESSAGES_RATE" = "\"10/s\"", "EMQX_MQTT__MAX_SUBSCRIPTIONS" = "20"}`)
	}
}
