package drill

import (
	_ "embed" // the figures
	"fmt"
	"slices"
	"strings"
)

// Figures are what was counted on the real broker, by case: the cells of [realColumns].
type Figures map[string][]string

// realFigures is written by hand: a run on the real broker is rare, and its figures stay
// beside those of every later run on the stand-in.
//
//go:embed real.tsv
var realFigures string

var realColumns = []string{"real: lost", "real: missed while away", "real: reconnects", "real: p50, s"}

// Real are the figures of the real broker that belong to this version of the project.
func Real() (Figures, error) { return readFigures(realFigures) }

func readFigures(text string) (Figures, error) {
	figures := Figures{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(line, "\t")
		if len(cells) != 1+len(realColumns) {
			return nil, fmt.Errorf("reading the real broker's figures: %q has %d cells, not %d", line, len(cells), 1+len(realColumns))
		}
		if figures[cells[0]] != nil {
			return nil, fmt.Errorf("reading the real broker's figures: %s stands there twice", cells[0])
		}
		figures[cells[0]] = cells[1:]
	}
	return figures, nil
}

// of are the cells of a case, dashes where it was not run.
func (f Figures) of(name string) []string {
	if cells := f[name]; cells != nil {
		return cells
	}
	return slices.Repeat([]string{"-"}, len(realColumns))
}
