package hocon

import (
	"encoding/json"
	"math/big"
	"os"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
	is "gotest.tools/v3/assert/cmp"
)

// Each line holds a text, what hocon 0.44.0 itself made of it as the value of a
// field (value, text for none, crash), and the value in JSON. \n and \t in a text
// stand for those characters.
func TestReadsAsHocon(t *testing.T) {
	file, err := os.ReadFile("testdata/hocon-0.44.0.tsv")
	assert.NilError(t, err)
	kinds := map[string]Kind{"value": Value, "text": Text, "crash": Fatal}
	n := 0
	for line := range strings.Lines(string(file)) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		text := strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(parts[0])
		got := Read(text)
		n++
		switch {
		case strings.Contains(text, "${fake_key"), strings.HasPrefix(text, `"""~`): // see Read
		case got.Kind != kinds[parts[1]]:
			t.Errorf("%q: is %s, got kind %d", text, parts[1:], got.Kind)
		case got.Kind == Value:
			var want any
			assert.NilError(t, json.Unmarshal([]byte(parts[2]), &want), text)
			var have any
			assert.NilError(t, json.Unmarshal([]byte(got.String()), &have), text)
			assert.Check(t, is.DeepEqual(have, want), text)
		}
	}
	assert.Assert(t, n > 200)
}

func TestSameIsWhatStandsThere(t *testing.T) {
	for _, text := range []string{
		"", "info", "15s", "5MB", "1883", "-1", "true", "1.5", "http://api:3001/x", "0.0.0.0:11883", "hash, topic", "5 MB", "a=b", "#x", `"a b"`,
		`"1.10"`, `"a#b"`, "{a = 1}", `[{mechanism = password_based}, {b = "x y"}]`, `{enable: false}`,
	} {
		assert.Assert(t, Read(text).Same, text)
	}
	for text, reads := range map[string]string{
		"0012345": "12345", "1.10": "1.1", "null": "null", "a//b": `"a"`, `"15s"#x`: `"15s"`, "pass#word": `"pass"`, "a b": `"ab"`, "+1": "1",
		"=b": `"b"`, "a, b=1": `"a"`, `"a" "b"`: `"ab"`, "a ": `"a"`, "1.5e3": "1500.0", "{a = b c}": `{"a":"bc"}`, "{a = 1.10}": `{"a":1.1}`,
		"[1, 007]": "[1,7]", "x fake_key=y": `"y"`, "{a = 1 # one\n}": `{"a":1}`, "{a=${?x}, b=1}": `{"b":1}`, `"é" "a"`: `"éa"`,
		`{include "x"}`: "{}", "1#": "1",
	} {
		r := Read(text)
		assert.Assert(t, r.Kind == Value && !r.Same, text)
		assert.Equal(t, r.String(), reads, text)
	}
	assert.Assert(t, !Read("é").Same && Read("é").Kind == Text, "one byte of Latin-1")
	assert.Equal(t, Read("€").Kind, Fatal)
	assert.Assert(t, Read(`"é€"`).Same)
}

func TestLeaves(t *testing.T) {
	got := map[string]string{}
	Read(`{tcp.default {enable = false, bind = "0.0.0.0:1"}, n = 007, l = [1, a], none = null}`).Leaves(func(path []string, value string) {
		got[strings.Join(path, ".")] = value
	})
	assert.DeepEqual(t, got, map[string]string{
		"tcp.default.enable": "false", "tcp.default.bind": "0.0.0.0:1", "n": "7", "l": `[1,"a"]`, "none": "null",
	})
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{"{a=1", "[1,", `"a`, "${?x}", "a=b", "include x", "{include}", "}{", "=", "{a{b", "1.5e400", `"""`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := Read(text)
		if _, isInt := r.Value.(*big.Int); isInt || r.Kind != Value {
			return
		}
		again := Read(r.String())
		assert.Equal(t, again.Kind, Value, "%q reads as %s", text, r)
	})
}
