package draw

import (
	"fmt"
	"html"
	"io"
	"maps"
	"slices"
	"strings"
)

// Sizes of the picture, in pixels. The wider columns leave room for a gate.
const (
	boxWidth   = 168
	lineHeight = 17
	columnGap  = 62
	rowGap     = 26
	margin     = 24
	titleSpace = 46
	gateWidth  = 112
)

type place struct{ x, y, height int }

func contents(counts map[string]int) []string {
	var lines []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		short := strings.TrimPrefix(kind, "NetworkSecurityGroup")
		if short == "" {
			short = "SecurityGroup"
		}
		lines = append(lines, fmt.Sprintf("%d %s", counts[kind], short))
	}
	return lines
}

// Picture writes the boxes of the lab stack, with the gate that stands behind
// everything.
func Picture(w io.Writer, boxes []Box) error {
	return SVG(w, "One update: each box waits for those on its left, and for the gate before it (3 nodes)", boxes, "G5 round trip")
}

// SVG writes the boxes from left to right in the order in which an update makes
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
			writeArrow(&b, places[from], places[box.Name], box.Gate != "")
		}
	}
	for _, box := range boxes {
		writeBox(&b, box, places[box.Name])
	}
	end := boxes[len(boxes)-1]
	p := places[end.Name]
	y := p.y + p.height + 30
	fmt.Fprintf(&b, `<path d="M%d %dV%d" stroke="#5b6472" fill="none" marker-end="url(#arrow)"/>`+"\n", p.x+boxWidth/2, p.y+p.height, y)
	writeGate(&b, last, p.x+(boxWidth-gateWidth)/2, y)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// layout puts each rank into a column, centred.
func layout(boxes []Box) (places map[string]place, width, height int) {
	columns := map[int][]Box{}
	ranks := 0
	for _, box := range boxes {
		columns[box.Rank] = append(columns[box.Rank], box)
		ranks = max(ranks, box.Rank+1)
	}
	tall := func(column []Box) int {
		total := -rowGap
		for _, box := range column {
			total += boxHeight(box) + rowGap
		}
		return total
	}
	for _, column := range columns {
		height = max(height, tall(column))
	}
	places = map[string]place{}
	x := margin
	for r := range ranks {
		if slices.ContainsFunc(columns[r], func(b Box) bool { return b.Gate != "" }) {
			x += gateWidth
		}
		y := titleSpace + (height-tall(columns[r]))/2
		for _, box := range columns[r] {
			places[box.Name] = place{x, y, boxHeight(box)}
			y += boxHeight(box) + rowGap
		}
		x += boxWidth + columnGap
	}
	return places, x - columnGap + margin, height + titleSpace + margin + 60
}

func boxHeight(b Box) int { return 34 + lineHeight*len(b.Contents) }

func writeBox(b *strings.Builder, box Box, p place) {
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" rx="7" fill="#eef4ff" stroke="#3b6fb6"/>`+"\n", p.x, p.y, boxWidth, p.height)
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="600" fill="#1d2430">%s</text>`+"\n", p.x+12, p.y+21, html.EscapeString(box.Name))
	for i, line := range box.Contents {
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="#46505f">%s</text>`+"\n", p.x+12, p.y+39+i*lineHeight, html.EscapeString(line))
	}
	if box.Gate != "" {
		writeGate(b, box.Gate, p.x-gateWidth-14, p.y+p.height/2-12)
	}
}

func writeGate(b *strings.Builder, name string, x, y int) {
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="24" rx="12" fill="#fff3d6" stroke="#c98a00"/>`+"\n", x, y, gateWidth)
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="11" text-anchor="middle" fill="#6b4a00">%s</text>`+"\n", x+gateWidth/2, y+16, html.EscapeString(name))
}

// writeArrow draws from the right side of one box to the left side of another,
// or to the gate before it.
func writeArrow(b *strings.Builder, from, to place, gate bool) {
	x1, y1 := from.x+boxWidth, from.y+from.height/2
	x2, y2 := to.x, to.y+to.height/2
	if gate {
		x2 -= gateWidth + 14
		fmt.Fprintf(b, `<path d="M%d %dH%d" stroke="#5b6472" fill="none" marker-end="url(#arrow)"/>`+"\n", to.x-14, y2, to.x)
	}
	// Straight past whatever lies between, the bend just before the end.
	turn := max(x1, x2-columnGap)
	middle := (turn + x2) / 2
	fmt.Fprintf(b, `<path d="M%d %dH%dC%d %d %d %d %d %d" stroke="#5b6472" fill="none" marker-end="url(#arrow)"/>`+"\n",
		x1, y1, turn, middle, y1, middle, y2, x2, y2)
}
