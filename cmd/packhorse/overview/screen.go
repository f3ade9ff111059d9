package overview

import (
	"io"
	"strings"

	"packhorse/cmd/packhorse/console"
)

// Codes of a terminal (ECMA-48, and xterm's alternate screen).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the alternate screen, without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// Screen redraws text on the alternate screen of a terminal. It writes each frame over the last one without clearing it
// first, so that nothing flickers. It MUST be closed.
type Screen struct{ out io.Writer }

// NewScreen enters the alternate screen.
func NewScreen(out io.Writer) (*Screen, error) {
	_, err := io.WriteString(out, enterScreen)
	return &Screen{out}, err
}

// Draw shows the lines of text that fit, and the last line below them in any case.
func (s *Screen) Draw(text, last string, width, height int) error {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	room := max(height-2, 0)
	if len(lines) > room {
		lines = lines[:room]
	}
	var frame strings.Builder
	frame.WriteString(home)
	for _, line := range append(lines, "", last) {
		if line != "" {
			line = console.Cut(line, width)
		}
		frame.WriteString(line + clearLine + "\r\n") // raw mode does not return the carriage
	}
	text = strings.TrimSuffix(frame.String(), "\r\n") + clearBelow
	_, err := io.WriteString(s.out, text)
	return err
}

// Close restores the screen from before.
func (s *Screen) Close() error {
	_, err := io.WriteString(s.out, leaveScreen)
	return err
}
