package broker

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// The stand-in knows two Erlang expressions, those of the EMQX job. A test compares them.
//
// By moveExpression its move.sh moves clients, with how many at most, how many at once
// and the pause after those, in milliseconds.
const moveExpression = `case ets:select(emqx_channel_live, [{ {'$1', '_'}, [], ['$1']}], %d) of {Pids, _} -> ` +
	`lists:foldl(fun(Pid, N) -> Pid ! {disconnect, 16#9C, use_another_server, #{}}, (N + 1) rem %d =:= 0 andalso timer:sleep(%d), N + 1 end, 0, Pids); _ -> 0 end.`

// By waitExpression its run.sh loads emqx_oci_takeover.erl, with the file twice and how
// long sessions wait, in milliseconds, and emqx_oci_devices.erl with 1 where others than devices
// get in by their certificates, too.
const waitExpression = `{ok, M, B} = compile:file("%s", [binary]), {module, M} = code:load_binary(M, "%s", B), M:start(%d).`

// The files have to say what they are.
var (
	waitModule    = regexp.MustCompile(`(?m)^-module\(emqx_oci_takeover\)\.$`)
	devicesModule = regexp.MustCompile(`(?m)^-module\(emqx_oci_devices\)\.$`)
)

var movePattern, waitPattern = pattern(moveExpression), pattern(waitExpression)

func pattern(format string) *regexp.Regexp {
	text := strings.ReplaceAll(regexp.QuoteMeta(format), "%s", `([^"]+)`)
	return regexp.MustCompile("^" + strings.ReplaceAll(text, "%d", `(\d{1,9})`) + "$")
}

// eval is `emqx eval`: not Erlang, but what the two expressions do.
func (a *app) eval(expression string) *message {
	if m := waitPattern.FindStringSubmatch(expression); m != nil {
		return a.node.loadModule(m[1], m[3])
	}
	m := movePattern.FindStringSubmatch(expression)
	if m == nil {
		return failed("the stand-in evaluates no Erlang: it knows the expressions of move.sh and run.sh only, not %q", expression)
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

// loadModule does what the file says, as far as it is one of the two.
func (n *node) loadModule(file, number string) *message {
	text, err := os.ReadFile(file)
	switch {
	case err == nil && waitModule.Match(text):
		ms, _ := strconv.ParseInt(number, 10, 64) // as many digits as fit
		n.pause.Store(ms * int64(time.Millisecond))
	case err == nil && devicesModule.Match(text):
		n.admitsNames.Store(number == "1")
		n.admitsDevices.Store(true)
	default:
		return failed("RPC to %s error: {badmatch,error}: %s is not emqx_oci_takeover or emqx_oci_devices", n.cfg.node, file)
	}
	return done("ok")
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
