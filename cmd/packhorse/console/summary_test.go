package console_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
)

// summary returns the summary of a two-minute run.
func summary(records ...investigation.Record) console.Summary {
	return console.Summary{
		Records: records, StartedAt: at, EndedAt: at.Add(2*time.Minute + 400*time.Millisecond),
		Locate: func(r investigation.Receipt) string { return "s3://" + r.Bucket + "/" + r.Key },
	}
}

func table(t *testing.T, s console.Summary) string {
	t.Helper()
	var out bytes.Buffer
	if err := s.Table(&out, 0); err != nil {
		t.Error(err)
	}
	return out.String()
}

// TestSummaryTables compares whole screens.
func TestSummaryTables(t *testing.T) {
	t.Parallel()
	later := at.Add(time.Hour)
	judge := console.Judgement{
		Passed: true, PackageURICalls: 4, MostInAnyMinute: 2, PerMinute: 2, MostPerArchived: 1, FilesCompared: 4,
	}
	broken := judge
	broken.Passed, broken.MostInAnyMinute, broken.FilesDifferent, broken.Leaks = false, 3, 1, 2
	broken.BrokenRules = []string{"3 calls in 60 s\nJudge: PASS", "a link in the\x1b[2Jlog"}

	simulated := summary(done(archived("fin-ws-17.contoso.com", 10<<20), later))
	simulated.Simulated, simulated.Judge = true, &judge
	failed := simulated
	failed.Judge = &broken
	full := summary(
		named(done(archived("fin-ws-17.contoso.com", 10<<20), later), "1", at),
		named(done(archived(longHost, 1<<30), later), "2", at.Add(time.Minute)),
		named(done(notCollected("", investigation.ReasonTimeOut), later), "3", at.Add(2*time.Minute)),
		named(postponed("later.contoso.com"), "4", at.Add(3*time.Minute)),
		named(waiting("slow.contoso.com"), "5", at.Add(4*time.Minute)),
		named(archived("stored-not-announced", 77), "6", at.Add(5*time.Minute)),
		done(archived("before", 99), at.Add(-time.Hour)),
	)
	full.Evidence = console.Evidence{
		Sequence: 12, Digest: digest("d"), KeyID: digest("e"), Check: "packhorse verify --data 'my data'",
		Find: "packhorse list --data 'my data'",
	}
	hostile := done(archived("host\tSIZE\nFAKE  archived\x1b[2J\u202e", 5), later)
	hostile.Requestor = "a\vb\fc\x00" + strings.Repeat("x", 60)
	wide := done(archived(strings.Repeat(wideHost, 5), 5), later)
	wide.Requestor = "調査 e\u0301ne\u0301 🐎"
	for name, s := range map[string]console.Summary{
		"wide":  summary(wide, done(archived("narrow", 5), later)),
		"empty": summary(), "full": full, "hostile": summary(hostile), "simulated": simulated, "judged": failed,
	} {
		golden(t, "summary_"+name+".txt", table(t, s))
	}
	var narrow bytes.Buffer
	simulated.Evidence, simulated.Records = full.Evidence, append(full.Records, wide)
	if err := simulated.Table(&narrow, 80); err != nil {
		t.Error(err)
	}
	golden(t, "summary_80.txt", narrow.String())
	for line := range strings.Lines(narrow.String()) {
		if n := runewidth.StringWidth(strings.TrimRight(line, "\n")); n > 80 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}

// TestSummaryCounts: each record counts once, by its outcome in this run.
func TestSummaryCounts(t *testing.T) {
	t.Parallel()
	later := at.Add(time.Second)
	for _, tt := range []struct {
		name string
		rec  investigation.Record
		want string
	}{
		{"archived", done(archived("h", 1<<10), later), "1 archived (1.0 KiB), 0 not collected, 0 waiting, 0 open; in 2m0s"},
		{"archived at the moment of the start", done(archived("h", 1<<10), at),
			"1 archived (1.0 KiB), 0 not collected, 0 waiting, 0 open; in 2m0s"},
		{"archived before", done(archived("h", 1<<10), at.Add(-1)),
			"0 archived (0 B), 0 not collected, 0 waiting, 0 open; in 2m0s; 1 done earlier"},
		{"not collected", done(notCollected("h", investigation.ReasonFailed), later),
			"0 archived (0 B), 1 not collected, 0 waiting, 0 open; in 2m0s"},
		{"not collected before", done(notCollected("h", investigation.ReasonFailed), at.Add(-1)),
			"0 archived (0 B), 0 not collected, 0 waiting, 0 open; in 2m0s; 1 done earlier"},
		{"waiting", waiting("h"), "0 archived (0 B), 0 not collected, 1 waiting, 0 open; in 2m0s"},
		{"ready", ready("h"), "0 archived (0 B), 0 not collected, 0 waiting, 1 open; in 2m0s"},
		{"fetching", fetching("h", 1), "0 archived (0 B), 0 not collected, 0 waiting, 1 open; in 2m0s"},
		{"archived, not announced", archived("h", 1), "0 archived (0 B), 0 not collected, 0 waiting, 1 open; in 2m0s"},
		{"not collected, not announced", notCollected("h", investigation.ReasonFailed),
			"0 archived (0 B), 0 not collected, 0 waiting, 1 open; in 2m0s"},
	} {
		text := strings.TrimSpace(table(t, summary(tt.rec)))
		if got := text[strings.LastIndex(text, "\n")+1:]; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestSummaryShowsThisRun: the table has a row per action of this run, oldest first.
func TestSummaryShowsThisRun(t *testing.T) {
	t.Parallel()
	text := table(t, summary(
		named(ready("third"), "a", at.Add(2*time.Minute)),
		named(done(archived("earlier", 1), at.Add(-time.Hour)), "b", at.Add(-time.Hour)),
		named(ready("first"), "c", at),
		named(done(archived("second", 1), at), "d", at.Add(time.Minute)), // announced at the start
	))
	var got []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, "lindqvist") {
			got = append(got, strings.Fields(line)[0])
		}
	}
	if want := "[first second third]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// TestSummaryIsForSHA256Sum: stored objects are listed in the format of `sha256sum -c`.
func TestSummaryIsForSHA256Sum(t *testing.T) {
	t.Parallel()
	text := table(t, summary(archived("host", 1), notCollected("other", investigation.ReasonFailed), ready("third")))
	want := digest("a") + "  s3://evidence/packages/" + stem + ".zip\n"
	if strings.Count(text, want) != 1 || strings.Count(text, "  s3://") != 1 {
		t.Errorf("got %q, want %q exactly once and nothing similar", text, want)
	}
}

// TestOutcome: outcomes and states read as words for people.
func TestOutcome(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rec  investigation.Record
		want string
	}{
		{waiting("h"), "waiting"},
		{ready("h"), "ready"},
		{fetching("h", 1), "fetching"},
		{archived("h", 1), "archived"},
		{done(archived("h", 1), at), "archived"},
		{notCollected("h", investigation.ReasonInvalid), "not collected: Invalid"},
		{done(notCollected("h", investigation.ReasonInvalid), at), "not collected: Invalid"},
	} {
		if got := console.Outcome(tt.rec); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.rec.State, got, tt.want)
		}
	}
}

// TestTablesTellThatTheyWereNotWritten: writing a table to a full disk returns the error, once, no matter which
// part was lost.
func TestTablesTellThatTheyWereNotWritten(t *testing.T) {
	t.Parallel()
	one := wrong()
	one.Scope.Key = one.Subjects[0].Key
	for name, write := range map[string]func(io.Writer) error{
		"summary":                 func(out io.Writer) error { return summary(archived("host", 1)).Table(out, 0) },
		"verification":            console.Verification{Summary: wrong()}.Table,
		"verification of one":     console.Verification{Summary: one}.Table,
		"verification of nothing": console.Verification{}.Table,
	} {
		out := &full{takes: 100}
		if err := write(out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for takes := range out.writes {
			err := write(&full{takes: takes})
			if !errors.Is(err, errFull) || strings.Count(err.Error(), errFull.Error()) != 1 {
				t.Errorf("%s: after %d writes: got %v, want %v", name, takes, err, errFull)
			}
		}
	}
}
