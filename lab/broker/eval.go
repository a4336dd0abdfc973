package broker

import (
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// The stand-in knows three Erlang expressions, those of the EMQX job. A test compares them.
//
// By moveExpression its move.sh moves clients, with how many at most, how many at once
// and the pause after those, in milliseconds.
const moveExpression = `case ets:select(emqx_channel_live, [{ {'$1', '_'}, [], ['$1']}], %d) of {Pids, _} -> ` +
	`lists:foldl(fun(Pid, N) -> Pid ! {disconnect, 16#9C, use_another_server, #{}}, (N + 1) rem %d =:= 0 andalso timer:sleep(%d), N + 1 end, 0, Pids); _ -> 0 end.`

// By waitExpression its run.sh loads emqx_oci_takeover.erl, with the file twice and how
// long sessions wait, in milliseconds, and emqx_oci_devices.erl with 1 where others than devices
// get in by their certificates, too.
const waitExpression = `{ok, M, B} = compile:file("%s", [binary]), {module, M} = code:load_binary(M, "%s", B), M:start(%d).`

// By jobExpression run.sh asks Nomad for its job, with the token's file, the socket, the job
// and its namespace.
const jobExpression = `{ok, T} = file:read_file("%s"), {ok, S} = gen_tcp:connect({local, "%s"}, 0, [binary, {active, false}], 5000), ` +
	`ok = gen_tcp:send(S, ["GET /v1/job/%s/scale?namespace=%s HTTP/1.0", 13, 10, "Host: nomad", 13, 10, "X-Nomad-Token: ", T, 13, 10, 13, 10]), ` +
	`R = fun(F, A) -> case gen_tcp:recv(S, 0, 10000) of {ok, B} -> F(F, <<A/binary, B/binary>>); {error, closed} -> A end end, ` +
	`{match, [X, N]} = re:run(R(R, <<>>), "^HTTP/1.. 200 .*.JobStopped.:(true|false).*.Desired.:([0-9]+)", ` +
	`[dotall, {capture, all_but_first, list}]), {list_to_atom(X), list_to_integer(N)}.`

// The files have to say what they are.
var (
	waitModule    = regexp.MustCompile(`(?m)^-module\(emqx_oci_takeover\)\.$`)
	devicesModule = regexp.MustCompile(`(?m)^-module\(emqx_oci_devices\)\.$`)
)

var movePattern, waitPattern, jobPattern = pattern(moveExpression), pattern(waitExpression), pattern(jobExpression)

func pattern(format string) *regexp.Regexp {
	text := strings.ReplaceAll(regexp.QuoteMeta(format), "%s", `([^"]+)`)
	return regexp.MustCompile("^" + strings.ReplaceAll(text, "%d", `(\d{1,9})`) + "$")
}

// eval is `emqx eval`: not Erlang, but what the three expressions do.
func (a *app) eval(expression string) *message {
	if m := waitPattern.FindStringSubmatch(expression); m != nil {
		return a.node.loadModule(m[1], m[3])
	}
	if m := jobPattern.FindStringSubmatch(expression); m != nil {
		return a.node.askJob(m[1], m[2], m[3], m[4])
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

var jobAnswer = regexp.MustCompile(`(?s)^HTTP/1.. 200 .*"JobStopped":(true|false).*"Desired":([0-9]+)`)

// askJob asks Nomad at a socket how many allocations a job is to have.
func (n *node) askJob(tokenFile, socket, job, namespace string) *message {
	fault := func(err error) *message { return failed("RPC to %s error: {badmatch,{error,%v}}", n.cfg.node, err) }
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return fault(err)
	}
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(n.ctx, "unix", socket)
	if err != nil {
		return fault(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(c, "GET /v1/job/%s/scale?namespace=%s HTTP/1.0\r\nHost: nomad\r\nX-Nomad-Token: %s\r\n\r\n", job, namespace, token); err != nil {
		return fault(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		return fault(err)
	}
	m := jobAnswer.FindSubmatch(answer)
	if m == nil {
		return failed("RPC to %s error: {badmatch,nomatch}", n.cfg.node)
	}
	return done(fmt.Sprintf("{%s,%s}", m[1], m[2]))
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
