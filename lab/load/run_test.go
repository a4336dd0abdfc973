package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"
)

func TestNothingHappens(t *testing.T) {
	t.Parallel()
	for qos := range byte(3) {
		t.Run(fmt.Sprint("qos ", qos), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, nil)
			var urls []string
			for _, protocol := range []string{"mqtt", "mqtts", "ws", "wss"} {
				urls = append(urls, protocol+"://"+s.addresses[protocol])
			}
			o := brisk(urls...)
			o.QoS, o.Fan, o.ServerName = qos, 2, "broker.test"
			_, o.Roots = certificates()
			o.Sources = []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}
			sources := map[string]int{}
			o.NodeOf = func(context.Context) (map[string]string, error) {
				nodes := map[string]string{"somebody else": "elsewhere"}
				for _, c := range s.Clients.GetAll() {
					if !c.Net.Inline {
						nodes[c.ID] = "here"
					}
				}
				return nodes, nil
			}
			r := during(t, o, func() {
				for end := time.Now().Add(5 * time.Second); s.Clients.Len() < 10 && time.Now().Before(end); {
					time.Sleep(5 * time.Millisecond) // a busy machine connects by and by
				}
				for _, c := range s.Clients.GetAll() {
					host, _, _ := strings.Cut(c.Net.Remote, ":")
					sources[host]++
				}
			})
			assert.Assert(t, r.Sent >= 6*40 && r.Sent <= 6*60, "%d", r.Sent)
			if qos > 0 {
				assert.Equal(t, r.Acknowledged, r.Sent)
			} else {
				assert.Equal(t, r.Acknowledged, uint64(0))
			}
			assert.Equal(t, r.Expected, 2*r.Sent)
			assert.Equal(t, r.Received, 2*r.Sent)
			assert.DeepEqual(t, []uint64{r.Lost, r.MissedWhileAway, r.Duplicated, r.OutOfOrder, r.Skipped, r.Resent, r.Refused},
				[]uint64{0, 0, 0, 0, 0, 0, 0})
			assert.Equal(t, r.Connections, 10)
			assert.Equal(t, r.Reconnects+r.StillAway+len(r.Errors), 0)
			assert.Assert(t, r.LongestGapSeconds < 0.9 && r.LongestGapSeconds > 0, "%g", r.LongestGapSeconds)
			assert.DeepEqual(t, r.Nodes[0].Connections, map[string]int{"here": 10})
			assert.Equal(t, sources["127.0.0.2"], 5)
			assert.Equal(t, sources["127.0.0.3"], 5)
			protocols := map[string]int{}
			for _, c := range r.Clients {
				protocols[strings.Split(c.Endpoint, ":")[0]]++
			}
			assert.DeepEqual(t, protocols, map[string]int{"mqtt": 3, "mqtts": 3, "ws": 2, "wss": 2})
			text, err := json.Marshal(r)
			assert.NilError(t, err)
			for _, name := range []string{`"lost":0`, `"missedWhileAway":0`, `"longestGapSeconds":`, `"reconnectSeconds":{"count":0,"p50":0,"p99":0,"max":0}`, `"losses":[]`} {
				assert.Assert(t, strings.Contains(string(text), name), "%s in %s", name, text)
			}
		})
	}
}

func TestNoSessionRemains(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	o := brisk("mqtt://" + s.addresses["mqtt"])
	o.Duration = 100 * time.Millisecond
	during(t, o, nil)
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left := 0
		for _, c := range s.Clients.GetAll() {
			if !c.Net.Inline {
				left++
			}
		}
		if left == 0 {
			break
		}
		assert.Assert(t, time.Now().Before(end), "%d sessions remain", left)
	}
}

// A broker that acknowledges messages and forgets them is found out, to the message.
func TestABrokerThatLosesWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{1, 2} {
		var swallowed atomic.Uint64
		s := startServer(t, func(_ *mqtt.Server, _, n uint64, _ packets.Packet) bool {
			if n%10 != 7 {
				return false
			}
			swallowed.Add(1)
			return true
		})
		o := brisk("mqtt://" + s.addresses["mqtt"])
		o.QoS, o.Settle = qos, 300*time.Millisecond
		r := during(t, o, nil)
		assert.Equal(t, r.Lost, swallowed.Load())
		assert.Assert(t, r.Lost >= 6*4, "%d", r.Lost)
		assert.Equal(t, r.MissedWhileAway, uint64(0))
		assert.Equal(t, r.Received, r.Sent-r.Lost)
		for _, l := range r.Losses {
			assert.Equal(t, l.From%10, uint64(7))
			assert.Equal(t, l.To, l.From)
			assert.Assert(t, l.Fate == Lost && l.AckedAtSeconds >= l.SentAtSeconds)
		}
	}
}

func TestABrokerThatRepeatsAndSwaps(t *testing.T) {
	t.Parallel()
	var repeated, swapped atomic.Uint64
	var held [6]*packets.Packet
	s := startServer(t, func(s *mqtt.Server, publisher, n uint64, p packets.Packet) bool {
		switch n % 10 {
		case 3:
			repeated.Add(1)
			say(s, p)
		case 5:
			held[publisher] = &p
			return true
		case 6:
			swapped.Add(1)
			say(s, p)
			say(s, *held[publisher])
			return true
		}
		return false
	})
	o := brisk("mqtt://" + s.addresses["mqtt"])
	o.Settle = 300 * time.Millisecond
	r := during(t, o, nil)
	assert.Equal(t, r.Duplicated, repeated.Load())
	assert.Equal(t, r.OutOfOrder, swapped.Load())
	assert.Assert(t, r.Duplicated > 10 && r.OutOfOrder > 10)
	assert.Assert(t, r.Lost <= 6, "at most the last one of a publisher is held to the end: %d", r.Lost)
}

// Connections break, the broker and its sessions stay: nothing may be lost, whatever was under way.
func TestConnectionsThatAreCut(t *testing.T) {
	t.Parallel()
	for qos := byte(1); qos <= 2; qos++ {
		t.Run(fmt.Sprint("qos ", qos), func(t *testing.T) {
			t.Parallel()
			p := newPath(t, startCluster(t, 1)[0])
			o := brisk(p.url())
			o.QoS = qos
			r := during(t, o, func() {
				for range 5 {
					p.cut()
					time.Sleep(50 * time.Millisecond)
				}
			})
			unharmed(t, r, qos)
			assert.Assert(t, r.Reconnects >= 10 && r.Connections == 10+r.Reconnects, "%d %d", r.Connections, r.Reconnects)
			assert.Equal(t, len(r.Breaks), r.Reconnects)
			assert.Assert(t, r.ReconnectTime.Count == uint64(r.Reconnects) && r.ReconnectTime.Max < 5 && r.ReconnectTime.Max > 0)
			assert.Assert(t, r.Errors["lost: closed"]+r.Errors["lost: reset"] >= 10, "%v", r.Errors)
		})
	}
}

// The broker dies with its sessions; another one is there after a while. Messages that were published to nobody meanwhile
// are not called lost.
func TestABrokerThatDiesWithItsSessions(t *testing.T) {
	t.Parallel()
	first, second := startServer(t, nil), startServer(t, nil)
	subscribers, publishers := newPath(t, first.addresses["mqtt"]), newPath(t, first.addresses["mqtt"])
	o := brisk(publishers.url(), subscribers.url())
	// Publishers take the first endpoint, subscribers the second: turns are even.
	o.Publishers, o.Subscribers, o.Duration = 1, 1, 1500*time.Millisecond
	r := during(t, o, func() {
		publishers.lead(second.addresses["mqtt"])
		subscribers.lead("")
		time.Sleep(300 * time.Millisecond)
		subscribers.lead(second.addresses["mqtt"])
	})
	assert.Equal(t, r.Lost, uint64(0), "%+v", r.Losses)
	assert.Assert(t, r.LostWithSession <= 2, "%+v", r.Losses)
	assert.Assert(t, r.MissedWhileAway >= 1 && r.MissedWhileAway <= 50, "%d", r.MissedWhileAway)
	assert.Equal(t, r.SessionsLost, 2)
	assert.Equal(t, r.StillAway, 0)
	assert.Assert(t, r.AwayMax > 0.25 && r.AwayMax < 3, "%g", r.AwayMax)
	assert.Assert(t, r.LongestGapSeconds > 0.25 && r.LongestGapSeconds < 3, "%g", r.LongestGapSeconds)
	for _, l := range r.Losses {
		assert.Assert(t, l.Fate != Lost)
	}
}

// The broker dies with its sessions, and the subscriber does not hear what the other one answers to its first connections:
// those made a session, and it is present when the subscriber comes again. It is a new one all the same, also for who
// heard of it once and lost the connection before it could ask.
func TestASessionThatNobodyHeardOf(t *testing.T) {
	t.Parallel()
	for name, stages := range map[string][]hearing{"nothing": {nothing}, "CONNACK alone": {nothing, connack}} {
		t.Run(name, func(t *testing.T) {
			first, second := startServer(t, nil), startServer(t, nil)
			subscribers, publishers := newPath(t, first.addresses["mqtt"]), newPath(t, first.addresses["mqtt"])
			o := brisk(publishers.url(), subscribers.url())
			o.Publishers, o.Subscribers, o.Duration, o.ConnectTimeout = 1, 1, 2*time.Second, 100*time.Millisecond
			r := during(t, o, func() {
				publishers.lead(second.addresses["mqtt"])
				subscribers.hears(nothing)
				subscribers.lead(second.addresses["mqtt"])
				for _, stage := range stages {
					subscribers.hears(stage)
					time.Sleep(400 * time.Millisecond)
				}
				subscribers.hears(everything)
				subscribers.cut()
			})
			assert.Assert(t, r.Errors["connack: timeout"] >= 1, "%v", r.Errors)
			assert.Equal(t, r.Lost, uint64(0), "%+v", r.Losses)
			assert.Assert(t, r.MissedWhileAway >= 1, "%d", r.MissedWhileAway)
			assert.Equal(t, r.SessionsLost, 2)
			assert.Equal(t, r.StillAway, 0)
		})
	}
}

// The same with a session that lives: who asks more than once is told that it is the old one.
func TestASessionThatIsAskedForTwice(t *testing.T) {
	t.Parallel()
	address := startCluster(t, 1)[0]
	subscribers, publishers := newPath(t, address), newPath(t, address)
	o := brisk(publishers.url(), subscribers.url())
	o.Publishers, o.Subscribers, o.Duration, o.ConnectTimeout = 1, 1, 2*time.Second, 100*time.Millisecond
	r := during(t, o, func() {
		subscribers.hears(connack)
		subscribers.cut()
		time.Sleep(400 * time.Millisecond)
		subscribers.hears(everything)
		subscribers.cut()
	})
	assert.Equal(t, r.Lost+r.LostWithSession+r.MissedWhileAway, uint64(0), "%+v", r.Losses)
	assert.Equal(t, r.SessionsLost, 0)
	assert.Assert(t, r.Reconnects >= 1)
	assert.Equal(t, r.StillAway, 0)
}

// A connection that dies without a word is noticed by the PING that nobody answers.
func TestASilentDeath(t *testing.T) {
	t.Parallel()
	address := startCluster(t, 1)[0]
	p := newPath(t, address)
	o := brisk(p.url())
	// The broker ends connections after one and a half keep-alives, in whole seconds rounded down: 3 s.
	o.KeepAlive, o.PingTimeout, o.ConnectTimeout, o.Duration = 2*time.Second, 200*time.Millisecond, 500*time.Millisecond, 4*time.Second
	r := during(t, o, func() {
		p.freeze()
		time.Sleep(2500 * time.Millisecond)
		p.lead(address)
		p.thaw()
	})
	assert.Assert(t, r.Errors["lost: no answer to PING"] >= 1, "%v", r.Errors)
	assert.Equal(t, r.Lost, uint64(0), "%+v", r.Losses)
	assert.Equal(t, r.SessionsLost, 0)
	assert.Equal(t, r.MissedWhileAway+r.LostWithSession, uint64(0), "sessions were kept")
	assert.Equal(t, r.StillAway, 0)
	assert.Assert(t, r.AwayMax > 2.1, "away since the last sign of life: %g", r.AwayMax)
	assert.Assert(t, r.ReconnectTime.P50 < 1.2, "back after the PING failed: %+v", r.ReconnectTime)
	assert.Assert(t, r.Skipped > 0)
}

func TestClientsThatDoNotComeBack(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPath(t, s.addresses["mqtt"])
	o := brisk(p.url())
	o.Settle = 200 * time.Millisecond
	r := during(t, o, func() { p.lead("") })
	assert.Equal(t, r.StillAway, 10)
	assert.Equal(t, r.Lost, uint64(0))
	assert.Assert(t, r.LongestGapSeconds > 0.4)
	assert.Assert(t, r.Skipped > 0 && r.Errors["connack: closed"]+r.Errors["connack: reset"] > 0, "%v", r.Errors)
}

func TestTheEndOfTheContextIsTheEndOfPublishing(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	o := brisk("mqtt://" + s.addresses["mqtt"])
	o.Duration = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 1300*time.Millisecond)
	defer cancel()
	var events []Event
	o.OnEvent = func(e Event) { events = append(events, e) }
	began := time.Now()
	r, err := Run(ctx, o)
	assert.NilError(t, err)
	assert.Assert(t, time.Since(began) < 4*time.Second)
	assert.Assert(t, r.Interrupted && r.Sent > 0 && r.Lost == 0)
	assert.Equal(t, r.Received, r.Sent)
	assert.Assert(t, len(events) >= 1 && events[0].Connected == 10 && events[0].SentRate > 200, "%v", events)
}

func TestABrokerThatIsNotThere(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := Run(ctx, brisk("mqtt://"+freeAddress(t)))
	assert.ErrorContains(t, err, "0 of 10 connected")
	assert.ErrorContains(t, err, "dial: refused (")
	s := startServer(t, nil)
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = Run(ctx, brisk("mqtts://"+s.addresses["mqtts"]))
	assert.ErrorContains(t, err, "tls: certificate not accepted")
	assert.Assert(t, errors.Is(err, context.DeadlineExceeded))
}

func TestOptionsThatCannotBe(t *testing.T) {
	t.Parallel()
	err := Options{
		Endpoints: []string{"http://x", "nonsense"}, Publishers: 2, Subscribers: 5, Fan: 7, Rate: -1, Payload: 3, QoS: 3, KeepAlive: 1500 * time.Millisecond,
		Backoff: time.Minute, Password: "p", Sources: make([]netip.Addr, 1),
	}.Validate()
	var all *OptionsError
	assert.Assert(t, errors.As(err, &all))
	assert.Equal(t, strings.Join(all.Faults, "\n"), `backoffCap: must be 1m0s to 1h0m0s, got 10s
endpoints[0]: must begin with mqtt, mqtts, ws or wss, got "http://x"
endpoints[1]: must be a URL such as mqtts://mqtt.lab.test:8883, got "nonsense"
fan: must be 1 to 5, got 7
keepAlive: must be whole seconds, got 1.5s
payload: must be 24 to 1048576, got 3
qos: must be 0 to 2, got 3
rate: must be above 0 and at most 10000 messages per second, got -1
sources[0]: must be an IP address
username: must be given with a password`)
	err = Options{Endpoints: []string{"ws://h"}, Publishers: 2, Subscribers: 4, Fan: 2}.Validate()
	assert.Error(t, err, "subscribers: must be 1 to 3, got 4")
	e, err := parseEndpoint("wss://h")
	assert.NilError(t, err)
	assert.Equal(t, e.url, "wss://h:8084/mqtt")
}

func TestPausesAreRepeatable(t *testing.T) {
	t.Parallel()
	pauses := func(seed uint64) []time.Duration {
		o := brisk("mqtt://h")
		o.Seed, o.Backoff, o.BackoffCap = seed, 200*time.Millisecond, 10*time.Second
		s, err := o.resolve()
		assert.NilError(t, err)
		c := newRun(s).clients[3]
		var all []time.Duration
		for attempt := range 100 {
			d := c.backoff(attempt)
			assert.Assert(t, d >= 0 && d <= min(10*time.Second, 200*time.Millisecond<<min(attempt, 20)))
			all = append(all, d)
		}
		return all
	}
	assert.DeepEqual(t, pauses(1), pauses(1))
	assert.Assert(t, pauses(1)[50] != pauses(2)[50])
}

// Without a PING this engine would end connections after 3 s of silence.
func TestSilentClientsStayConnected(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	o := brisk("mqtt://"+s.addresses["mqtt"], "ws://"+s.addresses["ws"])
	o.Publishers, o.Subscribers, o.Rate, o.KeepAlive, o.Duration = 2, 2, 0.2, 2*time.Second, 4200*time.Millisecond
	r := during(t, o, nil)
	assert.Equal(t, r.Reconnects+len(r.Errors), 0, "%v", r.Errors)
	assert.Equal(t, r.Received, uint64(2))
}
