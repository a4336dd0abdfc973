package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emqx-oci/emqx-oci/infra/operate"
)

// tone is how a cell is meant.
type tone string

const (
	plainTone tone = ""
	good      tone = "\x1b[32m"
	doubtful  tone = "\x1b[33m"
	bad       tone = "\x1b[31m"
)

type cell struct {
	text string
	tone tone
}

// writeStatus prints a look at a cluster: what is the matter at the end, next to the prompt. Where the table is wider than
// the terminal each node takes some lines instead. Width 0 is no terminal, which is as wide as need be.
func writeStatus(w io.Writer, s operate.Status, width int, color bool) {
	paint := func(c cell) string {
		if !color || c.tone == plainTone {
			return c.text
		}
		return string(c.tone) + c.text + "\x1b[0m"
	}
	state := cell{"well", good}
	if !s.Well {
		state = cell{"not well", bad}
	}
	_, _ = fmt.Fprintf(w, "stack %s is %s, %s\n\n", s.Stack, paint(state), s.Time.Format("2006-01-02 15:04:05"))

	head := []string{"NODE", "NOMAD", "EMQX", "MEMBER", "CLIENTS", "SESSIONS", strings.ToUpper(s.ProxyTitle)}
	rows := make([][]cell, len(s.Nodes))
	for i, n := range s.Nodes {
		rows[i] = []cell{
			{n.Name, plainTone},
			nomadCell(n.Nomad), taskCell(n.Broker, s.Broker, s.Time), memberCell(n.Member),
			{number(n.Clients), plainTone},
			{number(n.Sessions), plainTone},
			proxyCell(n, s.Proxy, s.Time),
		}
	}
	widths := columns(head, rows)
	total := -2
	for _, width := range widths {
		total += width + 2
	}
	if width > 0 && total > width {
		writeBlocks(w, head, rows, paint)
	} else {
		writeTable(w, head, rows, widths, paint)
	}
	_, _ = fmt.Fprintln(w)
	for _, j := range []operate.JobStatus{s.Broker, s.Proxy} {
		wrap(w, width, "", "  ", jobLine(j, s.Time))
	}
	if c := s.Certificate; c != nil {
		wrap(w, width, "", "  ", "certificate: "+c.Summary(s.Time))
	}
	if s.AccessDrift != "" {
		wrap(w, width, "", "  ", "access: somebody has changed "+s.AccessDrift)
	}
	for _, c := range s.Further {
		wrap(w, width, "", "  ", "certificate: "+c.Summary(s.Time))
	}
	if b := s.Balancer; b != nil {
		line := "balancer: " + b.Summary()
		if age := s.Time.Sub(b.Asked); b.Error == "" && age >= 5*time.Second {
			line += ", " + operate.Age(age) + " ago"
		}
		wrap(w, width, "", "  ", line)
	}
	if u := s.LastUpdate; u != nil {
		wrap(w, width, "", "  ", "last update: "+updateText(*u, s.Time))
	}
	if s.RoundTrip != "" {
		wrap(w, width, "", "  ", "round trip: "+s.RoundTrip)
	}
	if len(s.Problems) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w, "\nwhat is the matter")
	for _, p := range s.Problems {
		wrap(w, width, "  - ", "    ", p.What)
		if p.Next != "" {
			wrap(w, width, "    next: ", "    ", p.Next)
		}
	}
}

func columns(head []string, rows [][]cell) []int {
	widths := make([]int, len(head))
	for i, h := range head {
		widths[i] = len(h)
		for _, r := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i].text))
		}
	}
	return widths
}

func writeTable(w io.Writer, head []string, rows [][]cell, widths []int, paint func(cell) string) {
	line := func(cells []cell) {
		var b strings.Builder
		for i, c := range cells {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			if right(head[i]) {
				b.WriteString(pad + paint(c))
			} else {
				b.WriteString(paint(c) + pad)
			}
			b.WriteString("  ")
		}
		_, _ = fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
	cells := make([]cell, len(head))
	for i, h := range head {
		cells[i] = cell{text: h}
	}
	line(cells)
	for _, r := range rows {
		line(r)
	}
}

// right tells the columns of numbers.
func right(head string) bool { return slices.Contains([]string{"CLIENTS", "SESSIONS"}, head) }

// writeBlocks is the table of a narrow terminal.
func writeBlocks(w io.Writer, head []string, rows [][]cell, paint func(cell) string) {
	for _, r := range rows {
		_, _ = fmt.Fprintln(w, paint(r[0]))
		for i := 1; i < len(r); i++ {
			_, _ = fmt.Fprintf(w, "  %-8s  %s\n", strings.ToLower(head[i]), paint(r[i]))
		}
	}
}

func nomadCell(state string) cell {
	switch state {
	case "ready":
		return cell{state, good}
	case "":
		return cell{"?", doubtful}
	case "draining", "ineligible", "initializing":
		return cell{state, doubtful}
	}
	return cell{state, bad}
}

func memberCell(state string) cell {
	switch state {
	case "running":
		return cell{state, good}
	case "stopped":
		return cell{state, bad}
	case "unknown":
		return cell{"?", doubtful}
	}
	return cell{state, doubtful}
}

// taskCell is a task's state, since when, and what is unusual about it.
func taskCell(a operate.Allocation, job operate.JobStatus, now time.Time) cell {
	if a.State == "" {
		return cell{"?", doubtful}
	}
	c := cell{a.State, bad}
	switch a.State {
	case "running":
		c.tone = good
	case "pending", "stopping", "unknown":
		c.tone = doubtful
	}
	if !a.Since.IsZero() {
		c.text += " " + operate.Age(now.Sub(a.Since))
	}
	if a.State != "none" && a.Version != job.Version && job.State != "" {
		c.text += fmt.Sprintf(", v%d", a.Version)
		if c.tone == good {
			c.tone = doubtful
		}
	}
	if a.Restarts > 0 {
		c.text += ", " + count(int(a.Restarts), "restart") //nolint:gosec // a handful
	}
	return c
}

// proxyCell is HAProxy as Consul sees it, which is what counts, and its task where that says more.
func proxyCell(n operate.NodeStatus, job operate.JobStatus, now time.Time) cell {
	c := taskCell(n.Proxy, job, now)
	switch n.Check {
	case "passing":
		c.text = strings.Replace(c.text, "running", "healthy", 1)
	case "":
	case "absent":
		if n.Proxy.State == "running" {
			c = cell{c.text + ", not in Consul", bad}
		}
	default:
		c = cell{c.text + ", " + n.Check, bad}
	}
	return c
}

func number(n *int) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func jobLine(j operate.JobStatus, now time.Time) string {
	if j.State == "" {
		return "job " + j.ID + ": unknown"
	}
	if j.State == "absent" {
		return "job " + j.ID + ": not in Nomad"
	}
	line := fmt.Sprintf("job %s: %s, version %d", j.ID, j.State, j.Version)
	if !j.Changed.IsZero() {
		line += " of " + operate.Age(now.Sub(j.Changed)) + " ago"
	}
	if j.Deployment != "" {
		line += ", deployment " + j.Deployment
	}
	if j.Image != "" {
		line += ", " + j.Image
	}
	return line
}

func updateText(u operate.UpdateStatus, now time.Time) string {
	switch {
	case u.Error != "":
		return "not known: " + u.Error
	case u.Kind == "":
		return "none on record"
	}
	text := u.Kind + " " + u.Result
	switch {
	case !u.Ended.IsZero():
		text += " " + operate.Age(now.Sub(u.Ended)) + " ago"
		if !u.Started.IsZero() {
			text += ", took " + operate.Age(u.Ended.Sub(u.Started))
		}
	case !u.Started.IsZero():
		text += ", began " + operate.Age(now.Sub(u.Started)) + " ago"
	}
	return text
}

// wrap prints a text in lines of a width, the first behind one prefix, the others behind another.
func wrap(w io.Writer, width int, first, rest, text string) {
	line := first
	empty := true
	for _, word := range strings.Fields(text) {
		switch {
		case empty:
			line += word
		case width > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			_, _ = fmt.Fprintln(w, line)
			line = rest + word
		default:
			line += " " + word
		}
		empty = false
	}
	_, _ = fmt.Fprintln(w, line)
}
