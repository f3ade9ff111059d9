package console

import (
	"io"
	"sync/atomic"

	"github.com/vbauerster/cupwriter"
	"github.com/vbauerster/mpb/v8"
)

// fitted is a terminal on which mpb draws at most as many rows as fit. mpb on its own loses count when
// bars are cut off at the top, and from then on draws each frame below the previous one.
type fitted struct {
	mpb.ConsoleWriter

	columns atomic.Int64 // of the terminal; 0 before the first frame
	height  int          // of the terminal; mpb asks for the size before it draws a frame
	rows    [][]byte     // of the frame that is being drawn
}

// onTerminal returns the console of a terminal.
func onTerminal(out io.Writer) *fitted { return &fitted{ConsoleWriter: cupwriter.New(out, false)} }

// whole returns a line that does not wrap: what does not fit is cut off, and with it the colors.
func (f *fitted) whole(line string) string {
	width := int(f.columns.Load())
	if width == 0 || columns(line) <= width {
		return line
	}
	return cut(plain(line), width, "…")
}

// rowsMax is the height that mpb is told: more than all bars together.
const rowsMax = 1 << 10

// GetTermSize returns the width of the terminal, and a height in which every row fits. The last column
// stays empty, because some terminals wrap a line that fills it.
func (f *fitted) GetTermSize() (width, height int, err error) {
	width, f.height, err = f.ConsoleWriter.GetTermSize()
	f.columns.Store(int64(width))
	return max(width-1, 1), rowsMax, err
}

// ReadFrom takes one row of the frame.
func (f *fitted) ReadFrom(r io.Reader) (int64, error) {
	row, err := io.ReadAll(r)
	f.rows = append(f.rows, row)
	return int64(len(row)), err
}

// Flush draws the frame. It leaves one line for the cursor, and if that is too little for all rows, it
// draws the lowest.
func (f *fitted) Flush(int) error {
	rows := f.rows[max(0, len(f.rows)-max(f.height-1, 0)):]
	f.rows = nil
	for _, row := range rows {
		_, err := f.Write(row)
		if err != nil {
			return err
		}
	}
	return f.ConsoleWriter.Flush(len(rows))
}
