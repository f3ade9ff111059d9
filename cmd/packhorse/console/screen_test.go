package console_test

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"
)

// screen is a fake terminal that records every line written and not erased. The last ones are the bars.
type screen struct {
	mu            sync.Mutex // guards the fields below
	width, height int
	pending       bytes.Buffer
	lines         []string
	bars          int // of the lines; the next frame erases them
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.Write(p)
}

func (s *screen) ReadFrom(r io.Reader) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.ReadFrom(r)
}

func (s *screen) IsTerminal() bool { return true }

func (s *screen) GetTermSize() (int, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.width, s.height, nil
}

// resize changes the width.
func (s *screen) resize(width int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.width = width
}

// Flush ends a frame. A number of bars below 1 erases nothing, as on a real terminal.
func (s *screen) Flush(bars int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = s.lines[:len(s.lines)-s.bars]
	for line := range strings.Lines(s.pending.String()) {
		s.lines = append(s.lines, strings.TrimRight(line, " \n"))
	}
	s.pending.Reset()
	s.bars = max(0, bars)
	return nil
}

// shows advances the clock of a synctest bubble until the bars are redrawn, and returns the screen.
func (s *screen) shows() (scrolled, bars []string) {
	time.Sleep(time.Second)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	at := len(s.lines) - s.bars
	return slices.Clone(s.lines[:at]), slices.Clone(s.lines[at:])
}

// text returns the whole screen under a caption.
func (s *screen) text(caption string) string {
	scrolled, bars := s.shows()
	return "== " + caption + "\n" + strings.Join(append(scrolled, bars...), "\n") + "\n"
}
