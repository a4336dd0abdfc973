package blast

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

// Width is how many columns a report takes on a terminal.
const Width = 100

// indent is where the text of a line begins: after its sign and its area.
const indent = 15

var signs = map[Severity]struct{ sign, color string }{
	DataLoss:     {"!!", "\x1b[1;31m"},
	Interruption: {"! ", "\x1b[33m"},
	Notice:       {"i ", "\x1b[36m"},
	None:         {"  ", "\x1b[2m"},
}

// Text writes the report for a terminal, at most [Width] columns wide.
func (r Report) Text(w io.Writer, color bool) error {
	b := bufio.NewWriter(w)
	paint := func(code, s string) string {
		if !color || s == "" {
			return s
		}
		return code + s + "\x1b[0m"
	}
	for i, line := range wrap(r.Headline, Width) {
		if i > 0 {
			line = "  " + line
		}
		code := "\x1b[1m"
		if r.Severity == DataLoss {
			code = signs[DataLoss].color
		}
		_, _ = fmt.Fprintln(b, paint(code, line))
	}
	for _, l := range r.Lines {
		s := signs[l.Severity]
		head := fmt.Sprintf(" %s %-*s", s.sign, indent-5, l.Area)
		for i, line := range wrap(l.Text, Width-indent) {
			if i > 0 {
				head = strings.Repeat(" ", indent-1)
			}
			_, _ = fmt.Fprintln(b, paint(s.color, head)+" "+line)
		}
		for _, d := range l.Details {
			for _, line := range wrap(d, Width-indent-2) {
				_, _ = fmt.Fprintln(b, strings.Repeat(" ", indent+2)+paint("\x1b[2m", line))
			}
		}
	}
	if len(r.Estimate.Parts) > 0 {
		for i, line := range wrap(r.Estimate.Sum(), Width-indent) {
			head := "    time"
			if i > 0 {
				head = ""
			}
			_, _ = fmt.Fprintf(b, "%-*s%s\n", indent, head, line)
		}
	}
	return b.Flush()
}

// Sum is the estimate with its parts.
func (e Estimate) Sum() string {
	var parts []string
	for _, p := range e.Parts {
		switch {
		case p.Beside:
			parts[len(parts)-1] += fmt.Sprintf(" [meanwhile %s, %d s]", p.What, p.Seconds)
		default:
			parts = append(parts, fmt.Sprintf("%s (%d s)", p.What, p.Seconds))
		}
	}
	return phrase.Capital(e.About()) + ": " + strings.Join(parts, "; ")
}

// wrap breaks a text at its spaces.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
		for utf8.RuneCountInString(line) > width { // a word that no line holds
			runes := []rune(line)
			lines, line = append(lines, string(runes[:width])), string(runes[width:])
		}
	}
	return append(lines, line)
}
