package progress

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/emqx-oci/emqx-oci/infra/gates/printable"
)

// redrawEvery keeps the elapsed times moving. Ten a second look live and cost nothing.
const redrawEvery = 100 * time.Millisecond

// Terminal shows a live table: a line per phase, below it what is under way, with the gate's reason and the time it
// takes. Only the table is redrawn, in one write, so that nothing flickers and everything else scrolls away as usual.
type Terminal struct {
	w    io.Writer
	size func() (width, height int)
	p    palette
	now  func() time.Time

	mu sync.Mutex
	table
	drawn []int // printable widths of the table's lines on the screen
	stop  chan struct{}
	done  chan struct{}
}

// table is what is shown.
type table struct {
	op     Operation
	stack  string
	start  time.Time
	phases []*phase
	active []*row
	ended  bool
	// cloudPhase is that of [NewTerminal].
	cloudPhase func(typ string) string
}

type phase struct {
	name                string
	planned             int // by the preview before, if there was one
	begun, done, failed int
	first, last         time.Time
}

type row struct {
	key, text string
	color     color
	phase     *phase
	since     time.Time
}

// line is text and its paint, kept apart so that clipping counts columns only.
type line struct {
	text  string
	color color
}

// NewTerminal draws on w, whose size is asked before every redraw. cloudPhase names the part of the deployment that a
// resource type of the cloud belongs to, "" for one that it does not know; nil knows none.
func NewTerminal(w io.Writer, size func() (width, height int), color bool, cloudPhase func(typ string) string) *Terminal {
	return &Terminal{w: w, size: size, p: palette(color), now: time.Now, table: table{cloudPhase: cloudPhase}}
}

// Begin is part of View.
func (v *Terminal) Begin(op Operation, stack string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := table{op: op, stack: stack, start: v.now(), cloudPhase: v.cloudPhase}
	if v.op == Preview && op == Up && v.stack == stack {
		for _, p := range v.phases {
			next.phases = append(next.phases, &phase{name: p.name, planned: p.planned})
		}
	}
	v.table = next
	v.drawn = nil
	v.stop, v.done = make(chan struct{}), make(chan struct{})
	go v.tick(v.stop, v.done)
	v.draw(nil)
}

func (v *Terminal) tick(stop, done chan struct{}) {
	defer close(done)
	t := time.NewTicker(redrawEvery)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			v.mu.Lock()
			v.draw(nil)
			v.mu.Unlock()
		}
	}
}

// Note is part of View.
func (v *Terminal) Note(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.draw([]string{v.p.paint(dim, text)})
}

// Events is part of View.
func (v *Terminal) Events(events []Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var above []string
	for _, e := range events {
		above = append(above, v.take(e, v.p)...)
	}
	if len(above) > 0 {
		v.draw(above) // all else waits for the next tick: a burst of events is one redraw
	}
}

// End is part of View.
func (v *Terminal) End(e End) {
	close(v.stop)
	<-v.done
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended, v.active = true, nil
	v.draw(nil)
	v.drawn = nil
	if e.Err == nil || e.Finished {
		text := fmt.Sprintf("%s %s: %s", e.Operation, e.Stack, Tally(e.Changes, e.Operation))
		_, _ = fmt.Fprintf(v.w, "%s  %s\n", v.p.paint(green, text), v.p.paint(dim, short(e.Elapsed)))
	}
}

// draw writes lines above the table and the table anew. One write: a terminal shows all of it or nothing.
func (v *Terminal) draw(above []string) {
	width, height := v.size()
	if width < 20 {
		width = 80
	}
	if height < 5 {
		height = 24
	}
	var b strings.Builder
	// Lines that were drawn on a wider screen take several rows now.
	rows := 0
	for _, w := range v.drawn {
		rows += max(1, (w+width-1)/width)
	}
	if rows > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r", rows)
	}
	for _, l := range above {
		b.WriteString("\x1b[K" + printable.Painted(l) + "\n")
	}
	v.drawn = v.drawn[:0]
	if v.op == "" || v.ended && len(above) > 0 { // before and after an operation there is no table
		_, _ = io.WriteString(v.w, b.String())
		return
	}
	// One column stays free: a full line would wrap on some terminals; one row for the cursor.
	for _, l := range v.lines(v.now(), height-1) {
		text := clip(l.text, width-1)
		v.drawn = append(v.drawn, utf8.RuneCountInString(text))
		b.WriteString("\x1b[K" + v.p.paint(l.color, text) + "\n")
	}
	b.WriteString("\x1b[J")
	_, _ = io.WriteString(v.w, b.String())
}

// take works an event in and gives the lines that stay on the screen.
func (t *table) take(e Event, p palette) []string {
	switch e.Kind {
	case KindPlan, KindDrift:
		if t.op == Preview && e.Kind == KindPlan {
			t.plan(e)
		}
		return planLines(e, p)
	case KindResource:
		t.resource(e)
	case KindGate:
		t.gate(e)
	case KindGuard: // told with the reasons at the end
	case KindMessage:
		switch {
		case e.Severity == "warning":
			return []string{p.paint(yellow, message(e))}
		case e.Severity == "info" && !e.Ephemeral:
			return strings.Split(message(e), "\n")
		}
	}
	return nil
}

// plan counts what an update would do, for the totals of the update after it.
func (t *table) plan(e Event) {
	n := 1
	if e.Op == "replace" {
		n = 2 // one goes, one comes
	}
	t.phaseOf(t.phaseName(e.Type), time.Time{}).planned += n
}

func (t *table) resource(e Event) {
	ph := t.phaseOf(t.phaseName(e.Type), e.Time)
	if ph.first.IsZero() {
		ph.first = e.Time
	}
	ph.last = e.Time
	key := e.URN + e.Op
	switch e.Status {
	case Started:
		ph.begun++
		t.active = append(t.active, &row{key: key, text: ing[e.Op] + " " + Short(e.Type) + " " + e.Name, phase: ph, since: e.Time})
		return
	case Done:
		ph.done++
	case Failed:
		ph.failed++
	}
	t.drop(key)
}

// gate shows what a gate waits for beside the resources that wait for it, which the engine calls under way.
func (t *table) gate(e Event) {
	if e.Status == Done {
		t.drop(e.Gate)
		return
	}
	text := "gate " + e.Gate + "  " + e.Message
	for _, r := range t.active {
		if r.key == e.Gate {
			r.text = text
			return
		}
	}
	var ph *phase
	for _, r := range t.active {
		ph = r.phase // the newest of those under way
	}
	if ph == nil {
		ph = t.phaseOf(gatesPhase, e.Time) // the check at the end of an update: no resource waits
		ph.last = e.Time
	}
	t.active = append(t.active, &row{key: e.Gate, text: text, color: cyan, phase: ph, since: e.Time})
}

func (t *table) drop(key string) {
	t.active = slices.DeleteFunc(t.active, func(r *row) bool { return r.key == key })
}

func (t *table) phaseOf(name string, at time.Time) *phase {
	for _, p := range t.phases {
		if p.name == name {
			return p
		}
	}
	p := &phase{name: name, first: at}
	t.phases = append(t.phases, p)
	return p
}

// lines renders the table into at most height lines.
func (t *table) lines(now time.Time, height int) []line {
	head := fmt.Sprintf("%s %s  %s", t.op, t.stack, short(now.Sub(t.start)))
	if t.op == Preview || len(t.phases) == 0 && len(t.active) == 0 {
		if t.ended {
			return nil
		}
		return []line{{head + "  " + t.opening(), dim}}
	}
	out := []line{{head, bold}}
	room := height - 1 - len(t.phases)
	hidden := 0
	for _, p := range t.phases {
		out = append(out, p.line(now, t.running(p), t.ended))
		for _, r := range t.active {
			if r.phase != p {
				continue
			}
			if room <= 1 {
				hidden++
				continue
			}
			room--
			out = append(out, line{fmt.Sprintf("    %6s  %s", short(now.Sub(r.since)), r.text), r.color})
		}
	}
	if hidden > 0 {
		out = append(out, line{fmt.Sprintf("      and %d more under way", hidden), dim})
	}
	if len(out) > height {
		out = out[:height]
	}
	return out
}

func (t *table) running(p *phase) bool {
	return slices.ContainsFunc(t.active, func(r *row) bool { return r.phase == p })
}

func (t *table) opening() string {
	if t.op == Preview {
		return "comparing with what is deployed"
	}
	return "starting the engine and reading the stack"
}

func (p *phase) line(now time.Time, running, ended bool) line {
	took := ""
	if p.begun > 0 {
		took = short(p.last.Sub(p.first))
	}
	state, c := "done", green
	total := max(p.planned, p.begun)
	switch {
	case p.failed > 0:
		state, c = fmt.Sprintf("%d failed", p.failed), red
	case running:
		state, c, took = "", "", short(now.Sub(p.first))
	case ended && p.done < total:
		state, c = "stopped", yellow
	case p.begun == 0 && p.planned > 0:
		state, c, took = "waiting", dim, ""
	case p.done < total:
		state, c = "", ""
	}
	count := ""
	if total > 0 {
		count = fmt.Sprintf("%d/%d", p.done, total)
	}
	return line{strings.TrimRight(fmt.Sprintf("  %-16s %7s  %-9s %s", p.name, count, state, took), " "), c}
}

func short(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}
