package console_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
)

// TestLinesOfEachEvent: each event is one line, which begins with the time of day in UTC.
func TestLinesOfEachEvent(t *testing.T) {
	t.Parallel()
	const host = "fin-ws-17.contoso.com"
	for _, tt := range []struct {
		name string
		tell func(*console.Lines)
		want string // without the time
	}{
		{"a real tenant", func(l *console.Lines) { l.Began(tenantID, false) }, ""},
		{"a simulation", func(l *console.Lines) { l.Began(tenantID, true) },
			"SIMULATION: the tenant and its packages are made up; nothing here is evidence"},
		{"waiting", func(l *console.Lines) { l.Observed(waiting(host)) },
			"waiting       fin-ws-17.contoso.com, requested by a.lindqvist@contoso.com"},
		{"ready", func(l *console.Lines) { l.Observed(ready(host)) },
			"ready         fin-ws-17.contoso.com, requested by a.lindqvist@contoso.com"},
		{"a host without a name", func(l *console.Lines) { l.Observed(ready("")) },
			"ready         0123456789ab, requested by a.lindqvist@contoso.com"},
		{"fetching", func(l *console.Lines) { l.Fetching(fetching(host, 3)) },
			"fetching      fin-ws-17.contoso.com (attempt 3)"},
		{"downloading", func(l *console.Lines) { l.Download(of(actionID), 7, nil) }, ""},
		{"postponed", func(l *console.Lines) { l.Postponed(postponed(host), errors.New("x")) },
			"postponed     fin-ws-17.contoso.com, next try at 06:36:07Z: the download answered 503"},
		{"archived", func(l *console.Lines) { l.Decided(archived(host, 3<<20)) },
			"archived      fin-ws-17.contoso.com: 3.0 MiB, SHA-256 aaaaaaaaaaaaaaaa…"},
		{"not collected", func(l *console.Lines) { l.Decided(notCollected(host, investigation.ReasonTimeOut)) },
			"not collected fin-ws-17.contoso.com: TimeOut"},
		{"the budget", func(l *console.Lines) { l.Budget(tenantID, []time.Time{at}) }, ""},
	} {
		var out bytes.Buffer
		tt.tell(console.NewLines(&out, clock))
		want := ""
		if tt.want != "" {
			want = "06:06:07Z  " + tt.want + "\n"
		}
		if got := out.String(); got != want {
			t.Errorf("%s: got %q, want %q", tt.name, got, want)
		}
	}
}

// TestLinesOfManyLines: a message that has lines, or a name that has a format's signs, stays one line.
func TestLinesOfManyLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := console.NewLines(&out, clock)
	rec := postponed("100%d\n06:06:07Z  archived      forged")
	rec.Message = "first\r\nsecond %s\n"
	l.Postponed(rec, nil)
	const want = "06:06:07Z  postponed     100%d?06:06:07Z  archived      forged, next try at 06:36:07Z: first  second %s \n"
	if got := out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestNoEscapeCodesInALog: what goes to a file or a pipe has none, whatever names say.
func TestNoEscapeCodesInALog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := console.NewLines(&out, clock)
	l.Began(tenantID, true)
	for _, host := range []string{"host", "\x1b[31mred\x1b[0m", "\u009b2J", longHost} {
		l.Observed(ready(host))
		l.Fetching(fetching(host, 1))
		l.Decided(archived(host, 1))
		l.Decided(notCollected(host, investigation.ReasonFailed))
		l.Postponed(postponed(host), nil)
	}
	s := console.Summary{
		Records: []investigation.Record{done(archived("\x1b[31mred", 1), at)}, StartedAt: at,
		Locate: func(r investigation.Receipt) string { return r.Key },
	}
	if err := s.Table(&out, 0); err != nil {
		t.Error(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\u009b\r\b") || !strings.Contains(out.String(), "?[31mred") {
		t.Errorf("got %q, want no control characters", out.String())
	}
}

// TestLinesGoOnWhenWritesFail: a log that is full stops no run.
func TestLinesGoOnWhenWritesFail(t *testing.T) {
	t.Parallel()
	out := &full{takes: 1}
	l := console.NewLines(out, clock)
	for range 3 {
		l.Observed(ready("host"))
	}
	if out.writes != 3 || strings.Count(out.took.String(), "\n") != 1 {
		t.Errorf("got %d writes and %q, want 3 and one line", out.writes, out.took.String())
	}
}

// TestOutcomesAreToldOnce: an action that Defender gave up on before anybody saw it is one line, not two.
func TestOutcomesAreToldOnce(t *testing.T) {
	t.Parallel()
	rec := notCollected("fin-ws-17.contoso.com", investigation.ReasonFailed)
	var out bytes.Buffer
	l := console.NewLines(&out, clock)
	l.Observed(rec)
	l.Decided(rec)
	const want = "06:06:07Z  not collected fin-ws-17.contoso.com: Failed\n"
	if got := out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
