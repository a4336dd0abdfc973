package blast

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

// PageLimit is how long a page gets, in bytes. GitHub takes comments of 65,536
// characters.
const PageLimit = 60_000

// Page is a preview as a comment of a pull request.
type Page struct {
	Stack string
	// Report is nil when the preview did not come to a plan.
	Report *Report
	// Refusals are guards that fired.
	Refusals []Refusal
	// Drift tells what differs where nothing should, "" without a drift.
	Drift string
	// Errors are why the preview failed, beside the guards.
	Errors []string
	// Warnings are what the preview's checks remarked.
	Warnings []string
	// Diff is the plan, folded under the report: what each resource differs in.
	Diff []Entry
}

// Refusal is a guard that fired.
type Refusal struct {
	Guard string `json:"guard"`
	// Allow is the setting that would let it pass, "" when none does.
	Allow   string `json:"allow,omitempty"`
	Message string `json:"message"`
}

// Entry is one resource of a plan: its operation, a line that names it, and what
// differs.
type Entry struct {
	Op    string
	Lines []string
}

// Marker is the first line of a page. It cannot be seen, and a workflow finds its
// own comment by it.
func Marker(stack string) string {
	return "<!-- emqx-oci:preview:" + strings.ReplaceAll(stack, "--", "-") + " -->"
}

// Markdown is the report alone as a page.
func (r Report) Markdown() string { return Page{Stack: r.Stack, Report: &r}.Markdown() }

// Markdown writes the page, for GitHub and GitLab alike, at most [PageLimit] long.
func (p Page) Markdown() string {
	var b strings.Builder
	b.WriteString(Marker(p.Stack) + "\n")
	b.WriteString("### EMQX `" + code1(p.Stack) + "`: " + prose(p.title()) + "\n\n")
	p.refusals(&b)
	quote(&b, p.Drift)
	quote(&b, strings.Join(p.Errors, "\n"))
	p.warnings(&b)
	if p.Report != nil && len(p.Report.Lines) > 0 {
		if len(p.Errors) > 0 {
			b.WriteString("What the preview had seen when it failed:\n\n")
		} else if p.Drift != "" {
			b.WriteString("What an update would do about it:\n\n")
		}
		b.WriteString("| | What happens |\n| :-- | :-- |\n")
		for _, l := range p.Report.Lines {
			fmt.Fprintf(&b, "| %s | %s |\n", labels[l.Severity], row(l))
		}
		b.WriteString("\n" + estimateText(p.Report.Estimate) + "\n\n")
	}
	const tail = 300 // what closes the page
	return p.fold(shorten(b.String(), PageLimit-tail))
}

var labels = map[Severity]string{
	DataLoss: "🔴&nbsp;**data&nbsp;loss**", Interruption: "🟠&nbsp;**interruption**", Notice: "🔵&nbsp;notice", None: "⚪&nbsp;no&nbsp;effect",
}

func (p Page) title() string {
	switch {
	case len(p.Refusals) > 0:
		text := fmt.Sprintf("refused by %s", phrase.Count(len(p.Refusals), "guard"))
		if p.Report != nil {
			text += "; " + p.Report.Headline
		}
		return text
	case p.Drift != "" && p.Report != nil:
		return "drift; putting it right: " + p.Report.Headline
	case len(p.Errors) > 0 || p.Report == nil:
		return "the preview failed"
	}
	return p.Report.Headline
}

func (p Page) refusals(b *strings.Builder) {
	if len(p.Refusals) == 0 {
		return
	}
	b.WriteString("> [!CAUTION]\n> An update stops here, before it touches anything:\n>\n")
	for _, r := range p.Refusals {
		text := prose(r.Message)
		if r.Allow != "" && !strings.Contains(r.Message, r.Allow) {
			text += ". Allowed by `" + code1(r.Allow) + ": true`"
		}
		fmt.Fprintf(b, "> - **%s**: %s\n", prose(r.Guard), text)
	}
	b.WriteString("\n")
}

func quote(b *strings.Builder, text string) {
	if text == "" {
		return
	}
	f := fence(text)
	b.WriteString(f + "text\n" + printable(text) + "\n" + f + "\n\n")
}

func (p Page) warnings(b *strings.Builder) {
	for _, w := range p.Warnings {
		b.WriteString("> [!WARNING]\n> " + prose(w) + "\n\n")
	}
}

func row(l Line) string {
	text := "**" + prose(l.Text) + "**"
	if l.Severity == None {
		text = prose(l.Text)
	}
	for _, d := range l.Details {
		text += "<br>" + prose(d)
	}
	return text
}

func estimateText(e Estimate) string {
	if len(e.Parts) == 0 {
		return ""
	}
	head, parts, _ := strings.Cut(e.Sum(), ": ")
	return "⏱ **" + prose(head) + "**: " + prose(parts) + "."
}

// fold puts the plan under the page, as much of it as there is room for.
func (p Page) fold(page string) string {
	if len(p.Diff) == 0 {
		return page
	}
	var body strings.Builder
	longest := 2
	for _, e := range p.Diff {
		for _, l := range e.Lines {
			longest = max(longest, ticks(l))
		}
	}
	f := strings.Repeat("`", longest+1)
	head := "<details>\n<summary>Plan: " + p.tally() + "</summary>\n\n" + f + "diff\n"
	foot := f + "\n\n</details>\n"
	room := PageLimit - len(page) - len(head) - len(foot) - 200
	left := 0
	// The engine plans side by side; a page that is updated should differ only where the plan does.
	diff := slices.SortedStableFunc(slices.Values(p.Diff), func(a, b Entry) int { return strings.Compare(first(a.Lines), first(b.Lines)) })
	for i, e := range diff {
		text := entry(e)
		if body.Len()+len(text) > room {
			// One long resource must not hide that there are others.
			if text = mark(e.Op) + " " + printable(first(e.Lines)) + "   (too long to show)\n"; body.Len()+len(text) > room {
				left = len(diff) - i
				break
			}
		}
		body.WriteString(text)
	}
	note := ""
	if left > 0 {
		note = fmt.Sprintf("\n%s left out, for a comment holds no more: run `emqx-oci preview %s`.\n", phrase.Count(left, "resource"), code1(p.Stack))
	}
	return page + head + body.String() + foot + note
}

func (p Page) tally() string {
	n := map[string]int{}
	for _, e := range p.Diff {
		n[e.Op]++
	}
	var parts []string
	for _, op := range []string{Create, Update, Replace, Delete, Import} {
		if n[op] > 0 {
			parts = append(parts, fmt.Sprintf("%d to %s", n[op], op))
		}
	}
	return strings.Join(parts, ", ")
}

// mark is the sign that a diff is colored by.
func mark(op string) string {
	switch op {
	case Create, Import:
		return "+"
	case Delete:
		return "-"
	}
	return "!"
}

func entry(e Entry) string {
	var b strings.Builder
	for i, l := range e.Lines {
		l = printable(strings.TrimRight(l, " "))
		if i == 0 {
			b.WriteString(mark(e.Op) + " " + strings.TrimLeft(l, " +-~=<") + "\n")
			continue
		}
		// The sign of a line within a text goes to the front, where it is colored.
		bare := strings.TrimLeft(l, " ")
		if at := len(l) - len(bare); at > 0 && (bare == "+" || bare == "-" || strings.HasPrefix(bare, "+ ") || strings.HasPrefix(bare, "- ")) {
			l = bare[:1] + l[1:at] + " " + bare[1:]
		}
		b.WriteString(strings.TrimRight(l, " ") + "\n")
	}
	return b.String()
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.TrimLeft(lines[0], " +-~=<")
}

var (
	escapes = strings.NewReplacer("->", "→", "&", "&amp;", "<", "&lt;", ">", "&gt;", `\`, `\\`, "|", `\|`,
		"*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "~", `\~`, "$", `\$`, "!", `\!`)
	// A mention would call somebody, the number of an issue link it.
	callless = regexp.MustCompile(`(^|[^0-9A-Za-z&])([@#])`)
)

// prose escapes text for a table's cell and outside: no HTML, no link, no mention,
// no emphasis; what stands in backticks stays code.
func prose(s string) string {
	s = strings.Join(strings.Fields(printable(s)), " ")
	var b strings.Builder
	for i, part := range strings.Split(s, "`") {
		if i%2 == 1 && strings.Count(s, "`")%2 == 0 {
			b.WriteString("`" + strings.ReplaceAll(part, "|", `\|`) + "`")
			continue
		}
		b.WriteString(callless.ReplaceAllString(escapes.Replace(part), "$1$2\u200b"))
	}
	return b.String()
}

// code1 is text between backticks.
func code1(s string) string {
	return strings.NewReplacer("`", "'", "|", `\|`, "\n", " ").Replace(printable(s))
}

// printable takes away what would move a cursor or hide text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return '?'
		}
		return r
	}, s)
}

// ticks is the longest run of backticks.
func ticks(s string) int {
	longest, run := 0, 0
	for _, r := range s {
		if r == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	return longest
}

func fence(text string) string { return strings.Repeat("`", max(3, ticks(text)+1)) }

// shorten cuts a page between two lines.
func shorten(page string, limit int) string {
	if len(page) <= limit {
		return page
	}
	cut := strings.LastIndexByte(page[:limit], '\n')
	page = page[:max(cut, 0)]
	if strings.Count(page, "\n```")%2 == 1 {
		page += "\n```"
	}
	return page + "\n\n(cut here: a comment holds no more)\n\n"
}
