package console

import (
	"fmt"
	"io"
	"sync"
	"time"

	"packhorse/internal/investigation"
)

// Lines writes one line per event, for a log file or a pipe.
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

// Began writes a line if the tenant is simulated.
func (l *Lines) Began(simulated bool) {
	if simulated {
		l.printf("%s", simulation)
	}
}

// Observed writes a line unless the action is already decided: Settled reports those.
func (l *Lines) Observed(rec investigation.Record) {
	if !rec.State.Settled() {
		l.printf("%s", observed(rec))
	}
}

// Fetching writes a line.
func (l *Lines) Fetching(rec investigation.Record) {
	l.printf("%-13s %s (attempt %d)", "fetching", host(rec.Action), rec.Attempts)
}

// Download returns the body unchanged: a log does not show progress.
func (l *Lines) Download(_ string, _ int64, body io.ReadCloser) io.ReadCloser { return body }

// Settled writes a line.
func (l *Lines) Settled(rec investigation.Record) { l.printf("%s", settled(rec)) }

// Postponed writes a line.
func (l *Lines) Postponed(rec investigation.Record, _ error) { l.printf("%s", postponed(rec)) }

// Budget writes nothing: it would fill most of the log.
func (l *Lines) Budget([]time.Time) {}

func observed(rec investigation.Record) string {
	return fmt.Sprintf("%-13s %s, requested by %s", rec.State, host(rec.Action), Clean(rec.Requestor))
}

func settled(rec investigation.Record) string {
	if rec.Reason != "" {
		return fmt.Sprintf("%-13s %s: %s", "not collected", host(rec.Action), rec.Reason)
	}
	return fmt.Sprintf("%-13s %s: %s, SHA-256 %.16s…", "archived", host(rec.Action),
		Bytes(rec.Receipt.Size), rec.Receipt.SHA256)
}

func postponed(rec investigation.Record) string {
	return fmt.Sprintf("%-13s %s, next try at %s: %s", "postponed", host(rec.Action),
		clock(rec.DueAt), CleanLine(rec.Message))
}
