package console_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"packhorse/cmd/packhorse/console"
)

// TestTextWriter: text passes unchanged, in whatever pieces it comes; nothing else reaches the terminal.
func TestTextWriter(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "a,b\r\nc\td\n": "", "日本語 é 🐎\n": "", "\uFEFFwith a mark\n": "",
		"good\n\x1b[2Jbad": "good\n", "a\x00b": "a", "a\x9bb": "a", "a\u009b": "a", "\xff\xfea\x00": "", "a\u202eb": "a",
		"cut \xe6\x97": "cut ", "a\x7f": "a", "a\x08": "a",
	} {
		isText := want == "" && !strings.HasPrefix(text, "\xff")
		for _, size := range []int{1, 2, 3, 1000} {
			var out bytes.Buffer
			w := console.NewTextWriter(&out)
			var err error
			for rest := text; rest != "" && err == nil; rest = rest[min(size, len(rest)):] {
				_, err = w.Write([]byte(rest[:min(size, len(rest))]))
			}
			if err == nil {
				err = w.Close()
			}
			if isText != (err == nil) || err != nil && !errors.Is(err, console.ErrNotText) {
				t.Errorf("%q in pieces of %d: %v", text, size, err)
			}
			if isText && out.String() != text || !isText && !strings.HasPrefix(want, out.String()) {
				t.Errorf("%q in pieces of %d: wrote %q", text, size, out.String())
			}
			if _, again := w.Write([]byte("x")); err != nil && errors.Is(err, console.ErrNotText) && again == nil &&
				!strings.HasPrefix(text, "cut") {
				t.Errorf("%q: it goes on writing", text)
			}
		}
	}
	broken := errors.New("broken")
	if _, err := console.NewTextWriter(gone{broken}).Write([]byte("x")); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// gone is a terminal that is gone.
type gone struct{ err error }

func (f gone) Write([]byte) (int, error) { return 0, f.err }
