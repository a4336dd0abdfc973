package structconfig

import (
	"regexp"
	"strings"
)

// Format is what a text has to look like.
type Format struct {
	// Want tells it to a person behind "must be": "a range such as 10.0.0.0/16";
	// Short does in a table: "range".
	Want, Short string
	// Pattern is what a machine that knows no more than regular expressions can
	// see of it; never stricter than Check. Empty when nothing is to see.
	Pattern string
	// Check decides about a text that fits the pattern; nil accepts it.
	Check func(text string) bool
	// Suggest is what somebody may have meant, empty for nothing in particular; nil
	// suggests nothing.
	Suggest func(text string) string
	// Diagnose says what a refused text is instead, in place of the text itself, which may
	// be long or no error's to show; empty, or nil, shows the text.
	Diagnose func(text string) string
	// Name allows another way to say it beside: a name; nil for none.
	Name *Name

	pattern *regexp.Regexp
}

// Name is free text that may stand for a thing in the place of its identifier.
type Name struct {
	// NotPrefix begins identifiers, and so no name.
	NotPrefix string
	// Length is the most characters that a name has.
	Length int
}

func (f *Format) compile() {
	if f.Pattern != "" {
		f.pattern = regexp.MustCompile(f.Pattern)
	}
}

// Match tells whether a text has the format.
func (f *Format) Match(text string) bool {
	if n := f.Name; n != nil && !strings.HasPrefix(text, n.NotPrefix) {
		return len([]rune(text)) <= n.Length && strings.TrimSpace(text) != ""
	}
	return (f.pattern == nil || f.pattern.MatchString(text)) && (f.Check == nil || f.Check(text))
}

// suggestion asks what may have been meant.
func (f *Format) suggestion(text string) string {
	if f.Suggest == nil {
		return ""
	}
	return f.Suggest(text)
}

func (f *Format) diagnosis(text string) string {
	if f.Diagnose == nil {
		return ""
	}
	return f.Diagnose(text)
}

// Secret is implemented by types of text that no error shows.
type Secret interface{ Reveal() string }
