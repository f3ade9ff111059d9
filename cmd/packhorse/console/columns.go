package console

import (
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

// measure computes how many columns characters take: two for Chinese, Japanese or Korean ones, zero for
// a combining accent. Ambiguous ones, such as "…", take one in every locale.
var measure = runewidth.Condition{StrictEmojiNeutral: true}

// cut shortens text to at most columns columns. If it drops anything, the result ends in tail.
func cut(text string, columns int, tail string) string { return measure.Truncate(text, columns, tail) }

// gap separates two columns of a grid.
const gap = "  "

// grid is a table whose columns fit their widest cell. text/tabwriter counts characters instead of
// columns, so wide ones would misalign the rest of their row.
type grid struct{ rows [][]string }

func (g *grid) row(cells ...string) { g.rows = append(g.rows, cells) }

// WriteTo writes the rows. It does not pad the last cell of a row.
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
