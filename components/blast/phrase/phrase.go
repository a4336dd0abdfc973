// Package phrase puts numbers and names into the sentences of a report: plurals, lists and times. It knows no
// plan and no cluster.
package phrase

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Count is "1 node", "3 nodes", "2 entries".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if strings.HasSuffix(what, "y") {
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(what, "y"))
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// InTurn counts what is done one after another: "1 part", "3 parts, one after another,".
func InTurn(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return Count(n, what) + ", one after another,"
}

// Pick is the word for one or for several.
func Pick(n int, one, several string) string {
	if n == 1 {
		return one
	}
	return several
}

// Verb is the third person of one, and the plain form of several.
func Verb(one bool, word string) string {
	switch {
	case !one:
		return word
	case strings.HasSuffix(word, "o"):
		return word + "es"
	}
	return word + "s"
}

// most names that a sentence lists; of more, the first and the last.
const most = 9

// List joins names with commas; a long list is told by its ends.
func List(names []string) string { return joined(names, ", ") }

// Sequence joins names in the order in which their turn comes.
func Sequence(names []string) string { return joined(names, ", then ") }

func joined(names []string, sep string) string {
	if len(names) <= most {
		return strings.Join(names, sep)
	}
	return strings.Join(names[:3], sep) + ", ... " + strings.TrimPrefix(sep, ", ") + names[len(names)-1]
}

// And puts commas between words, and "and" before the last.
func And(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// Bracket puts words in brackets behind a sentence, when there are any.
func Bracket(words string) string {
	if words == "" {
		return ""
	}
	return " (" + words + ")"
}

// Capital begins a sentence.
func Capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// Fraction is a part of a whole: "none", "1/3", "half", "all".
func Fraction(n, of int) string {
	switch {
	case n <= 0:
		return "none"
	case n >= of:
		return "all"
	case n*2 == of:
		return "half"
	case of%n == 0:
		return fmt.Sprintf("1/%d", of/n)
	}
	return fmt.Sprintf("%d/%d", n, of)
}

// Seconds are those of a duration, rounded.
func Seconds(d time.Duration) int { return int(d.Round(time.Second).Seconds()) }

// Duration is one without zeros: "45 s", "2 min 30 s".
func Duration(d time.Duration) string {
	s := Seconds(d)
	switch {
	case s < 120:
		return fmt.Sprintf("%d s", s)
	case s%60 == 0:
		return fmt.Sprintf("%d min", s/60)
	}
	return fmt.Sprintf("%d min %d s", s/60, s%60)
}

// AddNew appends a word that is not among them yet.
func AddNew(words []string, word string) []string {
	if slices.Contains(words, word) {
		return words
	}
	return append(words, word)
}
