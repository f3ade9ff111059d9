package console

import (
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

// measure counts the columns of a terminal that text takes: two for a Chinese, Japanese or Korean
// character, none for a combining accent. Ambiguous characters, such as "…", count as one in any locale.
var measure = runewidth.Condition{StrictEmojiNeutral: true}

// cut shortens text to fit columns. If it leaves something out, the result ends with tail.
func cut(text string, columns int, tail string) string { return measure.Truncate(text, columns, tail) }

// gap separates the columns of a grid.
const gap = "  "

// grid is a table with aligned columns. Unlike text/tabwriter, which counts characters, it also aligns
// wide ones.
type grid struct{ rows [][]string }

func (g *grid) row(cells ...string) { g.rows = append(g.rows, cells) }

// WriteTo writes the rows, with no spaces after the last cell.
func (g *grid) WriteTo(out io.Writer) (int64, error) {
	var widths []int
	for _, row := range g.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], measure.StringWidth(cell))
		}
	}
	var text strings.Builder
	for _, row := range g.rows {
		for i, cell := range row {
			text.WriteString(cell)
			if i < len(row)-1 {
				text.WriteString(strings.Repeat(" ", widths[i]-measure.StringWidth(cell)) + gap)
			}
		}
		text.WriteString("\n")
	}
	n, err := io.WriteString(out, text.String())
	return int64(n), err
}
