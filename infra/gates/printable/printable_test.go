package printable

import (
	"bytes"
	"encoding/json"
	"testing"

	"gotest.tools/v3/assert"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"one\ttwo\nthree é 漢 🔵":   "one\ttwo\nthree é 漢 🔵",
		"a\r\nb":                  "a\nb",
		"50%\rdone":               `50%\u000ddone`,
		"\x1b[2J\x1b]0;title\x07": `\u001b[2J\u001b]0;title\u0007`,
		"\x1b[31mred":             `\u001b[31mred`,
		"\u009b31m\x7f":           `\u009b31m\u007f`,
		"user\u202egnp.exe":       `user\u202egnp.exe`,
		"\U000e0041":              `\udb40\udc41`,
		"bad \xff\x9b":            "bad \ufffd\ufffd",
	} {
		assert.Equal(t, Text(in), want)
	}
	assert.Equal(t, Painted("\x1b[1;31m!!\x1b[0m \x1b[31mred\x1b[0m"), "\x1b[1;31m!!\x1b[0m \x1b[31mred\x1b[0m")
	for _, hostile := range []string{"\x1b[8m", "\x1b[30m", "\x1b[1A", "\x1b[", "\x1b"} {
		assert.Assert(t, !bytes.ContainsRune([]byte(Painted(hostile)), '\x1b'), "%q", hostile)
	}
}

// What a program reads is the same with and without.
func TestJSONStaysJSON(t *testing.T) {
	in := "\u009b\x7f\u202e\U000e0041"
	text, err := json.Marshal(in)
	assert.NilError(t, err)
	var out string
	assert.NilError(t, json.Unmarshal([]byte(Text(string(text))), &out))
	assert.Equal(t, out, in)
}

func TestWriterTakesCharactersInParts(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, c := range []byte("漢\x1b[2K🔵\x9b") {
		n, err := w.Write([]byte{c})
		assert.NilError(t, err)
		assert.Equal(t, n, 1)
	}
	_, err := w.Write([]byte("\x1b[31mx\x1b[0m"))
	assert.NilError(t, err)
	assert.Equal(t, b.String(), "漢\\u001b[2K🔵\ufffd\x1b[31mx\x1b[0m")
}
