package gateline

import (
	"math"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

func TestLineIsTheProseThatPeopleRead(t *testing.T) {
	for want, l := range map[string]Line{
		"G1 nodes ready: waiting 4.2s of 10m0s: 2/3 nodes: emqx-lab-1 not registered in Nomad": {
			Gate: "G1 nodes ready", Elapsed: 4200 * time.Millisecond, Timeout: 10 * time.Minute, Seen: "2/3 nodes: emqx-lab-1 not registered in Nomad",
		},
		"G1 nodes ready: 3/3 nodes ready (1m6s)":             {Gate: "G1 nodes ready", Holds: true, Elapsed: 66 * time.Second, Seen: "3/3 nodes ready"},
		"verify: G5 round trip: waiting 0s of 5m0s: no such": {Gate: "G5 round trip", AtEnd: true, Timeout: 5 * time.Minute, Seen: "no such"},
		"verify: G5 round trip: a message came back (0s)":    {Gate: "G5 round trip", AtEnd: true, Holds: true, Seen: "a message came back"},
		"drain of emqx-lab-1: nothing runs there (7.2s)":     {Gate: "drain of emqx-lab-1", Holds: true, Elapsed: 7200 * time.Millisecond, Seen: "nothing runs there"},
	} {
		assert.Equal(t, l.String(), want)
	}
	assert.Equal(t, Line{Elapsed: time.Second, Seen: "0/3"}.Found(), "0/3")
	assert.Equal(t, Line{Holds: true, Elapsed: time.Second, Seen: "3/3"}.Found(), "3/3 (1s)")
}

// odd are texts that others say, each of which some part of the format looks like.
var odd = []string{
	"", "x", "3/3", "ends (4s)", "(4s)", "ends (4s) (5s)", "(", ")", ":", ": ", "a: b: c",
	"waiting", "waiting 1s of 2s:", "waiting 1s of 2s: x", "waiting 1s of 2s: x (3s)", "waiting 1s of 2s: waiting 3s of 4s: y",
	"waiting 60s of 2m: no duration of ours", "waiting for G1", "G1 nodes ready: 3/3 (1s)", "verify: G1 nodes ready: waiting 1s of 2s: x",
	"two\nlines", "two\n\n  lines: (1s)\nand a third", "tab\tinside", "knoten é 節点 \u200b\U0001f600", "\u00e9\u0301", "bad \xff\xfe bytes",
	`quoted "text" and \u001b`, strings.Repeat("a very long reason (1s): ", 4000) + "end",
}

func TestLineIsReadAsItWasWritten(t *testing.T) {
	for _, text := range odd {
		seen := strings.TrimSpace(text)
		for _, l := range []Line{
			{Gate: "G1 nodes ready", Seen: seen, Timeout: 10 * time.Minute},
			{Gate: "G1 nodes ready", Seen: seen, Elapsed: 90 * time.Second, Timeout: 10 * time.Minute, AtEnd: true},
			{Gate: "G12", Seen: seen, Holds: true, Elapsed: 1500 * time.Millisecond},
			{Gate: "G5 round trip over TLS", Seen: seen, Holds: true, AtEnd: true},
		} {
			readsAsWritten(t, l)
		}
	}
}

func readsAsWritten(t *testing.T, l Line) {
	t.Helper()
	// The engine ends each message with a line end, and its reader takes it off again.
	got, ok := Parse(strings.TrimSpace(l.String() + "\n"))
	assert.Assert(t, ok, "%q", l.String())
	assert.Equal(t, got, l)
}

func TestOtherTextIsNoGates(t *testing.T) {
	for _, text := range []string{
		"", "G", "G1", "G1 nodes ready", "G1 nodes ready:", "G1 nodes ready: ready", "G1 nodes ready: ready (soon)", "G1 nodes ready: waiting 60s of 10m0s: x",
		"Gate 1: 3/3 (1s)", "g1: 3/3 (1s)", "GET http://10.80.2.10: done (3s)", "verify: 3/3 (1s)", "verify: verify: G1: 3/3 (1s)", "G1\nnodes: 3/3 (1s)",
		"uploading: done (3s)", "drain of emqx-lab-1: nothing runs there (7.2s)", "purge dead nodes: a (0s)", " G1 nodes ready: 3/3 (1s)",
	} {
		_, ok := Parse(text)
		assert.Assert(t, !ok, "%q", text)
	}
}

func FuzzLineIsReadAsItWasWritten(f *testing.F) {
	for _, seen := range odd {
		f.Add(uint8(1), " nodes ready", true, true, int64(time.Second), int64(0), seen)
		f.Add(uint8(255), "", false, false, int64(-1), int64(math.MaxInt64), seen)
	}
	f.Fuzz(func(t *testing.T, number uint8, title string, atEnd, holds bool, elapsed, timeout int64, seen string) {
		l := Line{
			Gate:  "G" + string(rune('0'+number%10)) + strings.NewReplacer(":", "", "\n", "").Replace(title),
			AtEnd: atEnd, Holds: holds, Elapsed: time.Duration(elapsed), Timeout: time.Duration(timeout), Seen: strings.TrimSpace(seen),
		}
		if holds {
			l.Timeout = 0
		}
		readsAsWritten(t, l)
	})
}

// Nothing is taken for a line that is not written so.
func FuzzWhatIsReadIsWrittenSo(f *testing.F) {
	for _, text := range odd {
		f.Add("G1 nodes ready: " + text + " (1s)")
		f.Add("verify: G2: waiting 1s of 1m0s: " + text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if l, ok := Parse(text); ok {
			assert.Equal(t, strings.TrimRight(l.String(), " "), strings.TrimRight(text, " "))
		}
	})
}
