package broker

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// moveExpression is the one Erlang expression that the stand-in knows: the one by
// which the EMQX job's move.sh moves clients, with how many at most, how many at once
// and the pause after those, in milliseconds. A test compares the two.
const moveExpression = `case ets:select(emqx_channel_live, [{ {'$1', '_'}, [], ['$1']}], %d) of {Pids, _} -> lists:foldl(fun(Pid, N) -> Pid ! {disconnect, 16#9C, use_another_server, #{}}, (N + 1) rem %d =:= 0 andalso timer:sleep(%d), N + 1 end, 0, Pids); _ -> 0 end.`

var movePattern = regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(moveExpression), "%d", `(\d{1,9})`) + "$")

// eval is `emqx eval`: not Erlang, but what [moveExpression] does.
func (a *app) eval(expression string) *message {
	m := movePattern.FindStringSubmatch(expression)
	if m == nil {
		return failed("the stand-in evaluates no Erlang: it knows the expression of move.sh only, not %q", expression)
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // as many digits as fit
	}
	if n[0] == 0 || n[1] == 0 {
		return failed("RPC to %s error: {badarg,badarith}", a.node.cfg.node)
	}
	return done(fmt.Sprint(a.move(n[0], n[1], time.Duration(n[2])*time.Millisecond)))
}

// move disconnects up to most clients, so many at once, and returns how many. Their
// sessions stay for as long as they asked for, and their wills are published, as
// after any disconnect that is not the client's.
func (a *app) move(most, slice int, pause time.Duration) int {
	count := 0
	all := a.server.Clients.GetAll()
	for _, id := range sortedKeys(all) {
		cl := all[id]
		if count == most {
			break
		}
		if cl.Net.Inline || cl.Closed() {
			continue
		}
		if cl.Properties.ProtocolVersion == 5 {
			_ = cl.WritePacket(packets.Packet{
				FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ReasonCode: packets.ErrUseAnotherServer.Code,
			})
		}
		cl.Stop(packets.ErrUseAnotherServer)
		if count++; count%slice == 0 {
			time.Sleep(pause)
		}
	}
	return count
}
