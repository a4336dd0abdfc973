package cluster

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
		assert.Assert(t, HoldsSecret(plain, value), value)
	}
	for _, value := range []string{`"10.0.0.1:6379"`, `http://h:80/x`, `[{mechanism = password_based, backend = built_in_database}]`, `"a@b"`} {
		assert.Assert(t, !HoldsSecret(plain, value), value)
	}
	for _, value := range []string{`"file:///etc/secret"`, `"${EMQX_ETC_DIR}/x"`, ``, `""`} {
		assert.Assert(t, !HoldsSecret("EMQX_X__PASSWORD", value), value)
	}
}

// What the stack stands on is refused however it is spelled.
func TestVariablesOfTheStack(t *testing.T) {
	for name, why := range map[string]string{
		"EMQX_LICENSE__KEY":                         "license.key is the stack's own",
		"EMQX_CLUSTER__DISCOVERY_STRATEGY":          "cluster.discovery_strategy is the stack's own",
		"EMQX_CLUSTER":                              "it replaces all of cluster",
		"EMQX_NODE_COOKIE":                          "it is secrets.erlangCookie",
		"EMQX_LISTENERS__WSS__DEFAULT__BIND":        "it is ports.broker",
		"EMQX_DURABLE_STORAGE__MESSAGES__DATA_DIR":  "messages of sessions are on the volumes",
		"ERL_FLAGS":                                 "must be a variable of EMQX",
		"EMQX_NODE__DATA_DIR__":                     "must be a variable of EMQX",
		"EMQX_LISTENERS__TCP__DEFAULT__ACCEPTORS":   "",
		"EMQX_LOG__CONSOLE__LEVEL":                  "",
		"EMQX_LISTENERS__TCP__OTHER__BIND":          "",
		"EMQX_AUTHENTICATION__1__PASSWORD_HASH__X1": "",
	} {
		got := VariableFault(name)
		assert.Equal(t, got == "", why == "", "%s: %s", name, got)
		assert.Assert(t, strings.Contains(got, why), "%s: %s", name, got)
	}
}
