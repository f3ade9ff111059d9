package investigation

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fold returns the same text for exactly those texts that strings.EqualFold considers equal, so that an index
// can search regardless of case. Lower-case ASCII stays as it is.
func Fold(s string) string { return strings.Map(foldRune, s) }

// foldRune returns one letter for all cases of a letter, a lower-case one if there is one.
func foldRune(r rune) rune {
	switch {
	case 'A' <= r && r <= 'Z':
		return r + 'a' - 'A'
	case r < utf8.RuneSelf: // k and s have cases beyond ASCII, but are the least of them
		return r
	}
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		isLower, isBetter := unicode.IsLower(next), unicode.IsLower(least)
		if isLower && !isBetter || isLower == isBetter && next < least {
			least = next
		}
	}
	return least
}
