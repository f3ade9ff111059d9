package investigation_test

import (
	"strings"
	"testing"
	"unicode"

	"packhorse/internal/investigation"
)

// TestFold: for every letter, Fold makes equal what strings.EqualFold considers equal, and nothing else.
func TestFold(t *testing.T) {
	t.Parallel()
	from := map[string]rune{}
	for r := range rune(unicode.MaxRune + 1) {
		if r >= 0xD800 && r < 0xE000 { // not a character
			continue
		}
		folded := investigation.Fold(string(r))
		if !strings.EqualFold(folded, string(r)) {
			t.Errorf("%q became %q", r, folded)
		}
		if other, known := from[folded]; known && !strings.EqualFold(string(other), string(r)) {
			t.Errorf("%q and %q became the same", r, other)
		}
		from[folded] = r
		if next := unicode.SimpleFold(r); investigation.Fold(string(next)) != folded {
			t.Errorf("%q and %q did not become the same", r, next)
		}
	}
	for _, s := range []string{"fin-ws-17.contoso.com", "", "\x80", "o'brien 50%_"} {
		if got := investigation.Fold(strings.ToUpper(s)); got != strings.ToValidUTF8(s, "\uFFFD") {
			t.Errorf("%q became %q", s, got)
		}
	}
}
