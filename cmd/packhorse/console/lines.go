package console

import (
	"fmt"
	"io"
	"sync"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// Lines writes one line of text per event, for a log file or a pipe.
type Lines struct {
	now func() time.Time

	mu     sync.Mutex // guards the fields below
	out    io.Writer
	began  bool
	labels labels
}

// NewLines returns a reporter that writes to out.
func NewLines(out io.Writer, now func() time.Time) *Lines { return &Lines{now: now, out: out} }

func (l *Lines) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, clock(l.now())+"  "+format+"\n", args...)
}

// Tenants names the tenants, if there are several, from now on.
func (l *Lines) Tenants(all []tenant.Served) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.labels = labelsOf(all)
}

// name names the action's machine and, among several tenants, whose it is.
func (l *Lines) name(a investigation.Action) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.labels.before(a.TenantID) + host(a)
}

// Began writes a line if this is a simulation, once for all tenants.
func (l *Lines) Began(_ string, simulated bool) {
	l.mu.Lock()
	again := l.began
	l.began = true
	l.mu.Unlock()
	if simulated && !again {
		l.printf("%s", simulation)
	}
}

// Observed writes a line. It skips actions whose outcome is already decided, because Decided reports
// those.
func (l *Lines) Observed(rec investigation.Record) {
	if !rec.State.Decided() {
		l.printf("%s", observed(rec, l.name(rec.Action)))
	}
}

// Fetching writes a line with the number of the attempt.
func (l *Lines) Fetching(rec investigation.Record) {
	l.printf("%-13s %s (attempt %d)", "fetching", l.name(rec.Action), rec.Attempts)
}

// Download returns body unchanged: a log shows no progress.
func (l *Lines) Download(_ investigation.Action, _ int64, body io.ReadCloser) io.ReadCloser {
	return body
}

// Decided writes a line with the outcome.
func (l *Lines) Decided(rec investigation.Record) {
	_, line := decided(rec, l.name(rec.Action), false)
	l.printf("%s", line)
}

// Postponed writes a line with the time of the next attempt and the reason for the delay.
func (l *Lines) Postponed(rec investigation.Record, _ error) {
	l.printf("%s", postponed(rec, l.name(rec.Action), false))
}

// Budget writes nothing: it would fill the log.
func (l *Lines) Budget(string, []time.Time) {}

// Queue writes nothing, likewise.
func (l *Lines) Queue(string, int, time.Time) {}

// Swept writes nothing: failed sweeps are in the log of the run.
func (l *Lines) Swept(string, error) {}

// observed, decided and postponed say what became of an action. name says on which machine.
func observed(rec investigation.Record, name string) string {
	return fmt.Sprintf("%-13s %s, requested by %s", rec.State, name, Clean(rec.Requestor))
}

// decided returns the outcome in a word, and a line that begins with it.
func decided(rec investigation.Record, name string, color Color) (word, line string) {
	if rec.Reason != "" {
		word = "not collected"
		return word, fmt.Sprintf("%s %s: %s", color.caution(word), name, rec.Reason)
	}
	word = "archived"
	return word, fmt.Sprintf("%s %s: %s, SHA-256 %.16s…", color.good(word)+"     ", name,
		Bytes(rec.Receipt.Size), rec.Receipt.SHA256)
}

func postponed(rec investigation.Record, name string, color Color) string {
	return fmt.Sprintf("%s %s, next try at %s: %s", color.caution("postponed")+"    ", name,
		clock(rec.DueAt), CleanLine(rec.Message))
}
