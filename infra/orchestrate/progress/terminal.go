package progress

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
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

	mu     sync.Mutex
	op     Operation
	stack  string
	start  time.Time
	expect int
	phases []*phase
	active []*row
	gates  []*row
	seen   int // resources that were begun or planned
	last   string
	drawn  []int // printable widths of the lines of the table on the screen
	stop   chan struct{}
	done   chan struct{}
}

type phase struct {
	name                string
	begun, done, failed int
	first, last         time.Time
}

type row struct {
	key, text string
	phase     *phase
	since     time.Time
}

// NewTerminal draws on w, whose size is asked before every redraw.
func NewTerminal(w io.Writer, size func() (width, height int), color bool) *Terminal {
	return &Terminal{w: w, size: size, p: palette(color), now: time.Now}
}

// Begin is part of View.
func (v *Terminal) Begin(op Operation, stack string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	*v = Terminal{w: v.w, size: v.size, p: v.p, now: v.now, op: op, stack: stack, start: v.now(), //nolint:govet // mu is held
		stop: make(chan struct{}), done: make(chan struct{})}
}

// Expect is part of View.
func (v *Terminal) Expect(int) {}

// Note is part of View.
func (v *Terminal) Note(string) {}

// Events is part of View.
func (v *Terminal) Events([]Event) {}

// End is part of View.
func (v *Terminal) End(End) {}

var _ = slices.Contains[[]string]
var _ = strings.Contains
var _ = fmt.Sprint
