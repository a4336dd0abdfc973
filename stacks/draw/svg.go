package draw

import (
	"fmt"
	"html"
	"io"
	"maps"
	"slices"
	"strings"
)

// Sizes of the picture, in pixels. It is narrow enough to be read in a page: a row per rank, from top to bottom.
const (
	boxWidth   = 160
	lineHeight = 17
	columnGap  = 22
	rowGap     = 36
	margin     = 24
	titleSpace = 46
	gateWidth  = 124
	gateHeight = 24
	gateGap    = 14 // between a gate and what is behind it, another gate or the box
	gateStep   = gateHeight + gateGap
)

type place struct{ x, y, height int }

func contents(counts map[string]int) []string {
	var lines []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		lines = append(lines, fmt.Sprintf("%d %s", counts[kind], ownName(kind, counts)))
	}
	return lines
}

// ownName leaves out what a type's name repeats of another one's in its box, which it is a part of.
func ownName(kind string, beside map[string]int) string {
	for whole := range beside {
		if part, ok := strings.CutPrefix(kind, whole); ok && part != "" {
			return strings.TrimPrefix(part, "s") // of a plural
		}
	}
	return kind
}

// Picture writes the boxes of the lab stack, with the gate that stands behind
// everything.
func Picture(w io.Writer, boxes []Box) error {
	return SVG(w, "One update of the lab stack (3 nodes): a box waits for those above it and for the gate before it", boxes, "G5 round trip")
}

// SVG writes the boxes from top to bottom in the order in which an update makes
// them. Last is the gate behind everything, checked at the end of every update.
func SVG(w io.Writer, title string, boxes []Box, last string) error {
	places, width, height := layout(boxes)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" `+
		`font-family="system-ui, sans-serif" font-size="12">`+"\n", width, height, width, height)
	b.WriteString(`<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">` +
		`<path d="M0 0L8 4L0 8z" fill="#5b6472"/></marker></defs>` + "\n")
	b.WriteString(`<rect width="100%" height="100%" fill="#ffffff"/>` + "\n")
	fmt.Fprintf(&b, `<text x="%d" y="28" font-size="15" font-weight="600" fill="#1d2430">%s</text>`+"\n", margin, html.EscapeString(title))
	for _, box := range boxes {
		for _, from := range box.After {
			writeArrow(&b, places[from], places[box.Name], len(box.Gates))
		}
	}
	for _, box := range boxes {
		writeBox(&b, box, places[box.Name])
	}
	p := places[boxes[len(boxes)-1].Name]
	middle, bottom := p.x+boxWidth/2, p.y+p.height
	writeStep(&b, middle, bottom)
	writeGate(&b, last, middle-gateWidth/2, bottom+gateGap)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// layout puts each rank into a row, centred.
func layout(boxes []Box) (places map[string]place, width, height int) {
	rows := map[int][]Box{}
	ranks := 0
	for _, box := range boxes {
		rows[box.Rank] = append(rows[box.Rank], box)
		ranks = max(ranks, box.Rank+1)
	}
	wide := func(row []Box) int { return len(row)*(boxWidth+columnGap) - columnGap }
	for _, row := range rows {
		width = max(width, wide(row))
	}
	places = map[string]place{}
	y := titleSpace
	for r := range ranks {
		tall, gates := 0, 0
		for _, box := range rows[r] {
			gates = max(gates, len(box.Gates))
		}
		y += gates * gateStep
		x := margin + (width-wide(rows[r]))/2
		for _, box := range rows[r] {
			places[box.Name] = place{x, y, boxHeight(box)}
			tall = max(tall, boxHeight(box))
			x += boxWidth + columnGap
		}
		y += tall + rowGap
	}
	return places, width + 2*margin, y - rowGap + gateGap + gateHeight + margin
}

func boxHeight(b Box) int { return 34 + lineHeight*len(b.Contents) }

func writeBox(b *strings.Builder, box Box, p place) {
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" rx="7" fill="#eef4ff" stroke="#3b6fb6"/>`+"\n", p.x, p.y, boxWidth, p.height)
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="600" fill="#1d2430">%s</text>`+"\n", p.x+12, p.y+21, html.EscapeString(box.Name))
	for i, line := range box.Contents {
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="#46505f">%s</text>`+"\n", p.x+12, p.y+39+i*lineHeight, html.EscapeString(line))
	}
	for i, gate := range box.Gates {
		top := p.y - (len(box.Gates)-i)*gateStep
		writeGate(b, gate, p.x+(boxWidth-gateWidth)/2, top)
		writeStep(b, p.x+boxWidth/2, top+gateHeight)
	}
}

func writeGate(b *strings.Builder, name string, x, y int) {
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" rx="12" fill="#fff3d6" stroke="#c98a00"/>`+"\n", x, y, gateWidth, gateHeight)
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="11" text-anchor="middle" fill="#6b4a00">%s</text>`+"\n", x+gateWidth/2, y+16, html.EscapeString(name))
}

// writeStep draws the short arrow from a gate to what is behind it, or to the last gate.
func writeStep(b *strings.Builder, x, y int) {
	fmt.Fprintf(b, `<path d="M%d %dV%d" stroke="#5b6472" fill="none" marker-end="url(#arrow)"/>`+"\n", x, y, y+gateGap)
}

// writeArrow draws from the bottom of one box to the top of another, or of the
// first gate before it.
func writeArrow(b *strings.Builder, from, to place, gates int) {
	x1, y1 := from.x+boxWidth/2, from.y+from.height
	x2, y2 := to.x+boxWidth/2, to.y-gates*gateStep
	// Straight past whatever lies between, the bend just before the end.
	turn := max(y1, y2-rowGap)
	middle := (turn + y2) / 2
	fmt.Fprintf(b, `<path d="M%d %dV%dC%d %d %d %d %d %d" stroke="#5b6472" fill="none" marker-end="url(#arrow)"/>`+"\n",
		x1, y1, turn, x1, middle, x2, middle, x2, y2)
}
