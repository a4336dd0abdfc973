package settings

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func TestNamesSecret(t *testing.T) {
	for _, name := range []string{
		"EMQX_AUTHENTICATION__1__PASSWORD", "EMQX_LISTENERS__SSL__DEFAULT__SSL_OPTIONS__PASSWORD", "EMQX_AUTHENTICATION__1__SECRET",
		"EMQX_BRIDGES__MQTT__X__PASSWORD", "EMQX_API_KEY", "EMQX_DASHBOARD__SSO__OIDC__CLIENT_SECRET", "EMQX_CONNECTORS__S3__X__SECRET_ACCESS_KEY",
		"EMQX_GATEWAY__EXPROTO__AUTH_TOKEN", "EMQX_NODE__COOKIE", "EMQX_FILE_TRANSFER__STORAGE__LOCAL__EXPORTER__S3__ACCESS_KEY",
		"EMQX_CONNECTORS__KAFKA__X__SASL_PASSWORD", "EMQX_CONNECTORS__GCP__X__SERVICE_ACCOUNT_CREDENTIALS", "EMQX_SSL_OPTIONS__KEY",
		"EMQX_PSK", "EMQX_X__KEY_PASSWORD", "EMQX_X__PASSPHRASE",
	} {
		assert.Assert(t, namesSecret(name), name)
	}
	for _, name := range []string{
		"EMQX_LISTENERS__SSL__DEFAULT__SSL_OPTIONS__KEYFILE", "EMQX_MQTT__SERVER_KEEPALIVE", "EMQX_MQTT__KEEPALIVE_MULTIPLIER",
		"EMQX_API_KEY__BOOTSTRAP_FILE", "EMQX_AUTHENTICATION__1__PASSWORD_HASH_ALGORITHM__NAME", "EMQX_DASHBOARD__TOKEN_EXPIRED_TIME",
		"EMQX_AUTHENTICATION__1__SECRET_BASE64_ENCODED", "EMQX_LISTENERS__TCP__DEFAULT__TCP_OPTIONS__KEEPALIVE", "EMQX_PSK_AUTHENTICATION__ENABLE",
		"EMQX_PSK_AUTHENTICATION__INIT_FILE", "EMQX_LOG__CONSOLE__LEVEL", "EMQX_MONKEY", "EMQX_BROKER__SHARED_SUBSCRIPTION_STRATEGY",
		"EMQX_AUTHENTICATION__1__USE_JWKS", "EMQX_CONNECTORS__KAFKA__X__TOPIC__KEY_TEMPLATE",
	} {
		assert.Assert(t, !namesSecret(name), name)
	}
}

func TestHoldsSecret(t *testing.T) {
	const plain = "EMQX_CONNECTORS__X__SERVER"
	for _, value := range []string{
		`"redis://:hunter2@10.0.0.1"`, `http://user:pass@h/x`, `[{mechanism = password_based, password = "x"}]`, `{"secret": "y"}`, `{api_key=z}`,
	} {
		assert.Assert(t, holdsSecret(plain, value), value)
	}
	for _, value := range []string{`"10.0.0.1:6379"`, `http://h:80/x`, `[{mechanism = password_based, backend = built_in_database}]`, `"a@b"`} {
		assert.Assert(t, !holdsSecret(plain, value), value)
	}
	for _, value := range []string{`"file:///etc/secret"`, `"${EMQX_ETC_DIR}/x"`, ``, `""`} {
		assert.Assert(t, !holdsSecret("EMQX_X__PASSWORD", value), value)
	}
}

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
