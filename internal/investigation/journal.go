package investigation

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Journal tells why earlier attempts at a package failed, one line each. It is one text so that records
// stay comparable. The zero Journal is empty.
type Journal string

// JournalEntry is one line of it.
type JournalEntry struct {
	At      time.Time // UTC, in whole milliseconds
	Message string
}

const (
	// journalMax bounds the lines. A longer history keeps its first and last ones, which tell how it
	// began and where it stands.
	journalMax  = 16
	journalHead = journalMax / 2

	// journalMessageMax bounds a line's message, in bytes.
	journalMessageMax = 300

	// journalTime is the form of a line's time. It has a fixed width.
	journalTime = "2006-01-02T15:04:05.000Z"

	// journalOmitted is the message of a gap. Stored records contain it, so it MUST NOT change.
	journalOmitted = "%d lines are left out here"
)

// Add returns the journal with one more line.
func (j Journal) Add(at time.Time, message string) Journal {
	message = strings.Join(strings.Fields(message), " ")
	if len(message) > journalMessageMax {
		message = strings.ToValidUTF8(message[:journalMessageMax], "") + "…"
	}
	entries := append(j.Entries(), JournalEntry{At: at.UTC(), Message: message})
	if len(entries) > journalMax {
		entries = withGap(entries)
	}
	lines := make([]string, len(entries))
	for i, entry := range entries {
		lines[i] = entry.At.Format(journalTime) + " " + entry.Message
	}
	return Journal(strings.Join(lines, "\n"))
}

// withGap returns one entry fewer: two in the middle become a gap, or the gap there grows by one. The gap
// has the time of the last line it stands for.
func withGap(entries []JournalEntry) []JournalEntry {
	gap := entries[journalHead+1]
	gap.Message = fmt.Sprintf(journalOmitted, linesOf(entries[journalHead])+1)
	return slices.Concat(entries[:journalHead], []JournalEntry{gap}, entries[journalHead+2:])
}

// linesOf returns how many lines an entry stands for: one, unless it is a gap. It reads the number back
// from the gap's text, because records are stored with that text and keep the number nowhere else.
func linesOf(entry JournalEntry) int {
	var lines int
	_, err := fmt.Sscanf(entry.Message, journalOmitted, &lines)
	if err != nil {
		return 1
	}
	return lines
}

// Entries returns the lines, the oldest first, and skips text that is not a line of a journal.
func (j Journal) Entries() []JournalEntry {
	var entries []JournalEntry
	for line := range strings.Lines(string(j)) {
		stamp, message, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		at, err := time.Parse(journalTime, stamp)
		if err == nil {
			entries = append(entries, JournalEntry{At: at, Message: message})
		}
	}
	return entries
}
