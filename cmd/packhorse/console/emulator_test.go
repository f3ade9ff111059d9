package console_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/cupwriter"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
)

// emulator is a real terminal's behavior: it wraps, scrolls, and obeys control sequences.
type emulator struct {
	*cupwriter.Writer
	width, height int
	screen        *guarded
}

// guarded lets a terminal be drawn on and read at the same time. A line end also returns the carriage, as a
// terminal driver sees to.
type guarded struct {
	mu sync.Mutex
	vt *vt.Emulator
}

func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, err := g.vt.Write([]byte(strings.ReplaceAll(string(p), "\n", "\r\n")))
	return len(p), err
}

func newEmulator(width, height int) *emulator {
	screen := &guarded{vt: vt.NewEmulator(width, height)}
	screen.vt.SetScrollbackSize(100_000)
	return &emulator{cupwriter.New(screen, true), width, height, screen}
}

func (e *emulator) IsTerminal() bool               { return true }
func (e *emulator) GetTermSize() (int, int, error) { return e.width, e.height, nil }

// lines returns everything above the screen, and what is on the screen.
func (e *emulator) lines() (above, screen []string) {
	time.Sleep(time.Second)
	synctest.Wait()
	e.screen.mu.Lock()
	defer e.screen.mu.Unlock()
	for _, line := range e.screen.vt.Scrollback().Lines() {
		above = append(above, strings.TrimRight(line.String(), " "))
	}
	for line := range strings.SplitSeq(e.screen.vt.String(), "\n") {
		screen = append(screen, strings.TrimRight(line, " \r"))
	}
	for len(screen) > 0 && screen[len(screen)-1] == "" {
		screen = screen[:len(screen)-1]
	}
	return above, screen
}

// TestScreenAndScrollback plays the start of a run with 2,000 packages on terminals of several sizes. Nothing
// may be drawn twice or wrapped, however small the terminal is.
func TestScreenAndScrollback(t *testing.T) {
	const packages, workers, finished = 2000, 4, 60
	for _, size := range [][2]int{{80, 24}, {200, 24}, {40, 10}, {20, 5}, {80, 3}, {12, 2}, {80, 1}} {
		synctest.Test(t, func(t *testing.T) {
			width, height := size[0], size[1]
			e := newEmulator(width, height)
			term := console.NewTerminalOn(e, time.Now)
			host := func(i int) string { return strings.Repeat([]string{"h", "調", "é"}[i%3], 8+i%60) + fmt.Sprint(i) }
			term.Began(tenantID, true)
			for i := range packages {
				term.Observed(other(ready(host(i)), fmt.Sprint(i)))
			}
			for i := range 13 {
				term.Observed(other(waiting("w"), fmt.Sprint("w", i)))
			}
			term.Swept(tenantID, nil)
			term.Budget(tenantID, []time.Time{time.Now().Add(31 * time.Second), time.Now().Add(40 * time.Second)})
			term.Queue(tenantID, packages, time.Now().Add(16*time.Hour+40*time.Minute))
			e.lines()
			outcomes := fetchSome(t, term, e, finished, workers, host)
			above, screen := e.lines()
			term.Close()
			checkScreen(t, size, above, screen, outcomes, min(workers+1, max(height-1, 0)))
		})
	}
}

// fetchSome keeps a few packages in the making and finishes most. It returns the first words of their lines.
func fetchSome(t *testing.T, term *console.Terminal, e *emulator, finished, workers int, host func(int) string,
) (outcomes []string) {
	t.Helper()
	for i := range finished + workers {
		id := fmt.Sprint(i)
		term.Fetching(other(fetching(host(i), 1), id))
		pull(t, term.Download(of(id), 4<<20, body(4<<20)), int64(i%5)<<20)
		time.Sleep(170 * time.Millisecond)
		if i < workers {
			continue
		}
		done := i - workers
		if done%7 == 6 {
			term.Decided(other(notCollected("n", investigation.ReasonExpired), fmt.Sprint(done)))
			outcomes = append(outcomes, "not collected n: Expired")
		} else {
			term.Decided(other(archived("a", 4<<20), fmt.Sprint(done)))
			outcomes = append(outcomes, "archived      a: 4.0 MiB")
		}
		if i%20 == 0 {
			e.lines()
		}
	}
	return outcomes
}

func checkScreen(t *testing.T, size [2]int, above, screen, outcomes []string, rows int) {
	t.Helper()
	width, all := size[0], append(above, screen...)
	scrolled, bars := all[:len(all)-rows], all[len(all)-rows:]
	dense := func(s string) string { return strings.ReplaceAll(s, " ", "") }
	text := dense(strings.Join(scrolled, "")) // what is longer than the terminal wraps, perhaps at a space
	burst := "2,000 ready, 13 waiting"
	if len(burst) > width {
		burst = burst[:width-1] // it is cut, not wrapped
	}
	if got := strings.Count(text, dense(burst)); got != 1 {
		t.Errorf("%v: the burst is there %d times", size, got)
	}
	at := 0
	for i, outcome := range outcomes {
		found := strings.Index(text[at:], dense(outcome))
		if found < 0 {
			t.Fatalf("%v: outcome %d, %q, is missing or out of order in %q", size, i, outcome, scrolled)
		}
		at += found + len(dense(outcome))
	}
	for _, word := range []string{"archived", "notcollected", "SIMULATION"} {
		want := strings.Count(dense(strings.Join(outcomes, "\n")), word) + strings.Count("SIMULATION", word)
		if got := strings.Count(text, word); got != want {
			t.Errorf("%v: %q is there %d times, want %d", size, word, got, want)
		}
	}
	for _, word := range []string{"━", "requesting", "queued", "nextslot", "MiBof"} {
		if strings.Contains(text, word) {
			t.Errorf("%v: a bar stayed in the scrollback, with %q: %q", size, word, scrolled)
		}
	}
	for i, bar := range bars {
		if got := runewidth.StringWidth(bar); got >= width || got == 0 {
			t.Errorf("%v: bar %d has %d columns: %q", size, i, got, bar)
		}
	}
	if rows > 0 && !strings.HasPrefix(bars[rows-1], "1,936 que"[:min(9, width-2)]) {
		t.Errorf("%v: the last line is %q", size, bars[rows-1])
	}
}
