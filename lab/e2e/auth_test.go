//go:build lab

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/lab"
	"github.com/emqx-oci/emqx-oci/lab/load"
)

// The users of a closed cluster. The pump may do what a round trip does.
const (
	metersPassword = "a-word-of-the-meter's"
	pumpsPassword  = "a-word-of-the-pump's"

	openCluster = "    anonymous: true # its internet is on this machine\n"
	ruleOfAll   = "      - {permit: allow, topics: [\"devices/${username}/#\"]}\n"
	ruleOfLoad  = "      - {permit: allow, user: meter, topics: [\"emqx-oci/load/#\"]}\n"
	ruleOfPump  = "      - {permit: allow, user: pump, topics: [\"emqx-oci/gate/#\"]}\n"
)

// closedCluster is what stands in the stack file in the place of [openCluster].
func closedCluster(t *testing.T, b *bed) (text, meter, pump string) {
	t.Helper()
	secure := b.encrypted(t, metersPassword, pumpsPassword)
	meter, pump = "      - {name: meter, password: "+secure[0]+"}\n", "      - {name: pump, password: "+secure[1]+"}\n"
	return "    users:\n" + meter + pump + "    rules:\n" + ruleOfAll + ruleOfLoad + ruleOfPump, meter, pump
}

// roundTrips says what a client sees through each listener, from the internet.
func (b *bed) roundTrips(t *testing.T, user, password string) map[string]string {
	t.Helper()
	secrets, err := lab.Secrets(lab.Options{Dir: b.dir})
	assert.NilError(t, err)
	all := gates.RoundTripArgs{
		Name: name, Listeners: cluster.Listeners(cluster.DefaultPorts, true), Proxy: "socks5h://" + b.door + ":1080",
		CACert: secrets["emqx-oci:tls.ca"], Username: user, Password: password,
	}
	seen := map[string]string{}
	for _, l := range all.Listeners {
		args, err := all.Through(l.Name)
		assert.NilError(t, err)
		switch status, err := gates.RoundTrip(args).Check(t.Context()); {
		case err != nil:
			seen[l.Name] = err.Error()
		case status.Holds:
			seen[l.Name] = "passes"
		default:
			seen[l.Name] = status.Seen
		}
	}
	assert.Equal(t, len(seen), 4, "%v", seen)
	return seen
}

// everywhere wants one answer, in these words, from each listener.
func (b *bed) everywhere(t *testing.T, user, password, words string) {
	t.Helper()
	for l, seen := range b.roundTrips(t, user, password) {
		assert.Check(t, strings.Contains(seen, words), "user %q by %s: %s", user, l, seen)
	}
}

// whoMayConnect closes the cluster and asks as whom it lets in; it returns what stands in the stack file in the place
// of [openCluster] then.
func (b *bed) whoMayConnect(t *testing.T) (now string) {
	closed, _, pumpsUser := closedCluster(t, b)
	closed = "    clientId: usernamePrefix\n" + closed + others(t, b)
	b.edit(t, openCluster, closed)
	r := b.must(t, "up", "lab", "--yes")
	assert.Assert(t, strings.Contains(r.stdout, "-u USER -P PASSWORD"), "%s", r)
	b.well(t, 20*time.Second)
	b.must(t, "verify", "lab")

	b.everywhere(t, "", "", "CONNACK 0x8a (banned)") // an identifier of the stack's own user
	b.everywhere(t, "pump", metersPassword, "CONNACK 0x86 (bad user name or password)")
	b.everywhere(t, "nobody", pumpsPassword, "CONNACK 0x87 (not authorized)")
	b.everywhere(t, "meter", metersPassword, "not authorized") // none of its topics
	b.everywhere(t, "pump", pumpsPassword, "passes")
	b.topicsOfOthers(t)
	b.othersConnect(t)
	noSecrets(t, b)

	// Whom the stack does not name, somebody else has brought in: the next update ends that.
	b.broker(t, 1, `cat /secrets/api_keys | tr -d '\n' | base64 -w0 | sed 's/^/Authorization: Basic /' | curl -sf -X POST -H @- -H 'Content-Type: application/json' `+
		`-d '{"user_id": "guest", "password": "a-word-of-the-guest"}' http://127.0.0.1:18083/api/v5/authentication/password_based%3Abuilt_in_database/users`)
	meter, guest := b.stays(t, "meter", metersPassword), b.stays(t, "guest", "a-word-of-the-guest")
	r = b.must(t, "up", "lab", "--yes")
	assert.Assert(t, strings.Contains(r.stdout, "match users: removed guest; clients cut off: 1"), "%s", r)
	guest.isCutOff(t, 4, 5)
	assert.Equal(t, strings.Count(meter.out.String(), "received CONNACK"), 1, "%s", meter.out.String())
	b.everywhere(t, "guest", "a-word-of-the-guest", "CONNACK 0x87 (not authorized)")
	r = b.must(t, "up", "lab", "--yes")
	assert.Assert(t, !strings.Contains(r.stdout, "match users"), "there was nothing left to do: %s", r)

	return b.changesAtRunTime(t, closed, pumpsUser)
}

// opens lets everybody in again.
func (b *bed) opens(t *testing.T, closed string) {
	t.Helper()
	b.edit(t, closed, openCluster)
	r := b.must(t, "up", "lab", "--yes")
	assert.Assert(t, strings.Contains(r.stdout, "open access: authenticators switched off; EMQX's own rules count"), "%s", r)
	b.everywhere(t, "", "", "passes")
}

// brokerStarts are the starts of the brokers' tasks, by allocation.
func brokerStarts(t *testing.T) map[string]time.Time {
	t.Helper()
	starts := map[string]time.Time{}
	for _, a := range running(t, nomadClient(t), emqxJob) {
		starts[a.ID] = a.TaskStates[cluster.EMQXTask].StartedAt
	}
	return starts
}

// changesAtRunTime: a user and rules change while clients are connected through all listeners. No
// broker restarts; who is concerned is cut off, and nobody else. What somebody changes in the
// dashboard is found, and put right.
func (b *bed) changesAtRunTime(t *testing.T, closed, pump string) (now string) {
	t.Helper()
	starts, stay := brokerStarts(t), b.staysOnAllListeners(t)
	held := []string{"-V", "mqttv5", "-h", name, "-i", "pump/holds", "-u", "pump", "-P", pumpsPassword, "-q", "1", "-t", "emqx-oci/gate/held"}
	reader := b.holds(t, held...)
	changed := strings.Replace(closed, ruleOfPump, "      - {permit: allow, user: pump, topics: [\"pumps/#\"]}\n", 1)
	b.edit(t, closed, changed)
	plan := strings.Join(strings.Fields(b.must(t, "preview", "lab").stdout), " ")
	for _, want := range []string{"Rules of who may do what: Applied at run time at the end of the update, nothing restarts", "0 nodes restarted"} {
		assert.Assert(t, strings.Contains(plan, want), "%q is missing in\n%s", want, plan)
	}
	r := b.must(t, "up", "lab", "--yes")
	assert.Assert(t, strings.Contains(r.stdout, "match users: applied rules; clients cut off: 1"), "%s", r)
	reader.isDenied(t, b, held...)

	again := strings.Replace(changed, pump, "      - {name: pump, password: "+b.encrypted(t, "another-word-of-the-pump's")[0]+"}\n", 1)
	b.edit(t, changed, again)
	r = b.must(t, "up", "lab", "--yes")
	assert.Assert(t, strings.Contains(r.stdout, "match users: changed pump"), "%s", r)
	b.everywhere(t, "pump", pumpsPassword, "CONNACK 0x86 (bad user name or password)")

	// Somebody lets everybody do everything.
	b.broker(t, 2, `cat /secrets/api_keys | tr -d '\n' | base64 -w0 | sed 's/^/Authorization: Basic /' | curl -sf -X PUT -H @- -H 'Content-Type: application/json' `+
		`-d '{"type": "file", "enable": true, "rules": "{allow, all}."}' http://127.0.0.1:18083/api/v5/authorization/sources/file`)
	drift := b.sees(t, 20*time.Second, "somebody has changed in EMQX who may connect or what they may do: rules")
	assert.Equal(t, drift.Next, "`emqx-oci up lab` puts it right")
	r = b.must(t, "preview", "lab")
	assert.Assert(t, strings.Contains(r.stdout+r.stderr, "somebody has changed in EMQX who may connect"), "%s", r)
	r = b.must(t, "up", "lab", "--yes")
	assert.Assert(t, strings.Contains(r.stdout, "match users: put right what somebody else had changed: rules"), "%s", r)
	b.well(t, 20*time.Second)
	stay(t)
	assert.DeepEqual(t, brokerStarts(t), starts)
	return again
}

// staysOnAllListeners connects clients of the meter through each listener, and returns what ends
// them: none was cut, and none has lost a message.
func (b *bed) staysOnAllListeners(t *testing.T) func(*testing.T) {
	t.Helper()
	out, progress := &syncBuffer{}, &syncBuffer{}
	cmd := b.command(context.Background(), "lab", "load", "--json", "--publishers=8", "--subscribers=4", "--rate=2", "--duration=10m", "--nodes-every=0",
		"--username=meter", "--password="+metersPassword)
	cmd.Stdout, cmd.Stderr = out, progress
	assert.NilError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	eventually(t, 30*time.Second, "twelve clients", func() error {
		if s := progress.String(); !strings.Contains(s, "12 connected") {
			return fmt.Errorf("%s", s)
		}
		return nil
	})
	return func(t *testing.T) {
		t.Helper()
		assert.NilError(t, cmd.Process.Signal(os.Interrupt))
		err := <-ended
		var r load.Report
		assert.NilError(t, errors.Join(err, json.Unmarshal([]byte(out.String()), &r)), "%s", progress)
		assert.Assert(t, r.Sent > 0 && r.Lost == 0, "%s", lost(r))
		assert.Equal(t, r.Reconnects, 0, "%s", lost(r))
	}
}

// holds subscribes, and stays until it is cut off.
func (b *bed) holds(t *testing.T, subscription ...string) stayingClient {
	t.Helper()
	c := stayingClient{out: &syncBuffer{}, ends: make(chan error, 1)}
	cmd := b.start(t, c.out, append([]string{"lab", "exec", "--", "stdbuf", "-oL", "mosquitto_sub", "-d", "-W", "120"}, subscription...)...)
	go func() { c.ends <- cmd.Wait() }()
	c.subscribes(t)
	return c
}

// isDenied waits for a client that was cut off, and does not let its subscription come back.
func (c stayingClient) isDenied(t *testing.T, b *bed, subscription ...string) {
	t.Helper()
	select {
	case <-c.ends:
	case <-time.After(20 * time.Second):
		t.Fatalf("it is still there: %s", c.out.String())
	}
	assert.Assert(t, strings.Contains(c.out.String(), "Received DISCONNECT (152)"), "%s", c.out.String()) // by an administrator
	r := b.run(t, append([]string{"lab", "exec", "--", "mosquitto_sub", "-W", "10"}, subscription...)...)
	assert.Assert(t, strings.Contains(r.stderr, "All subscription requests were denied"), "%s", r)
}

func (c stayingClient) subscribes(t *testing.T) {
	t.Helper()
	eventually(t, 20*time.Second, "a subscription", func() error {
		if s := c.out.String(); !strings.Contains(s, "received SUBACK") {
			return fmt.Errorf("%s", s)
		}
		return nil
	})
}

// topicsOfOthers: a user publishes and subscribes to its own topics, and to nobody else's.
func (b *bed) topicsOfOthers(t *testing.T) {
	t.Helper()
	const client = "-i meter/1 -V mqttv5 -h " + name + " -u meter -P \"" + metersPassword + "\" -q 1 "
	meter := func(words string) result {
		return b.run(t, "lab", "exec", "--", "sh", "-c", words)
	}
	r := meter("mosquitto_pub " + client + "-r -t devices/meter/x -m own && mosquitto_sub " + client + "-t devices/meter/x -C 1 -W 10")
	assert.Equal(t, strings.TrimSpace(r.stdout), "own", "%s", r)
	assert.Assert(t, !strings.Contains(r.stderr, "Not authorized"), "%s", r)
	for _, topic := range []string{"devices/pump/x", "news"} {
		r = meter("mosquitto_pub " + client + "-t " + topic + " -m x")
		assert.Assert(t, strings.Contains(r.stderr, "Publish 1 failed: Not authorized"), "%s: %s", topic, r)
	}
	for _, topic := range []string{"devices/pump/x", "devices/+/x", "#", "$share/g/devices/pump/x"} {
		r = meter("mosquitto_sub " + client + "-t '" + topic + "' -W 5")
		assert.Assert(t, strings.Contains(r.stderr, "All subscription requests were denied"), "%s: %s", topic, r)
	}
}

// stayingClient is a client that connects again until it is refused.
type stayingClient struct {
	out  *syncBuffer
	ends chan error
}

func (b *bed) stays(t *testing.T, user, password string) stayingClient {
	t.Helper()
	c := stayingClient{out: &syncBuffer{}, ends: make(chan error, 1)}
	// It ends with the code of a CONNACK that refuses it. Into a pipe it writes late, if let.
	cmd := b.start(t, c.out, "lab", "exec", "--", "sh", "-c", fmt.Sprintf(
		`while :; do stdbuf -oL mosquitto_sub -d -h %s -i %s/stays -u %s -P "%s" -q 1 -t devices/%s/stays; case $? in 4|5) exit;; esac; sleep 0.2; done`, name, user, user, password, user))
	go func() { c.ends <- cmd.Wait() }()
	c.subscribes(t)
	return c
}

// isCutOff waits for a client that has not come back, and for one of the codes by which it could not: a user that goes
// is shut out by another password (4) before it is deleted (5).
func (c stayingClient) isCutOff(t *testing.T, codes ...int) {
	t.Helper()
	select {
	case <-c.ends:
	case <-time.After(20 * time.Second):
		t.Fatalf("it is still there: %s", c.out.String())
	}
	assert.Assert(t, slices.ContainsFunc(codes, func(code int) bool {
		return strings.Contains(c.out.String(), fmt.Sprintf("received CONNACK (%d)", code))
	}), "%s", c.out.String())
}

// usersChange takes a user away and gives another one a new password, while both are connected.
func usersChange(t *testing.T, b *bed) {
	closed, meter, pump := closedCluster(t, b)
	b.edit(t, openCluster, closed)
	b.must(t, "up", "lab", "--yes")
	other := "      - {name: meter, password: " + b.encrypted(t, "another-word-of-the-meter's")[0] + "}\n"
	b.edit(t, meter, other)
	b.edit(t, pump, "")
	b.edit(t, ruleOfPump, "")
	oldMeter, oldPump := b.stays(t, "meter", metersPassword), b.stays(t, "pump", pumpsPassword)
	r := b.must(t, "up", "lab", "--yes")
	assert.Assert(t, strings.Contains(r.stdout, "match users: changed meter; removed pump; clients cut off: 2"), "%s", r)
	oldMeter.isCutOff(t, 4)
	oldPump.isCutOff(t, 4, 5)
	b.everywhere(t, "pump", pumpsPassword, "CONNACK 0x87 (not authorized)")
	b.everywhere(t, "meter", metersPassword, "CONNACK 0x86 (bad user name or password)")
	b.everywhere(t, "meter", "another-word-of-the-meter's", "SUBACK")
}
