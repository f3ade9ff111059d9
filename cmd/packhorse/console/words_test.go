package console_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/records"
	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// tricks steer a terminal, or change the order in which what follows them is shown.
var tricks = []rune{
	0, '\a', '\b', '\x1b', 0x7f, 0x80, 0x85, 0x9b, 0x9f, 0x061c, 0x200b, 0x200e, 0x200f, 0x2028,
	0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069, 0xfeff, 0x1d173, 0xe0001,
}

// trick is a word with all of them, quotes, and letters that stay as they are.
func trick() string { return `Gerät "№7" \u0041 調査 🐎 <&> ` + string(tricks) + "fdp.exe" }

func record() investigation.Record {
	return investigation.Record{
		Action: investigation.Action{
			ComputerDNSName: trick(), Requestor: trick(), RequestorComment: trick(), CaseID: trick(),
		},
		State: investigation.StateReady, Message: trick(), Receipt: investigation.Receipt{Key: trick()},
	}
}

// refused is a record of a package that there will not be.
func refused() investigation.Record {
	rec := record()
	rec.Receipt, rec.Reason, rec.State = investigation.Receipt{}, "Failed", investigation.StateNotCollected
	return rec
}

// shown fails if a trick is in the text, which may have line ends.
func shown(t *testing.T, name, text string) {
	t.Helper()
	for _, r := range tricks {
		if strings.ContainsRune(text, r) {
			t.Errorf("%s: %U is in %q", name, r, text)
		}
	}
	if !utf8.ValidString(text) || text == "" {
		t.Errorf("%s: %q", name, text)
	}
}

// Whatever is printed, no word from outside steers the terminal it is printed on; and whoever decodes a
// line of JSON gets the word as it was.
func TestWordsFromOutside(t *testing.T) {
	now := func() time.Time { return time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC) }
	finding := verify.Finding{What: trick(), Expected: trick(), Found: trick(), Key: trick()}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"run": func(out *bytes.Buffer) error {
			j := console.NewJSON(out, now)
			j.Observed(record())
			j.Fetching(record())
			j.Postponed(record(), errors.New("x"))
			j.Settled(record())
			j.Settled(refused())
			return j.Summary(console.Summary{Evidence: console.Evidence{Check: trick()}})
		},
		"verify": func(out *bytes.Buffer) error {
			j := console.NewVerifyJSON(out)
			j.Found(finding)
			j.Checked(verify.Subject{Key: trick(), Results: []verify.Result{{Why: trick()}}})
			return j.Summary(verify.Summary{Where: trick()})
		},
		"list": func(out *bytes.Buffer) error {
			return records.JSON(out, []investigation.Record{record(), refused()})
		},
	} {
		var out bytes.Buffer
		if err := write(&out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		shown(t, name, out.String())
		for line := range strings.Lines(out.String()) {
			var values map[string]any
			if err := json.Unmarshal([]byte(line), &values); err != nil {
				t.Errorf("%s: %v in %q", name, err, line)
			}
			for _, key := range []string{"computerDnsName", "requestor", "message", "key", "caseId", "what"} {
				if got, ok := values[key].(string); ok && got != trick() && got != "" {
					t.Errorf("%s: %s came back as %q", name, key, got)
				}
			}
		}
		if !strings.Contains(out.String(), "調査 🐎") || !strings.Contains(out.String(), `\u202e`) {
			t.Errorf("%s: it shows %q", name, out.String())
		}
	}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"lines": func(out *bytes.Buffer) error {
			l := console.NewLines(out, now)
			l.Observed(record())
			l.Fetching(record())
			l.Postponed(record(), errors.New("x"))
			l.Settled(refused())
			return nil
		},
		"table of list": func(out *bytes.Buffer) error {
			return records.Table(out, []investigation.Record{record(), refused()})
		},
		"table of verify": func(out *bytes.Buffer) error {
			return console.Verification{Summary: verify.Summary{
				Where: trick(), Findings: []verify.Finding{finding},
			}, Ledger: trick()}.Table(out)
		},
		"text": func(out *bytes.Buffer) error {
			_, err := out.WriteString(console.CleanText(trick() + "\n" + trick()))
			if n := strings.Count(out.String(), "\n"); n != 1 {
				t.Errorf("it has %d line ends", n)
			}
			return err
		},
	} {
		var out bytes.Buffer
		if err := write(&out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		shown(t, name, out.String())
	}
}
