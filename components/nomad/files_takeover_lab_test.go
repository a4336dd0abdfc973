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

// The run script's expression loads the module with Erlang's own compiler, the hook comes
// back after EMQX has dropped it, and a session waits when it comes from another node.
func TestTakeoverInErlang(t *testing.T) {
	n := newFakeNode(t)
	n.stay = 2e9
	_, out := n.run(2, "go", "TAKEOVER_PAUSE=300")
	text := strings.TrimSpace(n.read("loads"))
	assert.Assert(t, text != "", out)
	for name, module := range map[string]string{
		"emqx_hooks.erl": `-module(emqx_hooks). -export([add/3]).
			add('session.resumed', {_, wait, [300]} = A, 0) ->
				case ets:insert_new(hooks, {A}) of true -> ok; false -> {error, already_exists} end.`,
		"emqx_cm.erl": `-module(emqx_cm). -export([lookup_channels/1]).
			lookup_channels(<<"here">>) -> [self()];
			lookup_channels(<<"away">>) -> [binary_to_term(<<131, 88, 119, 3, "a@b", 7:32, 0:32, 1:32>>)].`,
	} {
		assert.NilError(t, os.WriteFile(filepath.Join(n.dir, name), []byte(module), 0o600))
	}
	program := `
		[{ok, N} = compile:file(F, []) || F <- ["emqx_hooks.erl", "emqx_cm.erl"], N <- [list_to_atom(filename:rootname(F))]],
		ets:new(hooks, [named_table, public]),
		Eval = fun() -> {ok, T, _} = erl_scan:string(os:getenv("TEXT")), {ok, P} = erl_parse:parse_exprs(T), {value, V, _} = erl_eval:exprs(P, []), V end,
		ok = Eval(), Keeper = whereis(emqx_oci_takeover), ok = Eval(), Keeper = whereis(emqx_oci_takeover),
		ets:delete_all_objects(hooks), timer:sleep(1500), [{{M, F, A}}] = ets:tab2list(hooks),
		Took = fun(Id) -> {Us, _} = timer:tc(fun() -> apply(M, F, [#{clientid => Id}, #{} | A]) end), Us div 100000 end,
		io:format("~p ~p", [Took(<<"here">>), Took(<<"away">>) >= 3]), halt().`
	cmd := exec.Command(agenttest.Tool(t, "erl"), "-noshell", "-eval", program)
	cmd.Dir, cmd.Env = n.dir, append(os.Environ(), "TEXT="+text)
	said, err := cmd.CombinedOutput()
	assert.NilError(t, err, string(said))
	assert.Equal(t, string(said), "0 true")
}
