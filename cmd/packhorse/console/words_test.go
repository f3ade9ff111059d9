package console_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/records"
	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// tricks are characters that control a terminal or change the order of the text after them.
var tricks = []rune{
	0, '\a', '\b', '\x1b', 0x7f, 0x80, 0x85, 0x9b, 0x9f, 0x061c, 0x200b, 0x200e, 0x200f, 0x2028,
	0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069, 0xfeff, 0x1d173, 0xe0001,
}

// trick is a word with all tricks, quotes, and ordinary letters.
func trick() string { return `Gerät "№7" \u0041 調査 🐎 <&> ` + string(tricks) + "fdp.exe" }

func record() investigation.Record {
	return investigation.Record{
		Action: investigation.Action{
			ComputerDNSName: trick(), Requestor: trick(), RequestorComment: trick(), CaseID: trick(),
		},
		State: investigation.StateReady, Message: trick(), Receipt: investigation.Receipt{Key: trick()},
	}
}

// refused is the record of a package that will never exist.
func refused() investigation.Record {
	rec := record()
	rec.Receipt, rec.Reason, rec.State = investigation.Receipt{}, "Failed", investigation.StateNotCollected
	return rec
}

// shown fails the test if the text contains a trick other than a line break.
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

// What scripts and people are shown, by what shows it.
type shows map[string]func(*bytes.Buffer) error

func nine() time.Time { return time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC) }

func trickyFinding() verify.Finding {
	return verify.Finding{What: trick(), Expected: trick(), Found: trick(), Key: trick()}
}

func toScripts() shows {
	return shows{
		"run": func(out *bytes.Buffer) error {
			j := console.NewJSON(out, nine)
			j.Observed(record())
			j.Fetching(record())
			j.Postponed(record(), errors.New("x"))
			j.Decided(record())
			j.Decided(refused())
			return j.Summary(console.Summary{Evidence: console.Evidence{Check: trick()}})
		},
		"verify": func(out *bytes.Buffer) error {
			j := console.NewVerifyJSON(out, clock)
			j.Found(trickyFinding())
			j.Checked(verify.Subject{Key: trick(), Results: []verify.Result{{Why: trick()}}})
			return j.Summary(verify.Summary{Where: trick()})
		},
		"list": func(out *bytes.Buffer) error {
			return records.JSON(out, []investigation.Record{record(), refused()}, nine())
		},
	}
}

func toPeople(t *testing.T) shows {
	return shows{
		"lines": func(out *bytes.Buffer) error {
			l := console.NewLines(out, nine)
			l.Observed(record())
			l.Fetching(record())
			l.Postponed(record(), errors.New("x"))
			l.Decided(refused())
			return nil
		},
		"table of list": func(out *bytes.Buffer) error {
			return records.Table(out, []investigation.Record{record(), refused()}, records.Layout{Now: nine()})
		},
		"table of verify": func(out *bytes.Buffer) error {
			return console.Verification{Summary: verify.Summary{
				Where: trick(), Findings: []verify.Finding{trickyFinding()},
			}, Ledger: trick()}.Table(out)
		},
		"text": func(out *bytes.Buffer) error {
			_, err := out.WriteString(console.CleanText(trick() + "\n" + trick()))
			if n := strings.Count(out.String(), "\n"); n != 1 {
				t.Errorf("got %d line breaks", n)
			}
			return err
		},
	}
}

// TestWordsFromOutside: foreign text never controls the terminal in any output, and decoding a line of JSON
// returns the original text.
func TestWordsFromOutside(t *testing.T) {
	for name, write := range toScripts() {
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
			t.Errorf("%s: output %q", name, out.String())
		}
	}
	for name, write := range toPeople(t) {
		var out bytes.Buffer
		if err := write(&out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		shown(t, name, out.String())
	}
}

// TestBytes: sizes have binary units and one decimal.
func TestBytes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		n    int64
		want string
	}{
		{0, "0 B"},
		{1, "1 B"},
		{1023, "1023 B"},
		{1024, "1.0 KiB"},
		{1536, "1.5 KiB"},
		{1<<20 - 1, "1.0 MiB"},
		{1<<20 - 52, "1023.9 KiB"},
		{1 << 20, "1.0 MiB"},
		{1<<30 - 1, "1.0 GiB"},
		{5<<30 + 1<<29, "5.5 GiB"},
		{3 << 40, "3.0 TiB"},
		{5000 << 40, "5000.0 TiB"},
	} {
		if got := console.Bytes(tt.n); got != tt.want {
			t.Errorf("%d: got %q, want %q", tt.n, got, tt.want)
		}
	}
}

// TestClean: foreign text becomes one line that fits a column, with hidden characters replaced.
func TestClean(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{"fin-ws-17.contoso.com", "fin-ws-17.contoso.com"},
		{"Gerät №7 調査 🐎", "Gerät №7 調査 🐎"},
		{"a\tb\nc\x1b[2J\u202ed\u00a0e", "a?b?c?[2J?d?e"},
		{"broken \xff\xfe", "broken \ufffd\ufffd"},
		{strings.Repeat("x", 40), strings.Repeat("x", 40)},
		{strings.Repeat("x", 41), strings.Repeat("x", 39) + "…"},
		{strings.Repeat("漢", 20), strings.Repeat("漢", 20)},
		{strings.Repeat("漢", 21), strings.Repeat("漢", 19) + "…"},
		{strings.Repeat("e\u0301", 40), strings.Repeat("e\u0301", 40)},
		{strings.Repeat("é", 100), strings.Repeat("é", 39) + "…"},
	} {
		if got := console.Clean(tt.text); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

// TestCleanLineAndText: hidden characters become spaces, and only CleanText keeps line breaks.
func TestCleanLineAndText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, line, kept string }{
		{"", "", ""},
		{strings.Repeat("x", 200), strings.Repeat("x", 200), strings.Repeat("x", 200)},
		{"a\nb", "a b", "a\nb"},
		{"a\r\nb\x1b[2J\n", "a  b [2J ", "a \nb [2J\n"},
		{"\u2028\u202e調査", "  調査", "  調査"},
	} {
		if got := console.CleanLine(tt.text); got != tt.line {
			t.Errorf("CleanLine(%q): got %q, want %q", tt.text, got, tt.line)
		}
		if got := console.CleanText(tt.text); got != tt.kept {
			t.Errorf("CleanText(%q): got %q, want %q", tt.text, got, tt.kept)
		}
	}
}

// TestShellQuote: words that shells take literally stay unchanged; everything else is quoted.
func TestShellQuote(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"", "''"},
		{"data", "data"},
		{"/var/lib/packhorse", "/var/lib/packhorse"},
		{"s3://bucket/key", "s3://bucket/key"},
		{"a-b_c@d%e+f:g,h.i", "a-b_c@d%e+f:g,h.i"},
		{"two words", "'two words'"},
		{"it's", `'it'\''s'`},
		{"$(id)", "'$(id)'"},
		{"`id`", "'`id`'"},
		{"a;b|c&d", "'a;b|c&d'"},
		{"*?[a]{b}~!#", "'*?[a]{b}~!#'"},
		{"line\nend", "'line\nend'"},
		{"end\n", "'end\n'"},
		{"=ls", "'=ls'"},
		{"a=b", "a=b"},
		{"~root", "'~root'"},
		{"--help", "'--help'"},
		{"調査", "'調査'"},
	} {
		if got := console.ShellQuote(tt.text); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.text, got, tt.want)
		}
	}
}

// TestShellAgrees lets a shell parse the quoted words.
func TestShellAgrees(t *testing.T) {
	t.Parallel()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh here")
	}
	for _, text := range []string{
		"", "plain", "two words", "it's", "'", "''", `\`, `a\'b`, "$HOME `id` $(id)", "*", "~", "!!", "a\nb\n", "\t",
		`"double"`, "--", "-n", "#", "a=b", "調査", "\x1b[2J\u202e",
	} {
		out, err := exec.CommandContext(t.Context(), shell, "-c", "printf '<%s>' "+console.ShellQuote(text)).Output()
		if want := "<" + text + ">"; err != nil || string(out) != want {
			t.Errorf("%q: got %q (%v), want %q", text, out, err, want)
		}
	}
}

// TestFill: lines have at most 100 characters and their indent, and words are neither split nor lost.
func TestFill(t *testing.T) {
	t.Parallel()
	word := strings.Repeat("w", 9)
	ten := strings.TrimSpace(strings.Repeat(word+" ", 10)) // 99 characters
	for _, tt := range []struct{ name, text, first, next, want string }{
		{"nothing", "", "", "", ""},
		{"nothing after a label", " \n ", "Note: ", "      ", "Note: "},
		{"one word", "a", "Note: ", "      ", "Note: a"},
		{"spaces fold", " a \n b\t c ", "", "", "a b c"},
		{"100 characters", ten + "w", "", "", ten + "w"},
		{"101 characters", ten + " w", "", "> ", ten + "\n> w"},
		{"the label counts", ten, "> ", "  ", "> " + strings.TrimSuffix(ten, " "+word) + "\n  " + word},
		{"the indent counts", ten + " " + ten, "", strings.Repeat(" ", 12), ten + "\n" + strings.Repeat(" ", 12) +
			strings.TrimSuffix(ten, " "+word+" "+word) + "\n" + strings.Repeat(" ", 12) + word + " " + word},
		{"a long word stands alone", "a " + strings.Repeat("x", 120) + " b", "", "  ",
			"a\n  " + strings.Repeat("x", 120) + "\n  b"},
		{"a long word first", strings.Repeat("x", 120) + " b", "L ", "  ", "L " + strings.Repeat("x", 120) + "\n  b"},
		{"columns, not letters", strings.Repeat("漢", 49) + " 漢 漢", "", "", strings.Repeat("漢", 49) + "\n漢 漢"},
		{"letters, not bytes", strings.Repeat("é", 49) + " " + strings.Repeat("é", 50), "", "",
			strings.Repeat("é", 49) + " " + strings.Repeat("é", 50)},
	} {
		if got := console.Fill(tt.text, tt.first, tt.next); got != tt.want {
			t.Errorf("%s: got\n%q, want\n%q", tt.name, got, tt.want)
		}
	}
}
