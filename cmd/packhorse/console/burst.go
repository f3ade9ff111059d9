package console

import (
	"fmt"
	"slices"
	"strings"
)

// fewMax is how many actions seen at once each get a line of their own. Of more, only numbers are shown:
// a first sweep may find thousands.
const fewMax = 10

// burst collects what is seen at once.
type burst struct {
	seen  []sighting
	place map[string]int // of an action in seen
}

// sighting is an action in a burst.
type sighting struct {
	actionID string
	word     string // its state; empty if it was taken back
	line     string
}

// add adds an action, or replaces what was seen of it.
func (b *burst) add(s sighting) {
	b.remove(s.actionID)
	if b.place == nil {
		b.place = map[string]int{}
	}
	b.place[s.actionID] = len(b.seen)
	b.seen = append(b.seen, s)
}

// remove takes back an action whose state is shown in another way.
func (b *burst) remove(actionID string) {
	if at, ok := b.place[actionID]; ok {
		b.seen[at].word = ""
		delete(b.place, actionID)
	}
}

// lines returns what to show, and empties the burst.
func (b *burst) lines() []string {
	seen := slices.DeleteFunc(b.seen, func(s sighting) bool { return s.word == "" })
	*b = burst{}
	var lines, words []string
	count := map[string]int{}
	for _, s := range seen {
		lines = append(lines, s.line)
		if count[s.word]++; count[s.word] == 1 {
			words = append(words, s.word)
		}
	}
	if len(lines) <= fewMax {
		return lines
	}
	slices.SortStableFunc(words, func(a, b string) int { return count[b] - count[a] })
	var counted []string
	for _, word := range words {
		counted = append(counted, fmt.Sprintf("%s %s", thousands(count[word]), word))
	}
	return []string{strings.Join(counted, ", ")}
}
