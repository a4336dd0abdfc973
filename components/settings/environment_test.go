package settings

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func TestSecretsOfTheEnvironmentMustBeEncrypted(t *testing.T) {
	groups := good()
	groups["broker"] = `{"env": {"EMQX_AUTHENTICATION__1__PASSWORD": "hidden-in-clear", "EMQX_LOG__CONSOLE__LEVEL": "info"}}`
	_, err := load("prod", groups, "secrets")
	assert.ErrorContains(t, err, "emqx-oci:broker.env.EMQX_AUTHENTICATION__1__PASSWORD: must not be kept in clear; "+
		"set it with: pulumi config set --secret --path 'emqx-oci:broker.env.EMQX_AUTHENTICATION__1__PASSWORD'")
	assert.Assert(t, !strings.Contains(err.Error(), "hidden"))

	// Pulumi tells of the group only: then any value may be the encrypted one.
	s, err := load("prod", groups, "secrets", "broker")
	assert.NilError(t, err)
	assert.Equal(t, len(s.Broker.Env), 0)
	assert.Equal(t, s.Broker.SecretEnv["EMQX_AUTHENTICATION__1__PASSWORD"].Reveal(), "hidden-in-clear")
	assert.DeepEqual(t, s.Broker.EnvNames(), []string{"EMQX_AUTHENTICATION__1__PASSWORD", "EMQX_LOG__CONSOLE__LEVEL"})

	// The stack file itself tells of each.
	from := source(groups, "secrets", "broker")
	from.Offline = true
	_, err = Load("prod", from)
	assert.ErrorContains(t, err, "broker.env.EMQX_AUTHENTICATION__1__PASSWORD: must not be kept in clear")
	groups["broker"] = `{"env": {"EMQX_AUTHENTICATION__1__PASSWORD": "[secret]", "EMQX_LOG__CONSOLE__LEVEL": "info"}}`
	groups["secrets"] = `{"erlangCookie": "[secret]", "dashboardPassword": "[secret]", "apiKey": "[secret]", "apiSecret": "[secret]", "statsPassword": "[secret]"}`
	from = source(groups, "secrets", "broker")
	from.Offline = true
	s, err = Load("prod", from)
	assert.NilError(t, err)
	assert.DeepEqual(t, s.Broker.Env, map[string]string{"EMQX_LOG__CONSOLE__LEVEL": "info"})

	// What the stack sets itself is refused, encrypted or not.
	groups = good()
	groups["broker"] = `{"env": {"EMQX_NODE__COOKIE": "x", "EMQX_LICENSE__KEY": "y"}}`
	_, err = load("prod", groups, "secrets", "broker")
	assert.ErrorContains(t, err, "broker.env.EMQX_NODE__COOKIE: must not be set")
	assert.ErrorContains(t, err, "broker.env.EMQX_LICENSE__KEY: must not be set")
}
