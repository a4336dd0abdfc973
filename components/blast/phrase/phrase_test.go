package phrase_test

import (
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

func TestPhrases(t *testing.T) {
	ten := strings.Fields("a b c d e f g h i j")
	for got, want := range map[string]string{
		phrase.Count(0, "node"):                 "0 nodes",
		phrase.Count(1, "entry"):                "1 entry",
		phrase.Count(2, "entry"):                "2 entries",
		phrase.InTurn(1, "part"):                "1 part",
		phrase.InTurn(3, "part"):                "3 parts, one after another,",
		phrase.Verb(true, "go"):                 "goes",
		phrase.Verb(true, "grow"):               "grows",
		phrase.Verb(false, "shrink"):            "shrink",
		phrase.List(ten[:9]):                    "a, b, c, d, e, f, g, h, i",
		phrase.List(ten):                        "a, b, c, ... j",
		phrase.Sequence(ten):                    "a, then b, then c, ... then j",
		phrase.And(ten[:1]):                     "a",
		phrase.And(ten[:3]):                     "a, b and c",
		"x" + phrase.Bracket(""):                "x",
		"y" + phrase.Bracket("z"):               "y (z)",
		phrase.Capital("its port"):              "Its port",
		phrase.Fraction(0, 3):                   "none",
		phrase.Fraction(1, 3):                   "1/3",
		phrase.Fraction(2, 4):                   "half",
		phrase.Fraction(2, 5):                   "2/5",
		phrase.Fraction(5, 3):                   "all",
		phrase.Duration(119 * time.Second):      "119 s",
		phrase.Duration(120 * time.Second):      "2 min",
		phrase.Duration(150 * time.Second):      "2 min 30 s",
		phrase.Duration(400 * time.Millisecond): "0 s",
	} {
		assert.Equal(t, got, want)
	}
}
