package progress

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/emqx-oci/emqx-oci/infra/gates/gateline"
)

var midnight = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

// replay sends a recorded stream through a reader and a view whose clocks stand where the recording stood.
func replay(t *testing.T, file string, op Operation, v View, clock *time.Time, each func()) *Reader {
	t.Helper()
	f, err := os.Open("testdata/" + file)
	assert.NilError(t, err)
	defer f.Close()
	*clock = midnight
	r := newReader(op, func() time.Time { return *clock })
	v.Begin(op, "lab")
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var rec Recorded
		assert.NilError(t, json.Unmarshal(lines.Bytes(), &rec))
		*clock = midnight.Add(time.Duration(rec.At * float64(time.Second)))
		v.Events(r.Read(rec.Event))
		if each != nil {
			each()
		}
	}
	assert.NilError(t, lines.Err())
	end := End{Operation: op, Stack: "lab", Changes: r.Changes(), Elapsed: clock.Sub(midnight)}
	if len(r.Faults()) > 0 {
		end.Err = errors.New(r.Faults()[0].Message)
	}
	v.End(end)
	return r
}

func TestPlainLines(t *testing.T) {
	for file, op := range map[string]Operation{"up": Up, "preview": Preview, "failed": Up, "refresh": Refresh} {
		t.Run(file, func(t *testing.T) {
			var out bytes.Buffer
			var clock time.Time
			v := NewPlain(&out, false)
			v.now = func() time.Time { return clock }
			replay(t, file+".jsonl", op, v, &clock, nil)
			golden.Assert(t, out.String(), file+".plain.golden")
		})
	}
}

func TestJSONLines(t *testing.T) {
	var out bytes.Buffer
	var clock time.Time
	v := NewJSON(&out)
	v.now = func() time.Time { return clock }
	replay(t, "up.jsonl", Up, v, &clock, nil)
	replay(t, "failed.jsonl", Up, v, &clock, nil)
	golden.Assert(t, out.String(), "up.json.golden")
}

func TestFaultsAreGivenOnceWithoutWrapping(t *testing.T) {
	var clock time.Time
	r := replay(t, "failed.jsonl", Up, Silent{}, &clock, nil)
	assert.DeepEqual(t, r.Faults(), []Fault{{Resource: "sim:Thing a", Message: "the cloud has no room for a:\nask for more"}})
}

func TestReasons(t *testing.T) {
	for text, want := range map[string][]string{
		"update failed": {"update failed"},
		"an unhandled error occurred: program failed: 2 errors occurred:\n\t* one\n\t* two\n\n":                       {"one", "two"},
		`before hook "G1 nodes ready" failed: rpc error: code = Unknown desc = waiting for G1 nodes ready: timed out`: {"waiting for G1 nodes ready: timed out"},
		"  \n": nil,
	} {
		assert.DeepEqual(t, reasons(text), want)
	}
}

// The check at the end of an update asks gates, too, and may have to wait for them.
func TestTheCheckAtTheEndSaysWhatIsMissing(t *testing.T) {
	r := NewReader(Up)
	for text, want := range map[string]string{
		"verify: G2 cluster formed: waiting 100ms of 5m0s: 2/3 nodes: b is stopped": "verify: G2 cluster formed: not yet: 2/3 nodes: b is stopped",
		"verify: G2 cluster formed: 3/3 nodes running (100ms)":                      "verify: G2 cluster formed: 3/3 nodes running (100ms)",
		"verify: nothing of ours": "verify: nothing of ours",
	} {
		got := r.Read(apitype.EngineEvent{DiagnosticEvent: &apitype.DiagnosticEvent{Message: text + "\n", Severity: "info"}})
		assert.Equal(t, len(got), 1)
		assert.Equal(t, got[0].Message, want)
	}
}

// What a gate says comes through the engine's log as it was said, whatever others put
// into it.
func TestWhatAGateSaysIsShownAsItWasSaid(t *testing.T) {
	r := NewReader(Up)
	for _, seen := range []string{
		"2/3 nodes: b is stopped", "ends (4s)", "waiting 1s of 2s: x", "G2 cluster formed: 3/3 (1s)", "two\nlines: é 節点", strings.Repeat("long ", 20000) + "end",
	} {
		for _, holds := range []bool{false, true} {
			l := gateline.Line{Gate: "G1 nodes ready", Holds: holds, Elapsed: time.Second, Timeout: time.Minute, Seen: seen}
			want, status := seen, Status("")
			if holds {
				want, status = seen+" (1s)", Done
			}
			got := r.Read(apitype.EngineEvent{DiagnosticEvent: &apitype.DiagnosticEvent{Message: "<{%reset%}>" + l.String() + "<{%reset%}>\n", Severity: "info"}})
			assert.Equal(t, len(got), 1)
			assert.Equal(t, got[0].Kind, KindGate)
			assert.Equal(t, got[0].Gate, l.Gate)
			assert.Equal(t, got[0].Message, want)
			assert.Equal(t, got[0].Status, status)
		}
	}
	// A step, and whatever else looks like it, is a message.
	step := gateline.Line{Gate: "purge dead nodes", Holds: true, Seen: "3f1c77a0"}.String()
	got := r.Read(apitype.EngineEvent{DiagnosticEvent: &apitype.DiagnosticEvent{Message: step, Severity: "info"}})
	assert.Equal(t, got[0].Kind, KindMessage)
	assert.Equal(t, got[0].Message, "purge dead nodes: 3f1c77a0 (0s)")
}

func TestProgramRepeatingItsResourcesReasonIsNoSecondFault(t *testing.T) {
	r := NewReader(Up)
	say := func(urn, text string) {
		r.Read(apitype.EngineEvent{DiagnosticEvent: &apitype.DiagnosticEvent{URN: urn, Message: text, Severity: "error"}})
	}
	say("urn:pulumi:lab::p::nomad:index/job:Job::emqx", `before hook "G1" failed: 2/3 nodes`)
	say("urn:pulumi:lab::p::pulumi:pulumi:Stack::p-lab", "an unhandled error occurred: program failed: waiting for RPCs: rpc error: code = Unknown desc = 2/3 nodes")
	say("", "update failed")
	assert.DeepEqual(t, r.Faults(), []Fault{{Resource: "nomad:Job emqx", Message: "2/3 nodes"}})
}

// screen is as much of a terminal as the table uses.
type screen struct {
	t      *testing.T
	width  int
	rows   []string
	cursor int
	writes int
}

func (s *screen) Write(b []byte) (int, error) {
	s.writes++
	text := string(b)
	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b["):
			end := strings.IndexAny(text[2:], "ABCDJKm") + 2
			arg := text[2:end]
			switch text[end] {
			case 'A':
				n := 0
				_, _ = fmt.Sscan(arg, &n)
				assert.Assert(s.t, n <= s.cursor, "the cursor leaves the table by the top")
				s.cursor -= n
			case 'J':
				s.rows = s.rows[:s.cursor]
			case 'K':
				s.set("")
			}
			text = text[end+1:]
		case text[0] == '\r':
			text = text[1:]
		case text[0] == '\n':
			s.cursor++
			text = text[1:]
			s.set(s.get())
		default:
			end := strings.IndexAny(text, "\x1b\r\n")
			if end < 0 {
				end = len(text)
			}
			s.set(s.get() + text[:end])
			assert.Assert(s.t, len([]rune(s.get())) <= s.width, "a line wraps: %q", s.get())
			text = text[end:]
		}
	}
	return len(b), nil
}

func (s *screen) get() string {
	for len(s.rows) <= s.cursor {
		s.rows = append(s.rows, "")
	}
	return s.rows[s.cursor]
}

func (s *screen) set(l string) { s.get(); s.rows[s.cursor] = l }

func (s *screen) String() string { return strings.TrimRight(strings.Join(s.rows, "\n"), "\n") + "\n" }

// cloudPhase is what a cloud's kinds say of their types.
func cloudPhase(typ string) string {
	for prefix, name := range map[string]string{
		"oci:Core/volume": "volumes", "oci:Core/privateIp": "addresses", "oci:Core/networkSecurityGroup": "security groups",
		"oci:Core/instance": "nodes", "oci:NetworkLoadBalancer/": "load balancer", "oci:Dns/": "dns",
	} {
		if strings.HasPrefix(typ, prefix) {
			return name
		}
	}
	return ""
}

func TestTerminalTable(t *testing.T) {
	var clock time.Time
	sc := &screen{t: t, width: 60}
	v := NewTerminal(sc, func() (int, int) { return 60, 12 }, true, cloudPhase)
	v.now = func() time.Time { return clock }
	frames, last := "", ""
	replay(t, "up.jsonl", Up, v, &clock, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.draw(nil)
		if s := sc.String(); s != last {
			frames, last = frames+"----\n"+s, s
		}
	})
	golden.Assert(t, frames+"---- end\n"+sc.String(), "up.terminal.golden")
}

func TestTerminalTableFitsASmallScreen(t *testing.T) {
	now := midnight
	tab := table{op: Up, stack: "lab", start: now}
	for i := range 100 {
		tab.take(Event{Kind: KindResource, Status: Started, Op: "create", Type: "oci:Core/volume:Volume", Name: fmt.Sprint(i), URN: fmt.Sprint(i), Time: now}, false)
	}
	lines := tab.lines(now.Add(time.Minute), 10)
	assert.Equal(t, len(lines), 10)
	assert.Equal(t, lines[9].text, "      and 93 more under way")
}

func TestUpTakesItsTotalsFromThePreview(t *testing.T) {
	sc := &screen{t: t, width: 80}
	v := NewTerminal(sc, func() (int, int) { return 80, 24 }, false, cloudPhase)
	v.Begin(Preview, "lab")
	v.Events([]Event{{Kind: KindPlan, Op: "create", Type: "oci:Core/volume:Volume", Name: "a"}, {Kind: KindPlan, Op: "create", Type: "oci:Core/volume:Volume", Name: "b"}})
	v.End(End{Operation: Preview, Stack: "lab"})
	v.Begin(Up, "lab")
	v.Events([]Event{{Kind: KindResource, Status: Started, Op: "create", Type: "oci:Core/volume:Volume", Name: "a", URN: "a", Time: time.Now()}})
	assert.Equal(t, strings.TrimSpace(v.lines(time.Now(), 9)[1].text)[:24], "volumes              0/2")
	v.End(End{Operation: Up, Stack: "lab"})
}

func TestNotesAndWarningsStayAboveTheTable(t *testing.T) {
	sc := &screen{t: t, width: 80}
	v := NewTerminal(sc, func() (int, int) { return 80, 24 }, false, cloudPhase)
	v.Begin(Up, "lab")
	v.Note("a note")
	v.Events([]Event{{Kind: KindMessage, Severity: "warning", Message: "mind the gap"}})
	v.Events([]Event{{Kind: KindMessage, Severity: "info", Message: "passing by", Ephemeral: true}})
	v.End(End{Operation: Up, Stack: "lab", Changes: map[string]int{"same": 2}})
	assert.Equal(t, sc.String(), "a note\nwarning: mind the gap\nup lab: 2 unchanged  0.0s\n")
}

func TestControlCharactersDoNotReachTheTerminal(t *testing.T) {
	assert.Equal(t, clip("a\x1b[2Jb\nc\u009bd", 80), "a [2Jb c d")
	assert.Equal(t, clip("abcdef", 4), "abc~")
}
