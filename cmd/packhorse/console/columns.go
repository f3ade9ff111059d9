package console

import (
	"io"
	"strings"

	"github.com/mattn/go-runewidth"

	"packhorse/internal/investigation"
)

// measure counts the columns of a terminal that text takes: two for a Chinese, Japanese or Korean
// character, none for a combining accent. Ambiguous characters, such as "…", count as one in any locale.
var measure = runewidth.Condition{StrictEmojiNeutral: true}

// cut shortens text to fit columns. If it leaves something out, the result ends with tail.
func cut(text string, columns int, tail string) string { return measure.Truncate(text, columns, tail) }

// Minute is the layout of a time in a table. Tables show UTC.
const Minute = "2006-01-02 15:04"

// Host names the action's machine: by its DNS name or, without one, by the start of its id.
func Host(a investigation.Action) string { return host(a) }

// gap separates the columns of a grid.
const gap = "  "

// Grid is a table with aligned columns. Unlike text/tabwriter, which counts characters, it also aligns
// wide ones. Text MUST be clean. The zero Grid has no limit.
type Grid struct {
	Width  int   // the most columns a row may take; 0 means no limit
	Shrink []int // the cells that are shortened to fit, by index; no other cell is ever shortened

	rows [][]string
}

// shrunkMin is the least that is left of a shortened cell. Rows are wider than asked for if that does not
// suffice.
const shrunkMin = 6

// Row adds a row of at least two cells.
func (g *Grid) Row(cells ...string) { g.rows = append(g.rows, cells) }

// Line adds a line of text below the last row. It is cut to the width, and does not widen any column.
func (g *Grid) Line(text string) { g.rows = append(g.rows, []string{text}) }

// WriteTo writes the rows, with no spaces after the last cell.
func (g *Grid) WriteTo(out io.Writer) (int64, error) {
	widths := g.widths()
	var text strings.Builder
	for _, row := range g.rows {
		line := ""
		if len(row) == 1 {
			text.WriteString(strings.TrimRight(g.cut(row[0]), " ") + "\n")
			continue
		}
		for i, cell := range row {
			cell = cut(cell, widths[i], "…")
			line += cell + strings.Repeat(" ", widths[i]-measure.StringWidth(cell)) + gap
		}
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	n, err := io.WriteString(out, text.String())
	return int64(n), err
}

// cut shortens text to the width.
func (g *Grid) cut(text string) string {
	if g.Width == 0 {
		return text
	}
	return cut(text, g.Width, "…")
}

// fits reports whether every row fits width columns as it is.
func (g *Grid) fits(width int) bool {
	sum := -len(gap)
	for _, n := range g.widths() {
		sum += n + len(gap)
	}
	return sum <= width
}

// widths returns how many columns each cell of a row takes: the widest shrinkable one gives way first.
func (g *Grid) widths() []int {
	var widths []int
	for _, row := range g.rows {
		if len(row) == 1 {
			continue
		}
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], measure.StringWidth(cell))
		}
	}
	excess := -g.Width - len(gap)
	for _, width := range widths {
		excess += width + len(gap)
	}
	for ; g.Width > 0 && excess > 0; excess-- {
		widest := -1
		for _, i := range g.Shrink {
			if i < len(widths) && widths[i] > shrunkMin && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

// Cut shortens clean text to fit columns.
func Cut(text string, columns int) string { return cut(text, columns, "…") }
