//go:build lab

package nomad

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// The run script's expression loads the module with Erlang's own compiler beside the other one, the hook stands before
// EMQX's authenticators and comes back after EMQX has dropped it, and it lets in who is a device with a certificate, and
// nobody else; or also whose certificate has a name that the database does not know.
func TestDevicesInErlang(t *testing.T) {
	n := newFakeNode(t)
	n.stay = 2e9
	n.write("emqx_oci_devices.erl", EMQXDevices, 0o644)
	_, out := n.run(2, "go", "TAKEOVER_PAUSE=0")
	text := strings.TrimSpace(n.read("loads"))
	assert.Assert(t, strings.Contains(text, "/emqx_oci_devices.erl"), out)
	assert.NilError(t, os.WriteFile(filepath.Join(n.dir, "emqx_hooks.erl"), []byte(`-module(emqx_hooks). -export([add/3]).
		add('client.authenticate', A, P) when P > 970, P < 980 ->
			case ets:insert_new(hooks, {A}) of true -> ok; false -> {error, already_exists} end.`), 0o600))
	program := `
		{ok, emqx_hooks} = compile:file("emqx_hooks.erl", []),
		ets:new(hooks, [named_table, public]),
		Eval = fun() -> {ok, T, _} = erl_scan:string(os:getenv("TEXT")), {ok, P} = erl_parse:parse_exprs(T), {value, V, _} = erl_eval:exprs(P, []), V end,
		ok = Eval(), Keeper = whereis(emqx_oci_devices), ok = Eval(), Keeper = whereis(emqx_oci_devices),
		ets:delete_all_objects(hooks), timer:sleep(1500), [{{M, F, A}}] = ets:tab2list(hooks),
		ok = mnesia:start(),
		{atomic, ok} = mnesia:create_table(emqx_authn_mnesia, [{record_name, user_info}, {attributes, [user_id, password_hash, salt, is_superuser]}]),
		[mnesia:dirty_write(emqx_authn_mnesia, {user_info, {'mqtt:global', N}, <<"hash">>, S, U}) ||
			{N, S, U} <- [{<<"meter">>, <<"emqx-oci-certificate">>, false}, {<<"ann">>, <<>>, false}, {<<"root">>, <<"emqx-oci-certificate">>, true}]],
		In = fun(C) -> apply(M, F, [C, ignore | A]) end,
		{stop, {ok, #{is_superuser := false}}} = In(#{cn => <<"meter">>, username => <<"meter">>, password => undefined}),
		[ok = In(C) || C <- [#{cn => <<"ann">>, username => <<"ann">>}, #{cn => <<"root">>, username => <<"root">>}, #{cn => <<"nobody">>, username => <<"nobody">>},
			#{username => <<"meter">>, password => <<"x">>}, #{cn => <<"ann">>, username => <<"meter">>}, #{cn => undefined, username => undefined},
			#{cn => <<"meter">>, username => <<"meter">>, auth_method => <<"x">>}]],
		Names = fun(C) -> apply(M, F, [C, ignore, 1]) end,
		[{stop, {ok, #{is_superuser := false}}} = Names(#{cn => N, username => N}) || N <- [<<"meter">>, <<"nobody">>, <<"a/b">>]],
		[ok = Names(C) || C <- [#{cn => <<"ann">>, username => <<"ann">>}, #{cn => <<"root">>, username => <<"root">>}, #{username => <<"nobody">>, password => <<"x">>},
			#{cn => <<"nobody">>, username => <<"other">>}, #{cn => undefined, username => undefined}, #{cn => <<>>, username => <<>>},
			#{cn => <<"emqx-oci-gate">>, username => <<"emqx-oci-gate">>}, #{cn => <<"nobody">>, username => <<"nobody">>, auth_method => <<"x">>}]],
		io:format("as it should"), halt().`
	cmd := exec.Command(agenttest.Tool(t, "erl"), "-noshell", "-eval", program)
	cmd.Dir, cmd.Env = n.dir, append(os.Environ(), "TEXT="+text)
	said, err := cmd.CombinedOutput()
	assert.NilError(t, err, string(said))
	assert.Equal(t, string(said), "as it should")
}
