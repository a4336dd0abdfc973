package progress

import "strings"

type color string

const (
	bold    color = "\x1b[1m"
	dim     color = "\x1b[2m"
	red     color = "\x1b[31m"
	green   color = "\x1b[32m"
	yellow  color = "\x1b[33m"
	magenta color = "\x1b[35m"
	cyan    color = "\x1b[36m"
	reset         = "\x1b[0m"
)

// palette paints, or does not.
type palette bool

func (p palette) paint(c color, s string) string {
	if !p || s == "" {
		return s
	}
	return string(c) + s + reset
}

// clip cuts a line without escapes to a width in columns. Control characters, which a cloud's message may hold, would
// move the cursor.
func clip(s string, width int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	if width <= 0 {
		return ""
	}
	if runes := []rune(s); len(runes) > width {
		if width == 1 {
			return "~"
		}
		return string(runes[:width-1]) + "~"
	}
	return s
}
