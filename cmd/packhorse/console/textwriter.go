package console

import (
	"io"
	"unicode/utf8"
)

// ErrNotText reports bytes that are not plain text. They could control a terminal.
var ErrNotText error = notText{}

type notText struct{}

func (notText) Error() string { return "this is not plain text, and could control the terminal" }

// Advice says how to write it anyway.
func (notText) Advice() string { return "redirect it to a file (> FILE), or pass --force" }

// TextWriter passes plain UTF-8 text on to a terminal. It refuses everything else with [ErrNotText], and then
// writes nothing more. [TextWriter.Close] MUST be called at the end.
type TextWriter struct {
	out  io.Writer
	held []byte // the beginning of a character
	err  error
}

// NewTextWriter returns a writer that writes to out.
func NewTextWriter(out io.Writer) *TextWriter { return &TextWriter{out: out} }

// Write implements io.Writer.
func (w *TextWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	text := append(w.held, p...)
	good := 0
	for good < len(text) && utf8.FullRune(text[good:]) {
		r, size := utf8.DecodeRune(text[good:])
		if r == utf8.RuneError && size == 1 || hidden(r) && r != '\n' && r != '\t' && r != '\r' && r != '\uFEFF' {
			w.err = ErrNotText
			return 0, w.err
		}
		good += size
	}
	_, w.err = w.out.Write(text[:good])
	w.held = append([]byte(nil), text[good:]...)
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// Close reports text that ends inside a character. It does not close the terminal.
func (w *TextWriter) Close() error {
	if w.err == nil && len(w.held) > 0 {
		return ErrNotText
	}
	return nil
}
