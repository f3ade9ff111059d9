package console_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-runewidth"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
)

// body returns a package of n bytes.
func body(n int64) io.ReadCloser { return io.NopCloser(io.LimitReader(zeros{}, n)) }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// pull reads n bytes.
func pull(t *testing.T, r io.Reader, n int64) {
	t.Helper()
	if _, err := io.CopyN(io.Discard, r, n); err != nil {
		t.Errorf("read %d bytes: %v", n, err)
	}
}

// only returns the single line that contains a word, or fails.
func only(t *testing.T, lines []string, word string) string {
	t.Helper()
	var found []string
	for _, line := range lines {
		if strings.Contains(line, word) {
			found = append(found, line)
		}
	}
	if len(found) != 1 {
		t.Errorf("got %d lines with %q in %q, want 1", len(found), word, lines)
		return ""
	}
	return found[0]
}

// other changes the record to that of another action.
func other(rec investigation.Record, id string) investigation.Record { return named(rec, id, at) }

// TestTerminalShowsARunAtTwoWidths plays one run on a narrow and on a wide terminal.
func TestTerminalShowsARunAtTwoWidths(t *testing.T) {
	for _, width := range []int{80, 120} {
		synctest.Test(t, func(t *testing.T) {
			s := &screen{width: width, height: 24}
			term := console.NewTerminalOn(s, time.Now)
			var got strings.Builder
			got.WriteString(s.text("before the ledger was asked"))

			term.Began(tenantID, true)
			now := time.Now()
			term.Budget(tenantID, []time.Time{now, now.Add(45 * time.Second)})
			for i, host := range []string{"fin-ws-17.contoso.com", longHost, wideHost, ""} {
				term.Observed(other(ready(host), fmt.Sprint(i)))
				term.Fetching(other(fetching(host, 1), fmt.Sprint(i)))
			}
			got.WriteString(s.text("four fetches began"))

			known := term.Download(of("0"), 10<<20, body(10<<20))
			unknown := term.Download(of("1"), investigation.SizeUnknown, body(5<<20))
			pull(t, known, 4<<20)
			pull(t, unknown, 1<<20)
			got.WriteString(s.text("two downloads run, one without a known size"))

			pull(t, known, 6<<20)
			term.Decided(other(archived("fin-ws-17.contoso.com", 10<<20), "0"))
			term.Decided(other(notCollected(longHost, investigation.ReasonExpired), "1"))
			term.Postponed(other(postponed(wideHost), "2"), errors.New("x"))
			got.WriteString(s.text("one archived, one not collected, one postponed, one still asked for"))

			term.Close()
			got.WriteString(s.text("closed"))
			golden(t, fmt.Sprintf("terminal%d.txt", width), got.String())
		})
	}
}

// TestTerminalLineFits: bars wider than the terminal would break redrawing.
func TestTerminalLineFits(t *testing.T) {
	for _, width := range []int{20, 40, 80, 120} {
		synctest.Test(t, func(t *testing.T) {
			s := &screen{width: width, height: 24}
			term := console.NewTerminalOn(s, time.Now)
			for i, host := range []string{longHost, strings.Repeat("漢", 50), trick()} {
				term.Fetching(other(fetching(host, 1), fmt.Sprint(i)))
				pull(t, term.Download(of(fmt.Sprint(i)), 4<<30, body(2<<30)), 64<<20)
			}
			_, bars := s.shows()
			term.Close()
			if len(bars) != 4 {
				t.Errorf("at %d columns: got %d bars, want 3 and the budget: %q", width, len(bars), bars)
			}
			for _, line := range bars {
				if got := runewidth.StringWidth(line); got > width {
					t.Errorf("at %d columns: got %d in %q", width, got, line)
				}
			}
		})
	}
}

// TestTerminalBarGrowsWithTheBytes: half of the package fills half of the bar, and the bytes pass through
// unchanged.
func TestTerminalBarGrowsWithTheBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 120, height: 24}
		term := console.NewTerminalOn(s, time.Now)
		defer term.Close()
		rec := fetching("host", 1)
		term.Fetching(rec)
		r := term.Download(rec.Action, 8<<20, body(8<<20))
		for _, want := range []struct {
			read   int64
			filled int
			size   string
		}{
			{0, 0, " 0 B of 8.0 MiB"}, {2 << 20, 8, "2.0 MiB of 8.0 MiB"}, {2 << 20, 16, "4.0 MiB of 8.0 MiB"},
			{4 << 20, 32, "8.0 MiB of 8.0 MiB          storing"},
		} {
			pull(t, r, want.read)
			_, bars := s.shows()
			line := only(t, bars, "host")
			if got := strings.Count(line, "━"); got != want.filled || !strings.Contains(line, want.size) {
				t.Errorf("after %d more bytes: got %d of 32 filled in %q, want %d and %s", want.read, got, line,
					want.filled, want.size)
			}
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("after the last byte: got %d, %v, want EOF", n, err)
		}
	})
}

// TestTerminalBarBeginsAnew: opening a link again restarts the bar on the same line.
func TestTerminalBarBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 120, height: 24}
		term := console.NewTerminalOn(s, time.Now)
		defer term.Close()
		rec := fetching("host", 1)
		term.Fetching(rec)
		pull(t, term.Download(rec.Action, 8<<20, body(8<<20)), 6<<20)
		term.Fetching(rec)
		_, bars := s.shows()
		if line := only(t, bars, "host"); !strings.Contains(line, "requesting the link") {
			t.Errorf("got %q, want it to request the link again", line)
		}
		pull(t, term.Download(rec.Action, 8<<20, body(8<<20)), 1<<20)
		_, bars = s.shows()
		if line := only(t, bars, "host"); !strings.Contains(line, " 1.0 MiB of 8.0 MiB") || strings.Count(line, "━") != 4 {
			t.Errorf("got %q, want 1.0 MiB of 8.0 MiB", line)
		}
	})
}

// TestTerminalDownloadWithoutABar: the bytes of an unannounced action pass through.
func TestTerminalDownloadWithoutABar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 80, height: 24}
		term := console.NewTerminalOn(s, time.Now)
		pull(t, term.Download(of("unknown"), 5, body(5)), 5)
		_, bars := s.shows()
		term.Close()
		if len(bars) != 1 {
			t.Errorf("got %q, want the budget only", bars)
		}
	})
}

// TestTerminalDoesNotFlood: after more packages than the terminal has lines, each has exactly one line and
// later frames do not add any.
func TestTerminalDoesNotFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 120, height: 10}
		term := console.NewTerminalOn(s, time.Now)
		term.Budget(tenantID, []time.Time{time.Now(), time.Now()})
		for i := range 50 {
			id := fmt.Sprintf("host-%02d", i)
			term.Fetching(other(fetching(id, 1), id))
			pull(t, term.Download(of(id), 1<<20, body(1<<20)), 1<<20)
			term.Decided(other(archived(id, 1<<20), id))
			s.shows()
		}
		scrolled, bars := s.shows()
		term.Close()
		if len(scrolled) != 50 || !strings.HasPrefix(scrolled[49], "archived      host-49: 1.0 MiB, SHA-256 ") {
			t.Errorf("got %d lines that end in %q, want one for each of 50 packages", len(scrolled),
				scrolled[len(scrolled)-1])
		}
		if len(bars) != 1 || bars[0] != "budget: 2 of 2 calls free" {
			t.Errorf("got bars %q, want the budget", bars)
		}
	})
}

// TestTerminalCloseLeavesWhatWasUnfinished: after an interruption the progress of each package stays visible.
func TestTerminalCloseLeavesWhatWasUnfinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 120, height: 24}
		term := console.NewTerminalOn(s, time.Now)
		term.Fetching(other(fetching("half", 1), "1"))
		pull(t, term.Download(of("1"), 4<<20, body(4<<20)), 2<<20)
		term.Close()
		_, bars := s.shows()
		if line := only(t, bars, "half"); len(bars) != 1 || strings.Count(line, "━") != 16 {
			t.Errorf("got %q, want half of a bar and no budget", bars)
		}
	})
}

// TestTerminalShowsTheLastLine: a line written right before Close is not lost.
func TestTerminalShowsTheLastLine(t *testing.T) {
	for _, after := range []time.Duration{0, time.Millisecond, 149 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := &screen{width: 80, height: 24}
			term := console.NewTerminalOn(s, time.Now)
			term.Fetching(fetching("last", 1))
			time.Sleep(after)
			term.Decided(archived("last", 1))
			term.Close()
			if scrolled, _ := s.shows(); len(scrolled) != 1 || !strings.HasPrefix(scrolled[0], "archived      last") {
				t.Errorf("after %s: got %q, want it archived", after, scrolled)
			}
		})
	}
}

// TestTerminalTellsOutcomesWithoutABar: an outcome without a fetch in this process is a line of text.
func TestTerminalTellsOutcomesWithoutABar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 120, height: 24}
		term := console.NewTerminalOn(s, time.Now)
		term.Decided(other(archived("stored.contoso.com", 1<<20), "stored"))
		term.Observed(notCollected("failed.contoso.com", investigation.ReasonFailed))
		term.Decided(notCollected("failed.contoso.com", investigation.ReasonFailed))
		s.shows()
		term.Postponed(postponed("later.contoso.com"), errors.New("x"))
		scrolled, bars := s.shows()
		term.Close()
		want := []string{
			"archived      stored.contoso.com: 1.0 MiB, SHA-256 aaaaaaaaaaaaaaaa…",
			"not collected failed.contoso.com: Failed",
			"postponed     later.contoso.com, next try at 06:36:07Z: the download answered 503",
		}
		if !slices.Equal(scrolled, want) || len(bars) != 1 {
			t.Errorf("got %q and bars %q, want %q and the budget", scrolled, bars, want)
		}
	})
}

// TestTerminalScrollsTheLog: log lines appear above the bars, once and in full.
func TestTerminalScrollsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 60, height: 24}
		term := console.NewTerminalOn(s, time.Now)
		slog.New(slog.NewTextHandler(term, nil)).Warn("the list is late", "tenant", strings.Repeat("x", 80))
		s.shows()
		scrolled, _ := s.shows()
		term.Close()
		if line := only(t, scrolled, "the list is late"); !strings.HasSuffix(line, strings.Repeat("x", 80)) {
			t.Errorf("got %q, want all of it", line)
		}
	})
}

// TestTerminalClosed: Close can be called twice, and later reports do no harm.
func TestTerminalClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 80, height: 24}
		term := console.NewTerminalOn(s, time.Now)
		term.Fetching(other(fetching("host", 1), "1"))
		term.Close()
		term.Close()
		before := s.text("")
		term.Began(tenantID, true)
		term.Observed(ready("late"))
		term.Swept(tenantID, nil)
		term.Queue(tenantID, 1, time.Now())
		term.Budget(tenantID, nil)
		pull(t, term.Download(of("1"), 5, body(5)), 5)
		term.Decided(archived("late", 1))
		term.Postponed(postponed("late"), nil)
		if _, err := term.Write([]byte("late\n")); err == nil {
			t.Error("a write after Close succeeded")
		}
		if after := s.text(""); after != before {
			t.Errorf("after Close it drew %q, want %q", after, before)
		}
	})
}

// TestStatusLine: the line has every fact that is known, and the most important ones if not all fit.
func TestStatusLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 81, height: 24}
		var later atomic.Int64 // nanoseconds after at
		clock := func() time.Time { return at.Add(time.Duration(later.Load())) }
		term := console.NewTerminalOn(s, clock)
		defer term.Close()
		expect := func(want string) {
			t.Helper()
			_, bars := s.shows()
			if len(bars) != 1 || bars[0] != want {
				t.Errorf("got %q, want %q", bars, want)
			}
		}
		expect("starting")
		for _, tt := range []struct {
			freeAt []time.Duration
			want   string
		}{
			{[]time.Duration{-time.Minute, 0}, "budget: 2 of 2 calls free"},
			{[]time.Duration{0, time.Second}, "budget: 1 of 2 calls free"},
			{[]time.Duration{30 * time.Second, 59 * time.Second}, "next slot in 30 s"},
			{[]time.Duration{30*time.Second + 1}, "next slot in 31 s"},
			{[]time.Duration{time.Millisecond}, "next slot in 1 s"},
			{[]time.Duration{90 * time.Second}, "next slot in 90 s"},
			{[]time.Duration{31 * time.Second, 40 * time.Second}, "next slot in 31 s"},
		} {
			var freeAt []time.Time
			for _, d := range tt.freeAt {
				freeAt = append(freeAt, at.Add(d))
			}
			term.Budget(tenantID, freeAt)
			expect(tt.want)
		}
		term.Swept(tenantID, nil)
		later.Add(int64(4 * time.Second))
		expect("last sweep 4 s ago · next slot in 27 s")
		term.Queue(tenantID, 12, clock().Add(6*time.Minute+5*time.Second))
		expect("12 queued · ETA 6 min · last sweep 4 s ago · next slot in 27 s")
		s.resize(60)
		expect("12 queued · ETA 6 min · next slot in 27 s")
		s.resize(30)
		expect("12 queued · ETA 6 min")
		s.resize(20)
		expect("12 queued")
		s.resize(6)
		expect("12 q…")
		s.resize(120)
		term.Swept(tenantID, errors.New("x"))
		later.Add(int64(2 * time.Minute))
		expect("12 queued · ETA 4 min · sweep failed 2 min ago · last sweep 2 min ago · budget: 2 of 2 calls free")
		term.Swept(tenantID, nil)
		term.Queue(tenantID, 2000, clock().Add(16*time.Hour+40*time.Minute))
		expect("2,000 queued · ETA 16 h 40 min · last sweep 0 s ago · budget: 2 of 2 calls free")
		term.Fetching(fetching("h", 1))
		term.Decided(archived("h", 1))
		expect("1,999 queued · ETA 16 h 40 min · last sweep 0 s ago · budget: 2 of 2 calls free")
		term.Queue(tenantID, 1, clock()) // it is being asked for
		expect("1 queued · last sweep 0 s ago · budget: 2 of 2 calls free")
		term.Queue(tenantID, 0, time.Time{})
		expect("last sweep 0 s ago · budget: 2 of 2 calls free")
	})
}

// TestSpan covers each unit and its limits.
func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0 s", 999 * time.Millisecond: "0 s", 119 * time.Second: "119 s", 2 * time.Minute: "2 min",
		59*time.Minute + 59*time.Second: "59 min", time.Hour: "1 h", 2*time.Hour + 5*time.Minute: "2 h 5 min",
		24 * time.Hour: "1 d", 76 * time.Hour: "3 d 4 h",
	} {
		if got := console.Span(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

// TestTerminalSumsUpABurst: a few actions get a line each; of many only the numbers are shown, once.
func TestTerminalSumsUpABurst(t *testing.T) {
	for n, want := range map[int][]string{
		1:    {"ready         host-0, requested by a.lindqvist@contoso.com"},
		2000: {"2,000 ready, 13 waiting, 7 not collected"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &screen{width: 120, height: 24}
			term := console.NewTerminalOn(s, time.Now)
			defer term.Close()
			for i := range n {
				term.Observed(other(ready(fmt.Sprint("host-", i)), fmt.Sprint(i)))
			}
			for i := range 20 * min(1, n/100) {
				rec := notCollected("host", investigation.ReasonFailed)
				if i < 13 {
					rec = waiting("host")
					term.Observed(other(rec, fmt.Sprint("w", i)))
				} else {
					term.Observed(other(rec, fmt.Sprint("n", i)))
					term.Decided(other(rec, fmt.Sprint("n", i)))
				}
			}
			s.shows()
			if got, _ := s.shows(); !slices.Equal(got, want) {
				t.Errorf("%d: got %q, want %q", n, got, want)
			}
		})
	}
}

// TestTerminalShowsALongBurstInParts: actions that keep coming are not held back for longer than burstMax.
func TestTerminalShowsALongBurstInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 120, height: 24}
		term := console.NewTerminalOn(s, time.Now)
		for i := range 120 { // 12 seconds
			term.Observed(other(ready("host"), fmt.Sprint(i)))
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		first, _ := s.shows()
		term.Close()
		if len(first) != 2 || first[0] != "100 ready" && first[0] != "101 ready" {
			t.Errorf("got %q, want the first ten seconds and the rest", first)
		}
	})
}

// TestTerminalShortensSightings: a line about an action that was seen does not wrap.
func TestTerminalShortensSightings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 50, height: 24}
		term := console.NewTerminalOn(s, time.Now)
		defer term.Close()
		s.shows()
		term.Observed(ready("fin-ws-17.contoso.com"))
		if got, _ := s.shows(); len(got) != 1 || got[0] != "ready         fin-ws-17.contoso.com, requested by…" {
			t.Errorf("got %q", got)
		}
	})
}

// TestTerminalShowsTheBurstOnClose: what was seen last is not lost.
func TestTerminalShowsTheBurstOnClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 120, height: 24}
		term := console.NewTerminalOn(s, time.Now)
		term.Observed(ready("last"))
		term.Close()
		if got, _ := s.shows(); len(got) != 1 || !strings.HasPrefix(got[0], "ready         last") {
			t.Errorf("got %q", got)
		}
	})
}

// TestColor: only outcomes are colored, and not at all for a user who does not want that.
func TestColor(t *testing.T) {
	for environ, want := range map[string]bool{
		"": true, "TERM=xterm": true, "TERM=dumb": false, "NO_COLOR=1": false, "NO_COLOR=": true,
	} {
		name, value, _ := strings.Cut(environ, "=")
		if got := console.ColorFor(map[string]string{name: value}); bool(got) != want {
			t.Errorf("%s: got %t", environ, got)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 120, height: 24}
		term := console.NewColorTerminalOn(s, time.Now)
		term.Observed(other(ready("r"), "r"))
		term.Swept(tenantID, errors.New("x"))
		for i, rec := range []investigation.Record{
			archived("a", 1), notCollected("n", investigation.ReasonFailed), postponed("p"),
		} {
			term.Fetching(other(rec, fmt.Sprint(i)))
			if rec.State == investigation.StateReady {
				term.Postponed(other(rec, fmt.Sprint(i)), nil)
				continue
			}
			term.Decided(other(rec, fmt.Sprint(i)))
		}
		scrolled, bars := s.shows()
		term.Close()
		got := strings.Join(append(scrolled, bars...), "\n")
		want := "\x1b[32marchived\x1b[39m      a: 1 B, SHA-256 aaaaaaaaaaaaaaaa…\n" +
			"\x1b[33mnot collected\x1b[39m n: Failed\n" +
			"\x1b[33mpostponed\x1b[39m     p, next try at 06:36:07Z: the download answered 503\n" +
			"ready         r, requested by a.lindqvist@contoso.com\n" +
			"\x1b[31msweep failed 0 s ago\x1b[39m"
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
