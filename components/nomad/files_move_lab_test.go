//go:build lab

package nomad

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// The expression does in Erlang what it is written for: a table of the shape of
// EMQX's, and processes that note what they are sent.
func TestMoveScriptInErlang(t *testing.T) {
	n := newFakeNode(t)
	_, _, _ = move(n, "200", "1000")
	text := strings.TrimSpace(n.read("evals"))
	program := `
		ets:new(emqx_channel_live, [named_table, public, ordered_set, {write_concurrency, true}]),
		Main = self(),
		Run = fun(F, Id) -> receive {disconnect, 16#9C, use_another_server, M} when M =:= #{} -> ets:delete(emqx_channel_live, self()), Main ! moved, F(F, Id); Other -> Main ! {unexpected, Other} end end,
		[ets:insert(emqx_channel_live, {spawn(fun() -> Run(Run, I) end), true}) || I <- lists:seq(1, 250)],
		{ok, Tokens, _} = erl_scan:string(os:getenv("TEXT")),
		{ok, Parsed} = erl_parse:parse_exprs(Tokens),
		Eval = fun() -> {value, V, _} = erl_eval:exprs(Parsed, []), timer:sleep(100), V end,
		First = Eval(), Second = Eval(), Third = Eval(),
		{messages, All} = process_info(self(), messages),
		io:format("~p ~p ~p, ~p moved, ~p unexpected", [First, Second, Third, length([x || moved <- All]), length([x || {unexpected, _} <- All])]),
		halt().`
	cmd := exec.Command(agenttest.Tool(t, "erl"), "-noshell", "-eval", program)
	cmd.Env = append(os.Environ(), "TEXT="+text)
	out, err := cmd.CombinedOutput()
	assert.NilError(t, err, string(out))
	assert.Equal(t, string(out), "200 50 0, 250 moved, 0 unexpected")
}
