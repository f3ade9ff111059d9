package mde

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// errNotJSON means that the response's outer structure is not JSON. The values inside are checked
// one by one when they are decoded.
var errNotJSON = errors.New("the answer is not valid JSON")

// scanner splits JSON into its values as the bytes arrive, without decoding them. encoding/json's
// Decoder would hold a whole value of any length, and could not find the next value after an
// invalid one; here a bad row affects only itself.
type scanner struct {
	in   *bufio.Reader
	kept []byte // the start of the last value read; the next value overwrites it
}

// scanBytes is the size of the scanner's buffer.
const scanBytes = 32 << 10

func newScanner(r io.Reader) *scanner { return &scanner{in: bufio.NewReaderSize(r, scanBytes)} }

// value reads one value and keeps its first bytesMax bytes. whole is false if there were more.
func (s *scanner) value(bytesMax int) (whole bool, err error) {
	c, err := s.next()
	if err != nil {
		return false, err
	}
	s.kept, whole = s.kept[:0], true
	depth, text, escaped := 0, false, false
	for ; ; c, err = s.in.ReadByte() {
		if err != nil {
			return false, err
		}
		if !text && depth == 0 && ends(c) { // a number or literal ends before the next token
			return whole, s.in.UnreadByte()
		}
		whole = s.keep([]byte{c}, bytesMax) && whole
		if text && !escaped && c != '"' && c != '\\' {
			whole = s.plain(bytesMax) && whole
			continue
		}
		switch {
		case text:
			text = escaped || c != '"'
			escaped = !escaped && c == '\\'
		case c == '"':
			text = true
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			depth--
		}
		if !text && depth == 0 && (c == '"' || c == '}' || c == ']') {
			return whole, nil
		}
	}
}

// plain consumes the buffered text up to its next quote or escape: most of a page is such text.
func (s *scanner) plain(bytesMax int) (whole bool) {
	some, _ := s.in.Peek(s.in.Buffered()) // buffered bytes never fail
	if i := bytes.IndexByte(some, '"'); i >= 0 {
		some = some[:i]
	}
	if i := bytes.IndexByte(some, '\\'); i >= 0 {
		some = some[:i]
	}
	whole = s.keep(some, bytesMax)
	_, _ = s.in.Discard(len(some)) // buffered bytes never fail
	return whole
}

// keep appends to the value and reports whether all of it fit.
func (s *scanner) keep(some []byte, bytesMax int) (all bool) {
	room := bytesMax - len(s.kept)
	s.kept = append(s.kept, some[:min(len(some), room)]...)
	return len(some) <= room
}

// ends reports whether c ends a number or a literal.
func ends(c byte) bool { return c == ',' || c == ':' || c == '}' || c == ']' || isSpace(c) }

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// each reads the comma-separated items between opening and closing. item reads one of them.
func (s *scanner) each(opening, closing byte, item func() error) error {
	err := s.expect(opening)
	if err != nil {
		return err
	}
	c, err := s.next()
	if err != nil || c == closing {
		return err
	}
	err = s.in.UnreadByte()
	for err == nil {
		err = item()
		if err != nil {
			return err
		}
		c, err = s.next()
		switch {
		case err != nil:
			return err
		case c == closing:
			return nil
		case c != ',':
			return errNotJSON
		}
	}
	return err
}

// expect reads one character and fails unless it is want.
func (s *scanner) expect(want byte) error {
	c, err := s.next()
	if err == nil && c != want {
		err = errNotJSON
	}
	return err
}

// next returns the next character that is not white space.
func (s *scanner) next() (byte, error) {
	for {
		c, err := s.in.ReadByte()
		if err != nil || !isSpace(c) {
			return c, err
		}
	}
}
