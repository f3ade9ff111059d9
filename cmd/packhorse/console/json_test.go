package console_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
)

// fields lists the field names of a JSON object, including nested ones, in order.
func fields(t *testing.T, line string) string {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(line))
	var names []string
	var name func()
	name = func() {
		token, err := decoder.Token()
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		switch token {
		case json.Delim('{'):
			for decoder.More() {
				key, err := decoder.Token()
				if err != nil {
					t.Fatalf("%v in %s", err, line)
				}
				names = append(names, key.(string))
				name()
			}
		case json.Delim('['):
			for decoder.More() {
				name()
			}
		default:
			return
		}
		if _, err := decoder.Token(); err != nil { // the closing bracket
			t.Fatalf("%v in %s", err, line)
		}
	}
	name()
	return strings.Join(names, " ")
}

const aboutAction = "event time version tenantId actionId machineId computerDnsName requestor"

// TestJSONFields pins names and order, because scripts depend on them.
func TestJSONFields(t *testing.T) {
	t.Parallel()
	const detail = "event time version tenantId actionId machineId computerDnsName requestor requestorComment caseId "
	for _, tt := range []struct {
		name string
		tell func(*console.JSON)
		want string
	}{
		{"waiting", func(j *console.JSON) { j.Observed(waiting("host")) }, aboutAction},
		{"ready", func(j *console.JSON) { j.Observed(ready("host")) }, aboutAction},
		{"fetching", func(j *console.JSON) { j.Fetching(fetching("host", 3)) }, aboutAction + " attempt"},
		{"downloading", func(j *console.JSON) { j.Download(of(actionID), 7, nil) }, aboutAction + " size"},
		{"postponed", func(j *console.JSON) { j.Postponed(postponed("host"), nil) }, aboutAction +
			" attempt dueAt cause message"},
		{"sweep", func(j *console.JSON) { j.Swept(tenantID, nil) }, "event time version tenantId ok message"},
		{"budget", func(j *console.JSON) { j.Budget(tenantID, []time.Time{at}) }, "event time version tenantId slots free freeAt"},
		{"archived", func(j *console.JSON) { j.Decided(archived("host", 7)) }, detail +
			"requestSource createdAt completedAt archivedAt bucket key versionId size sha256 manifestKey " +
			"manifestSha256 sequence strangers"},
		{"notCollected", func(j *console.JSON) { j.Decided(notCollected("host", investigation.ReasonFailed)) }, detail +
			"createdAt completedAt reason message manifestKey manifestSha256 sequence quarantineKey strangers"},
		{"summary", func(j *console.JSON) { _ = j.Summary(console.Summary{TenantID: tenantID}) },
			"event time version tenantId durationSeconds archived notCollected waiting open earlier bytes evidence sequence digest keyId"},
		{"summary", func(j *console.JSON) { _ = j.Summary(console.Summary{TenantID: tenantID, Judge: &console.Judgement{}}) },
			"event time version tenantId durationSeconds archived notCollected waiting open earlier bytes evidence sequence digest keyId " +
				"judge passed packageUriCalls mostInAnyMinute perMinute mostPerArchived filesCompared filesDifferent " +
				"leaks brokenRules servedBeforeThis"},
	} {
		for _, simulated := range []bool{false, true} {
			var out bytes.Buffer
			j := console.NewJSON(&out, clock)
			j.Began(tenantID, simulated)
			tt.tell(j)
			want := tt.want
			if simulated {
				want = strings.Replace(want, "event", "event simulated", 1)
			}
			if got := fields(t, out.String()); got != want {
				t.Errorf("%s, simulated %t: got %q, want %q", tt.name, simulated, got, want)
			}
			if !strings.HasPrefix(out.String(), `{"event":"`+tt.name+`",`) || strings.Count(out.String(), "\n") != 1 {
				t.Errorf("got %q, want one line that begins with the event %s", out.String(), tt.name)
			}
		}
	}
}

// TestJSONLines compares a whole run, byte for byte.
func TestJSONLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	j := console.NewJSON(&out, clock)
	j.Began(tenantID, false)
	j.Observed(waiting("fin-ws-17.contoso.com"))
	j.Observed(ready("fin-ws-17.contoso.com"))
	j.Swept(tenantID, nil)
	j.Budget(tenantID, []time.Time{{}, clock().Add(time.Minute)})
	j.Fetching(fetching("fin-ws-17.contoso.com", 1))
	j.Postponed(postponed("fin-ws-17.contoso.com"), investigation.Because(investigation.CauseDownload,
		errors.New("never shown: the record has it in clean words")))
	j.Swept(tenantID, errors.New("list the tenant's actions: status 503"))
	j.Fetching(fetching("fin-ws-17.contoso.com", 2))
	if body := j.Download(of(actionID), investigation.SizeUnknown, nil); body != nil {
		t.Errorf("got body %v, want the same one", body)
	}
	stored := archived("fin-ws-17.contoso.com", 10<<20)
	stored.Strangers = stored.Strangers.Add(
		investigation.Stranger{Key: "packages/" + stem + ".zip", VersionID: "v0", Size: 5, FoundAt: at, Note: "not read"})
	j.Decided(stored)
	j.Decided(notCollected(wideHost, investigation.ReasonFailed))
	err := j.Summary(console.Summary{
		TenantID: tenantID,
		Records: []investigation.Record{
			done(stored, at.Add(time.Hour)), done(archived("before", 99), at.Add(-time.Hour)),
			done(notCollected("a", investigation.ReasonExpired), at.Add(time.Hour)), waiting("b"), ready("c"),
			fetching("d", 1), archived("e", 3),
		},
		StartedAt: at, EndedAt: at.Add(90*time.Second + 500*time.Millisecond),
		Evidence: console.Evidence{Sequence: 8, Digest: digest("d"), KeyID: digest("e"), Check: "not in JSON"},
		Judge:    &console.Judgement{PerMinute: 2, BrokenRules: []string{"a third call in a minute"}},
	})
	if err != nil {
		t.Error(err)
	}
	golden(t, "run.jsonl", out.String())
}

// TestJSONDoesNotTellWhatIsDecidedTwice: only the outcome line reports an action that is already decided.
func TestJSONDoesNotTellWhatIsDecidedTwice(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	j := console.NewJSON(&out, clock)
	j.Observed(notCollected("host", investigation.ReasonFailed))
	j.Queue(tenantID, 7, at)
	if out.Len() > 0 {
		t.Errorf("got %q, want nothing", out.String())
	}
}

// TestJSONBudget: a line is written when the budget has changed, at most once a second.
func TestJSONBudget(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := at
	j := console.NewJSON(&out, func() time.Time { return now })
	seconds := func(n int) time.Time { return at.Add(time.Duration(n) * time.Second) }
	for _, tt := range []struct {
		after  time.Duration
		freeAt []time.Time
		want   string
	}{
		{0, []time.Time{{}, {}}, `"slots":2,"free":2,"freeAt":[]`},
		{time.Hour, []time.Time{{}, at}, ""}, // both are free, as before
		{0, []time.Time{{}, seconds(3660)}, `"slots":2,"free":1,"freeAt":["2026-03-04T06:07:07Z"]`},
		{999 * time.Millisecond, []time.Time{seconds(3660), seconds(3661)}, ""}, // too soon
		{time.Millisecond, []time.Time{seconds(3660), seconds(3661)},
			`"slots":2,"free":0,"freeAt":["2026-03-04T06:07:07Z","2026-03-04T06:07:08Z"]`},
		{time.Second, []time.Time{seconds(3660), seconds(3661)}, ""},
		{58500 * time.Millisecond, []time.Time{seconds(3660), seconds(3661)},
			`"slots":2,"free":1,"freeAt":["2026-03-04T06:07:08Z"]`}, // one has become free
	} {
		now = now.Add(tt.after)
		out.Reset()
		j.Budget(tenantID, tt.freeAt)
		if got := out.String(); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("at %v, %v: got %q, want %q", now.Sub(at), tt.freeAt, got, tt.want)
		}
	}
}

// TestJSONSweptKeepsSecrets: whatever a failed sweep says, links and tokens do not reach the line.
func TestJSONSweptKeepsSecrets(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	console.NewJSON(&out, clock).Swept(tenantID, errors.New("get https://a.blob.core.windows.net/p.zip?sig=c2VjcmV0: Bearer eyJhbGciOi.eyJ.c2ln"))
	for _, secret := range []string{"c2VjcmV0", "eyJ", "p.zip"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("got %s, with %q", out.String(), secret)
		}
	}
	if !strings.Contains(out.String(), `"ok":false,"message":"get `) {
		t.Errorf("got %s", out.String())
	}
}

// TestJSONLeavesTheBodyAlone: Download returns the same reader, which keeps its other methods available.
func TestJSONLeavesTheBodyAlone(t *testing.T) {
	t.Parallel()
	want := io.NopCloser(strings.NewReader("PK"))
	if got := console.NewJSON(io.Discard, clock).Download(of(actionID), 2, want); got != want {
		t.Errorf("JSON: got %v, want %v", got, want)
	}
	if got := console.NewLines(io.Discard, clock).Download(of(actionID), 2, want); got != want {
		t.Errorf("Lines: got %v, want %v", got, want)
	}
}

// TestJSONLinesAreWhole: concurrent lines do not interleave.
func TestJSONLinesAreWhole(t *testing.T) {
	t.Parallel()
	out := &slow{}
	j := console.NewJSON(out, clock)
	const writers, each = 8, 20
	finished := make(chan struct{})
	for range writers {
		go func() {
			for range each {
				j.Observed(ready("host"))
			}
			finished <- struct{}{}
		}()
	}
	for range writers {
		<-finished
	}
	lines := strings.Split(strings.TrimSuffix(string(out.text), "\n"), "\n")
	if len(lines) != writers*each {
		t.Errorf("got %d lines, want %d", len(lines), writers*each)
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("got %q, want JSON", line)
		}
	}
}

// slow writes byte by byte and yields between them, so unlocked writers interleave.
type slow struct{ text []byte }

func (s *slow) Write(p []byte) (int, error) {
	for _, b := range p {
		s.text = append(s.text, b)
		runtime.Gosched()
	}
	return len(p), nil
}

// TestWriteJSON: hidden characters are escaped, visible ones stay, and decoding returns the original.
func TestWriteJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"plain", `"plain"`},
		{`quoted " and \`, `"quoted \" and \\"`},
		{"調査 🐎 Ünï", `"調査 🐎 Ünï"`},
		{"</script>&", `"\u003c/script\u003e\u0026"`},
		{"a\nb\tc", `"a\nb\tc"`},
		{"\x1b[2J\x00\x7f", `"\u001b[2J\u0000\u007f"`},
		{"\u009b\u202e\u2028\u00a0\ufeff", `"\u009b\u202e\u2028\u00a0\ufeff"`},
		{"\U000e0001", `"\udb40\udc01"`}, // beyond 16 bits: a surrogate pair
		{"", `""`},
	} {
		var out bytes.Buffer
		if err := console.WriteJSON(&out, tt.text); err != nil || out.String() != tt.want+"\n" {
			t.Errorf("%q: got %s (%v), want %s", tt.text, out.String(), err, tt.want)
		}
		var back string
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || back != tt.text {
			t.Errorf("%q: came back as %q, %v", tt.text, back, err)
		}
	}
}

// TestWriteJSONFails: a value that cannot be encoded does not leave a partial line, and a line is one write.
func TestWriteJSONFails(t *testing.T) {
	t.Parallel()
	out := &full{takes: 1}
	if err := console.WriteJSON(out, func() {}); err == nil || out.writes != 0 {
		t.Errorf("a function was encoded: %v, %d writes", err, out.writes)
	}
	if err := console.WriteJSON(out, map[string]string{"a": "b"}); err != nil || out.writes != 1 ||
		out.took.String() != `{"a":"b"}`+"\n" {
		t.Errorf("got %q in %d writes, %v", out.took.String(), out.writes, err)
	}
	if err := console.WriteJSON(out, 1); !errors.Is(err, errFull) {
		t.Errorf("got %v, want %v", err, errFull)
	}
}

// TestJSONTellsTheFirstFailure: the first failed write ends the output and is reported once.
func TestJSONTellsTheFirstFailure(t *testing.T) {
	t.Parallel()
	out := &full{takes: 1}
	j := console.NewJSON(out, clock)
	for range 3 {
		j.Observed(ready("host"))
	}
	err := j.Summary(summary())
	if !errors.Is(err, errFull) || strings.Count(err.Error(), errFull.Error()) != 1 || out.writes != 2 {
		t.Errorf("got %v after %d writes, want %v once after 2", err, out.writes, errFull)
	}
}
