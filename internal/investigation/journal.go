package investigation

import (
	"fmt"
	"strings"
	"time"
)

// Journal is why earlier attempts at a package failed: one line each, in one text, so that records
// stay comparable. The zero Journal is empty.
type Journal string

// JournalEntry is one line of it.
type JournalEntry struct {
	At      time.Time // UTC, in whole milliseconds
	Message string
}

const (
	// journalMax is how many lines there are at most. Of a longer history the first and the last
	// lines are kept, since those tell how it began and where it stands.
	journalMax  = 16
	journalHead = journalMax / 2

	// journalMessageMax bounds a line's message, in bytes.
	journalMessageMax = 300

	// journalTime is the form of a line's time. It has a fixed width.
	journalTime = "2006-01-02T15:04:05.000Z"

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
		var omitted int
		_, err := fmt.Sscanf(entries[journalHead].Message, journalOmitted, &omitted)
		if err != nil { // the first time, and the line that says so needs a place of its own
			omitted = 1
		}
		last := entries[journalHead+1]
		last.Message = fmt.Sprintf(journalOmitted, omitted+1)
		entries = append(append(entries[:journalHead:journalHead], last), entries[journalHead+2:]...)
	}
	lines := make([]string, len(entries))
	for i, entry := range entries {
		lines[i] = entry.At.Format(journalTime) + " " + entry.Message
	}
	return Journal(strings.Join(lines, "\n"))
}

// Entries returns the lines, the oldest first. What is no line of a journal is left out.
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
