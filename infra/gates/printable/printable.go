// Package printable makes text that others wrote fit for a terminal: what a file, a
// broker or a cloud says must not move the cursor, hide what stands above it, or
// send keys. It knows nothing of where the text comes from.
package printable

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// ours are the colours that this program paints with. They change how the text that
// follows looks, and nothing else.
var ours = regexp.MustCompile(`^\x1b\[(0|1|2|3[1-6]|1;31)m`)

// Text writes every character that is no graphic one, line end or tab as an escape,
// \u001b, which JSON reads as the same. A line end of two characters becomes one.
func Text(s string) string { return clean(s, false) }

// Painted is Text that leaves this program's own colours in.
func Painted(s string) string { return clean(s, true) }

func clean(s string, painted bool) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			b.WriteRune(utf8.RuneError)
		case r == '\n' || r == '\t' || unicode.IsGraphic(r):
			b.WriteRune(r)
		case r == '\r' && strings.HasPrefix(s[i+1:], "\n"):
		case painted && r == '\x1b' && ours.MatchString(s[i:]):
			n = len(ours.FindString(s[i:]))
			b.WriteString(s[i : i+n])
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += n
	}
	return b.String()
}

// Writer passes on what is written to it as Painted does.
type Writer struct {
	w io.Writer

	mu   sync.Mutex
	part []byte // of a character whose end has not come yet
}

// NewWriter writes to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write is io.Writer's.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := append(w.part, p...)
	end := len(text)
	for back := 1; back <= utf8.UTFMax && back <= len(text); back++ {
		if utf8.RuneStart(text[len(text)-back]) {
			if !utf8.FullRune(text[len(text)-back:]) {
				end = len(text) - back
			}
			break
		}
	}
	w.part = append([]byte(nil), text[end:]...)
	if _, err := io.WriteString(w.w, Painted(string(text[:end]))); err != nil {
		return 0, err
	}
	return len(p), nil
}
