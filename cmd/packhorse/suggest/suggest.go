// Package suggest guesses what somebody meant who mistyped a word from a list.
package suggest

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// distanceMax is the most characters that may be wrong, missing or too many in a guess.
const distanceMax = 2

// prefixMin is the shortest beginning of a word that stands for all of it.
const prefixMin = 3

// Word returns the choice that word most likely stands for, or an empty string if none is close. A word of
// which less than half is right is not close to anything, but the beginning of one is close to all of it.
func Word(word string, choices []string) string {
	best, distance := "", distanceMax+1
	given := strings.ToLower(word)
	for _, choice := range choices {
		lower := strings.ToLower(choice)
		d := levenshtein.ComputeDistance(given, lower)
		short, long := given, lower
		if len(short) > len(long) {
			short, long = long, short
		}
		if len(short) >= prefixMin && strings.HasPrefix(long, short) {
			d = min(d, distanceMax)
		}
		if d < distance && 2*d <= len(lower) {
			best, distance = choice, d
		}
	}
	return best
}

// Question returns the guess as the end of a message, such as ": did you mean ready?", or an empty string.
// prefix comes before the guess.
func Question(word, prefix string, choices []string) string {
	guess := Word(word, choices)
	if guess == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %s%s?", prefix, guess)
}
