package console

import (
	"fmt"
	"io"
	"sync"
	"time"

	"packhorse/internal/investigation"
)

// Lines writes one line of text per event, for a log file or a pipe.
type Lines struct {
	now func() time.Time

	mu  sync.Mutex // guards out
	out io.Writer
}

// NewLines returns a reporter that writes to out.
func NewLines(out io.Writer, now func() time.Time) *Lines { return &Lines{now: now, out: out} }

func (l *Lines) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, clock(l.now())+"  "+format+"\n", args...)
}

// Began writes a line if this is a simulation.
func (l *Lines) Began(_ string, simulated bool) {
	if simulated {
		l.printf("%s", simulation)
	}
}

// Observed writes a line. It skips actions whose outcome is already decided, because Decided reports
// those.
func (l *Lines) Observed(rec investigation.Record) {
	if !rec.State.Decided() {
		l.printf("%s", observed(rec))
	}
}

// Fetching writes a line with the number of the attempt.
func (l *Lines) Fetching(rec investigation.Record) {
	l.printf("%-13s %s (attempt %d)", "fetching", host(rec.Action), rec.Attempts)
}

// Download returns body unchanged: a log shows no progress.
func (l *Lines) Download(_ investigation.Action, _ int64, body io.ReadCloser) io.ReadCloser {
	return body
}

// Decided writes a line with the outcome.
func (l *Lines) Decided(rec investigation.Record) {
	_, line := decided(rec, false)
	l.printf("%s", line)
}

// Postponed writes a line with the time of the next attempt and the reason for the delay.
func (l *Lines) Postponed(rec investigation.Record, _ error) { l.printf("%s", postponed(rec, false)) }

// Budget writes nothing: it would fill the log.
func (l *Lines) Budget([]time.Time) {}

// Queue writes nothing, likewise.
func (l *Lines) Queue(int, time.Time) {}

// Swept writes nothing: failed sweeps are in the log of the run.
func (l *Lines) Swept(error) {}

func observed(rec investigation.Record) string {
	return fmt.Sprintf("%-13s %s, requested by %s", rec.State, host(rec.Action), Clean(rec.Requestor))
}

// decided returns the outcome in a word, and a line that begins with it.
func decided(rec investigation.Record, color Color) (word, line string) {
	if rec.Reason != "" {
		word = "not collected"
		return word, fmt.Sprintf("%s %s: %s", color.caution(word), host(rec.Action), rec.Reason)
	}
	word = "archived"
	return word, fmt.Sprintf("%s %s: %s, SHA-256 %.16s…", color.good(word)+"     ", host(rec.Action),
		Bytes(rec.Receipt.Size), rec.Receipt.SHA256)
}

func postponed(rec investigation.Record, color Color) string {
	return fmt.Sprintf("%s %s, next try at %s: %s", color.caution("postponed")+"    ", host(rec.Action),
		clock(rec.DueAt), CleanLine(rec.Message))
}
