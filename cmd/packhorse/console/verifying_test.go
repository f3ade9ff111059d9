package console_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
)

const large = 16 << 20 // from here on an object gets its own bar

// signed is a subject with a readable manifest.
func signed() verify.Subject {
	s := subject(1)
	s.Manifest = manifest.Manifest{
		Outcome: manifest.OutcomeArchived, Chain: manifest.Chain{Sequence: 7},
		Action: manifest.Action{ComputerDNSName: "fin-ws-17.contoso.com", CaseID: "INC-4711"},
	}
	return s
}

// TestVerifyJSONFields pins names and order, because scripts depend on them.
func TestVerifyJSONFields(t *testing.T) {
	t.Parallel()
	const results = " check verdict check verdict check verdict check verdict"
	for _, tt := range []struct {
		name string
		tell func(*console.VerifyJSON)
		want string
	}{
		{"checked", func(j *console.VerifyJSON) { j.Checked(signed()) },
			"event time version key manifestKey tenantId actionId machineId computerDnsName outcome sequence bytes ok host case checks" + results},
		{"checked", func(j *console.VerifyJSON) { j.Checked(subject(1)) }, // with an unreadable manifest
			"event time version key manifestKey tenantId actionId machineId computerDnsName bytes ok checks" + results},
		{"mismatch", func(j *console.VerifyJSON) { j.Found(wrong().Findings[0]) },
			"event time version key tenantId check what expected headline host case actionId machineId computerDnsName"},
		{"unread", func(j *console.VerifyJSON) { j.Found(wrong().Findings[3]) },
			"event time version key tenantId check what found unread host actionId machineId computerDnsName"},
		{"stranger", func(j *console.VerifyJSON) { j.Found(beside().Strangers[0]) },
			"event time version key check what host kind stranger key versionId size sha256 known actionId machineId computerDnsName"},
		{"verified", func(j *console.VerifyJSON) { _ = j.Summary(verify.Summary{}) },
			"event time version ok archive manifests bytes findings ledger tenants keys keysFromArchive otherObjects remarks " +
				"durationSeconds verdict headline problems incomplete strangers tenantsPresent"},
	} {
		var out bytes.Buffer
		tt.tell(console.NewVerifyJSON(&out, clock))
		if got := fields(t, out.String()); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if !strings.HasPrefix(out.String(), `{"event":"`+tt.name+`",`) {
			t.Errorf("got %q, want the event %s first", out.String(), tt.name)
		}
	}
}

// TestVerifyJSONLines compares whole verifications, byte for byte.
func TestVerifyJSONLines(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]verify.Summary{
		"pass": verified(), "partial": copied(), "fail": wrong(), "strangers": beside(),
		"empty": {Where: "/evidence", Scope: verify.Scope{TenantID: tenantID}},
	} {
		var out bytes.Buffer
		j := console.NewVerifyJSON(&out, clock)
		j.Begin(len(s.Subjects), s.Bytes)
		for _, sub := range s.Subjects {
			if got := j.Reading(sub.Key, sub.Bytes, &out); got != &out {
				t.Errorf("%s: got reader %v, want the same one", name, got)
			}
			j.Checked(sub)
		}
		for _, f := range s.Findings {
			j.Found(f)
		}
		if err := j.Summary(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden(t, "verify_"+name+".jsonl", out.String())
	}
}

// TestVerifyJSONSaysOK: ok is true only if there is evidence and nothing contradicts it.
func TestVerifyJSONSaysOK(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		summary verify.Summary
		want    string
	}{
		{"pass", verified(), `"ok":true,`},
		{"partial", copied(), `"ok":true,`},
		{"strangers", beside(), `"ok":true,`},
		{"fail", wrong(), `"ok":false,`},
		{"empty", verify.Summary{Scope: verify.Scope{TenantID: tenantID}}, `"ok":false,`},
	} {
		var out bytes.Buffer
		if err := console.NewVerifyJSON(&out, clock).Summary(tt.summary); err != nil || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%s: got %s (%v), want %s", tt.name, out.String(), err, tt.want)
		}
	}
}

// TestVerifyJSONTellsTheFirstFailure: the first failed write ends the output and is reported once.
func TestVerifyJSONTellsTheFirstFailure(t *testing.T) {
	t.Parallel()
	out := &full{takes: 1}
	j := console.NewVerifyJSON(out, clock)
	for range 3 {
		j.Checked(subject(1))
	}
	err := j.Summary(verified())
	if !errors.Is(err, errFull) || strings.Count(err.Error(), errFull.Error()) != 1 || out.writes != 2 {
		t.Errorf("got %v after %d writes, want %v once after 2", err, out.writes, errFull)
	}
}

// TestQuietSaysNothing: Quiet returns the reader unchanged.
func TestQuietSaysNothing(t *testing.T) {
	t.Parallel()
	var q console.Quiet
	q.Begin(1, 2)
	q.Checked(subject(1))
	q.Found(verify.Finding{})
	want := strings.NewReader("PK")
	if got := q.Reading("key", 2, want); got != want {
		t.Errorf("got %v, want the same reader", got)
	}
}

// TestVerifyBarsAtTwoWidths plays one verification on a narrow and on a wide terminal.
func TestVerifyBarsAtTwoWidths(t *testing.T) {
	for _, width := range []int{80, 120} {
		synctest.Test(t, func(t *testing.T) {
			s := &screen{width: width, height: 24}
			bars := console.NewVerifyBarsOn(s)
			var got strings.Builder
			bars.Begin(3, 2*large+5)
			first, second := subject(1), subject(2)
			one := bars.Reading(first.Key, large, body(large))
			two := bars.Reading(second.Key, large, body(large))
			small := bars.Reading("small", 5, body(5))
			got.WriteString(s.text("three objects are opened, one of them small"))
			pull(t, one, large/2)
			pull(t, two, large/4)
			pull(t, small, 5)
			for _, f := range append(wrong().Findings, beside().Strangers[0]) {
				bars.Found(f)
			}
			got.WriteString(s.text("half of one and a quarter of the other were read"))
			if _, err := io.Copy(io.Discard, one); err != nil {
				t.Error(err)
			}
			bars.Checked(first)
			got.WriteString(s.text("one was read to its end"))
			bars.Close()
			got.WriteString(s.text("closed"))
			golden(t, fmt.Sprintf("verifybars%d.txt", width), got.String())
		})
	}
}

// TestVerifyBarsForLargeObjects: only large objects get a bar, because small ones would flicker.
func TestVerifyBarsForLargeObjects(t *testing.T) {
	for _, tt := range []struct{ size, want int64 }{{0, 1}, {large - 1, 1}, {large, 2}, {5 << 30, 2}} {
		synctest.Test(t, func(t *testing.T) {
			s := &screen{width: 80, height: 24}
			bars := console.NewVerifyBarsOn(s)
			bars.Begin(1, tt.size)
			bars.Reading("packages/object.zip", tt.size, body(0))
			_, got := s.shows()
			bars.Close()
			if int64(len(got)) != tt.want {
				t.Errorf("%d bytes: got %q, want %d bars", tt.size, got, tt.want)
			}
		})
	}
}

// TestVerifyBarsPassErrorsOn: a disk error is passed on and not taken for the end of the object.
func TestVerifyBarsPassErrorsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bars := console.NewVerifyBarsOn(&screen{width: 80, height: 24})
		defer bars.Close()
		bars.Begin(1, large)
		errDisk := errors.New("input/output error")
		r := bars.Reading("key", large, io.MultiReader(body(7), failing{errDisk}))
		if n, err := io.Copy(io.Discard, r); n != 7 || !errors.Is(err, errDisk) {
			t.Errorf("got %d bytes, %v, want 7, %v", n, err, errDisk)
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestFindingsScroll: each finding is one line without control characters that names the package's host.
func TestFindingsScroll(t *testing.T) {
	for _, tt := range []struct {
		finding verify.Finding
		want    string
	}{
		{verify.Finding{Key: "a/b.zip", TenantID: "t", Check: verify.CheckObject, What: "it differs", Host: "h", Headline: "short"},
			"FAIL  object h: short"},
		{verify.Finding{Key: "a/b.zip", TenantID: "t", Check: verify.CheckObject, What: "it differs"},
			"FAIL  object b.zip: it differs"},
		{verify.Finding{Key: "k", Check: verify.CheckObject, What: "it cannot be read", Unread: true},
			"NOT READ  object k: it cannot be read"},
		{verify.Finding{Key: "k", Check: verify.CheckStray, What: "unknown", Kind: verify.KindStranger},
			"STRANGER  stray k: unknown"},
		{verify.Finding{Key: "k", Check: verify.CheckObject, What: "a\x1b[2J\nPASS\u202e"},
			"FAIL  object k: a [2J PASS"},
		{verify.Finding{Key: "k", Check: verify.CheckObject, What: strings.Repeat("x", 200)},
			"FAIL  object k: " + strings.Repeat("x", 62)},
		{verify.Finding{Key: "k", Check: verify.CheckObject, What: strings.Repeat("漢", 200)},
			"FAIL  object k: " + strings.Repeat("漢", 31)},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &screen{width: 120, height: 24}
			bars := console.NewVerifyBarsOn(s)
			bars.Begin(1, 1)
			bars.Found(tt.finding)
			s.shows()
			scrolled, _ := s.shows()
			bars.Close()
			if len(scrolled) != 1 || scrolled[0] != tt.want {
				t.Errorf("%+v: got %q, want %q", tt.finding, scrolled, tt.want)
			}
		})
	}
}

// TestVerifyBarsClosed: Close can be called twice, even before Begin, and later findings do no harm.
func TestVerifyBarsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 80, height: 24}
		bars := console.NewVerifyBarsOn(s)
		bars.Close()
		bars.Close()
		bars.Found(verify.Finding{Key: "late"})
		bars.Checked(verify.Subject{Key: "late"})
		if scrolled, left := s.shows(); len(scrolled)+len(left) > 0 {
			t.Errorf("got %q and %q, want an empty screen", scrolled, left)
		}
	})
}

// TestVerifyBarsLeaveNothing: after Close only the findings stay on the screen.
func TestVerifyBarsLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 80, height: 24}
		bars := console.NewVerifyBarsOn(s)
		bars.Begin(2, 2*large)
		pull(t, bars.Reading("one", large, body(large)), large)
		bars.Reading("two", large, body(large))
		bars.Found(verify.Finding{Key: "one", Check: verify.CheckObject, What: "it differs"})
		time.Sleep(time.Second)
		bars.Close()
		if scrolled, left := s.shows(); len(scrolled) != 1 || len(left) != 0 {
			t.Errorf("got %q and %q, want one finding", scrolled, left)
		}
	})
}

// TestVerifyBarsOfTwoVersions: one check reads two versions of an object with different sizes. Each gets a bar,
// both bars disappear, and Close returns.
func TestVerifyBarsOfTwoVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 80, height: 24}
		bars := console.NewVerifyBarsOn(s)
		bars.Begin(1, large)
		named := bars.Reading("packages/a.zip", large, body(large))
		above := bars.Reading("packages/a.zip", large, body(2*large))
		if _, drawn := s.shows(); len(drawn) != 3 {
			t.Errorf("reading two: got %q, want two bars and the total", drawn)
		}
		for _, r := range []io.Reader{named, above} {
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Error(err)
			}
		}
		bars.Checked(verify.Subject{Key: "packages/a.zip"})
		s.shows()
		if _, drawn := s.shows(); len(drawn) != 1 || !strings.HasPrefix(drawn[0], "all ") {
			t.Errorf("after reading both: got %q, want only the total", drawn)
		}
		bars.Close()
	})
}

// TestVerifyBarsOfAStranger: Checked is never called for a stranger; its bar disappears after the last byte.
func TestVerifyBarsOfAStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 80, height: 24}
		bars := console.NewVerifyBarsOn(s)
		defer bars.Close()
		bars.Begin(1, large)
		if _, err := io.Copy(io.Discard, bars.Reading("packages/a~1.zip", large, body(large))); err != nil {
			t.Error(err)
		}
		s.shows()
		if _, drawn := s.shows(); len(drawn) != 1 || !strings.HasPrefix(drawn[0], "all ") {
			t.Errorf("got %q, want only the total", drawn)
		}
	})
}
