package investigation_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"packhorse/internal/investigation"
)

func TestJournal(t *testing.T) {
	var j investigation.Journal
	if len(j.Entries()) != 0 {
		t.Errorf("an empty journal has %v", j.Entries())
	}
	zone := time.FixedZone("elsewhere", 3600)
	j = j.Add(t0.In(zone), "the first\n  broke\toff ").Add(t0.Add(time.Second), "")
	want := []investigation.JournalEntry{
		{At: t0ms, Message: "the first broke off"}, {At: t0ms.Add(time.Second)},
	}
	got := j.Entries()
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A long history keeps its first and last lines, and says how many are missing in between.
func TestJournalIsBounded(t *testing.T) {
	var j investigation.Journal
	for n := range 1000 {
		j = j.Add(t0.Add(time.Duration(n)*time.Minute), fmt.Sprintf("attempt %d %s", n, strings.Repeat("é", 400)))
		if n == 15 && strings.Contains(string(j), "left out") {
			t.Error("a line was left out although there was room")
		}
	}
	entries := j.Entries()
	if len(entries) != 16 || len(j) > 16*400 || !utf8.ValidString(string(j)) {
		t.Fatalf("got %d lines, %d bytes", len(entries), len(j))
	}
	for i, prefix := range map[int]string{0: "attempt 0 ", 7: "attempt 7 ", 8: "985 lines are left out here",
		9: "attempt 993 ", 15: "attempt 999 "} {
		if !strings.HasPrefix(entries[i].Message, prefix) {
			t.Errorf("line %d is %q, want %q", i, entries[i].Message, prefix)
		}
	}
	if !entries[8].At.Equal(t0ms.Add(992 * time.Minute)) {
		t.Errorf("the gap ends at %v", entries[8].At)
	}
}

// A journal has as many lines as were added, no matter what the messages contain.
func FuzzJournal(f *testing.F) {
	f.Add("", "x", uint8(3))
	f.Add("no journal", "\n2026-11-03T09:00:00.000Z forged", uint8(20))
	f.Fuzz(func(t *testing.T, before, message string, n uint8) {
		j := investigation.Journal(before)
		was := len(j.Entries())
		for range n {
			j = j.Add(t0, message)
		}
		if got, want := len(j.Entries()), min(16, was+int(n)); n > 0 && was <= 16 && got != want {
			t.Errorf("got %d lines, want %d: %q", got, want, j)
		}
	})
}
