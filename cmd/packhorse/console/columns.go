package console

import (
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

// measure knows how many columns letters take: two for those of Chinese, Japanese or Korean, none for
// a combining accent. What is ambiguous, such as "…", takes one, whatever the locale.
var measure = runewidth.Condition{StrictEmojiNeutral: true}

// cut shortens text to a number of columns. If something is left out, tail stands at the end.
func cut(text string, columns int, tail string) string { return measure.Truncate(text, columns, tail) }

// gap is what stands between two columns of a grid.
const gap = "  "

// grid is a table whose columns are as wide as what stands in them. (text/tabwriter counts letters,
// and wide ones would push the columns after them aside.)
type grid struct{ rows [][]string }

func (g *grid) row(cells ...string) { g.rows = append(g.rows, cells) }

// WriteTo writes the rows. The last cell of each is not padded.
func (g *grid) WriteTo(out io.Writer) (int64, error) {
	var widths []int
	for _, row := range g.rows {
		for i, cell := range row[:len(row)-1] {
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
