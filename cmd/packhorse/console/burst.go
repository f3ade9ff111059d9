package console

import (
	"fmt"
	"slices"
	"strings"

	"packhorse/internal/investigation"
)

// fewMax is how many actions seen at once each get a line of their own. Of more, only numbers are shown:
// a first sweep may find thousands.
const fewMax = 10

// burst collects what is seen at once.
type burst struct {
	seen  []sighting
	place map[investigation.ID]int // of an action in seen
}

// sighting is an action in a burst.
type sighting struct {
	id   investigation.ID
	word string // its state; empty if it was taken back
	line string
}

// add adds an action, or replaces what was seen of it.
func (b *burst) add(s sighting) {
	b.remove(s.id)
	if b.place == nil {
		b.place = map[investigation.ID]int{}
	}
	b.place[s.id] = len(b.seen)
	b.seen = append(b.seen, s)
}

// remove takes back an action whose state is shown in another way.
func (b *burst) remove(id investigation.ID) {
	if at, ok := b.place[id]; ok {
		b.seen[at].word = ""
		delete(b.place, id)
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
