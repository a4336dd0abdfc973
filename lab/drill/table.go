package drill

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Line is a scenario's results, all of its runs together.
type Line struct {
	Name, Does                string
	Promise                   Promise
	Runs                      int
	Sent                      uint64
	Lost, LostSession, Missed uint64
	Gap                       float64 // the longest, seconds
	Reconnects                int
	P50, P99                  float64   // of the reconnects, seconds
	Whole                     []float64 // time to full strength of each run that reached it
	Steps                     []Step    // of the last run
	Broken                    []string
}

// Lines adds up results by scenario, in the order in which they came.
func Lines(results []Result) []Line {
	var lines []Line
	reconnects := map[string][]float64{}
	for _, r := range results {
		at := slices.IndexFunc(lines, func(l Line) bool { return l.Name == r.Scenario.Name })
		if at < 0 {
			at = len(lines)
			lines = append(lines, Line{Name: r.Scenario.Name, Does: r.Scenario.Does, Promise: r.Scenario.Promise})
		}
		l := &lines[at]
		l.Runs++
		l.Sent += r.Report.Sent
		l.Lost += r.Report.Lost
		l.LostSession += r.Report.LostWithSession
		l.Missed += r.Report.MissedWhileAway
		l.Gap = max(l.Gap, r.Report.LongestGapSeconds)
		l.Reconnects += r.Report.Reconnects
		if r.Whole > 0 {
			l.Whole = append(l.Whole, r.Whole.Seconds())
		}
		if len(r.Steps) > 0 {
			l.Steps = r.Steps
		}
		l.Broken = append(l.Broken, r.Broken...)
		for _, b := range r.Report.Breaks {
			reconnects[l.Name] = append(reconnects[l.Name], b.Seconds)
		}
		l.P50, l.P99 = quantile(reconnects[l.Name], 0.5), quantile(reconnects[l.Name], 0.99)
	}
	return lines
}

// quantile is the smallest of the values that at least this part of them does not exceed.
func quantile(values []float64, part float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	return values[min(len(values)-1, max(0, int(math.Ceil(part*float64(len(values))))-1))]
}

var columns = []string{
	"case", "promise", "runs", "sent", "lost", "lost with session", "missed while away", "longest gap, s", "reconnects", "p50, s",
	"p99, s", "full strength, s", "kept",
}

func (l Line) cells() []string {
	whole := "-"
	if len(l.Whole) > 0 {
		whole = number(slices.Max(l.Whole))
	}
	kept := "yes"
	switch {
	case len(l.Broken) > 0:
		kept = "NO"
	case l.Promise == None:
		kept = "-"
	}
	count := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return []string{
		l.Name, string(l.Promise), strconv.Itoa(l.Runs), count(l.Sent), count(l.Lost), count(l.LostSession), count(l.Missed), number(l.Gap),
		strconv.Itoa(l.Reconnects), number(l.P50), number(l.P99), whole, kept,
	}
}

func number(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// Text writes the table for a terminal, and what is not as promised.
func Text(w io.Writer, lines []Line) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, strings.ToUpper(strings.Join(columns, "\t")))
	for _, l := range lines {
		_, _ = fmt.Fprintln(t, strings.Join(l.cells(), "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, l := range lines {
		for _, b := range l.Broken {
			if _, err := fmt.Fprintf(w, "%s: %s\n", l.Name, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// Markdown is the page's part: the table, what each case is, and when what was seen.
func Markdown(lines []Line) string {
	var b strings.Builder
	row := func(cells ...string) { _, _ = fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	row(columns...)
	b.WriteString(strings.Repeat("|---", len(columns)) + "|\n")
	for _, l := range lines {
		cells := l.cells()
		cells[0] = "`" + cells[0] + "`"
		row(cells...)
	}
	b.WriteString("\n*p50* and *p99* are of the time that a client took to come back, *full strength* is the longest of the runs, from the\n" +
		"fault or, where it lasts, from its end, until G2, G3 and G4 hold and every node has the retained message.\n\n")
	row("case", "what is done", "seen on the way, after the beginning")
	b.WriteString("|---|---|---|\n")
	for _, l := range lines {
		var seen []string
		for _, s := range l.Steps {
			after := "not seen"
			if s.After >= 0 {
				after = number(s.After.Seconds()) + " s"
			}
			seen = append(seen, s.What+": "+after)
		}
		row("`"+l.Name+"`", l.Does, strings.Join(seen, "; "))
	}
	var broken []string
	for _, l := range lines {
		for _, s := range l.Broken {
			broken = append(broken, fmt.Sprintf("- `%s`: %s\n", l.Name, strings.Join(strings.Fields(s), " ")))
		}
	}
	if len(broken) > 0 {
		b.WriteString("\nNot as promised:\n\n" + strings.Join(broken, ""))
	}
	return b.String()
}

// Replace puts text between the markers <!-- name --> and <!-- /name --> of a page.
func Replace(page, name, text string) (string, error) {
	open, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	before, rest, ok := strings.Cut(page, open)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("writing the page: it has no part between %q and %q", strings.TrimSpace(open), end)
	}
	return before + open + text + end + after, nil
}
