package event_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"packhorse/internal/event"
	"packhorse/internal/investigation"
)

// plainForm is what may stand unescaped in JSON, Markdown and a shell's arguments.
var plainForm = regexp.MustCompile(`^[\p{L}\p{Nd} .\-_@+=/#?]{1,100}$`)

func plainOf(host, requestor, caseID string) event.Plain {
	rec := archived()
	rec.ComputerDNSName, rec.Requestor, rec.CaseID = host, requestor, caseID
	return announced(rec).(event.Archived).Plain
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		host, requestor, caseID string
		want                    event.Plain
	}{
		{"fin-ws-17.contoso.com", "a.lindqvist+ir@contoso.com", "INC/2026#4711",
			event.Plain{Host: "fin-ws-17.contoso.com", Requestor: "a.lindqvist+ir@contoso.com", CaseID: "INC/2026#4711"}},
		{"", "", "", event.Plain{Host: archived().MachineID, Requestor: "unknown", CaseID: "none"}},
		{" \n", " ", "\t", event.Plain{Host: archived().MachineID, Requestor: "unknown", CaseID: "none"}},
		{`h",\n"version":"2`, "<!channel> `x`", "[a](https://b)",
			event.Plain{Host: "h???n?version???2", Requestor: "??channel? ?x?", CaseID: "?a??https?//b?"}},
		{"a\nb\u202ec\x1b[2J", `CONTOSO\Ünï漢`, "*x*|~y~",
			event.Plain{Host: "a?b?c??2J", Requestor: "CONTOSO?Ünï漢", CaseID: "?x???y?"}},
		{"\xff\u2028", strings.Repeat("é", 300), "$(id);'&",
			event.Plain{Host: "?", Requestor: strings.Repeat("é", 100), CaseID: "??id????"}},
	} {
		if got := plainOf(test.host, test.requestor, test.caseID); got != test.want {
			t.Errorf("%q: got %+v, want %+v", test.host, got, test.want)
		}
	}
	rec := notCollected()
	if got := announced(rec).(event.NotCollected).Plain; got.Host != rec.ComputerDNSName || got.Requestor != rec.Requestor ||
		got.CaseID != rec.CaseID {
		t.Errorf("got %+v", got)
	}
}

// Whatever people write, a Plain can be spliced into a JSON string as it is.
func FuzzPlain(f *testing.F) {
	for _, seed := range []string{hostile, canaryLink, "", `\"`, "\xff", "漢字"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := plainOf(text, text, text)
		for _, field := range []string{got.Host, got.Requestor, got.CaseID} {
			var back string
			if !plainForm.MatchString(field) || !utf8.ValidString(field) {
				t.Errorf("%q became %q", text, field)
			}
			if err := json.Unmarshal([]byte(`"`+field+`"`), &back); err != nil || back != field {
				t.Errorf("%q became %q, which JSON reads as %q, %v", text, field, back, err)
			}
		}
	})
}

// A record without any text is still a message that a person can read.
func TestPlainOfNothing(t *testing.T) {
	t.Parallel()
	want := event.Plain{Host: "unknown", Requestor: "unknown", CaseID: "none"}
	if got := announced(investigation.Record{}).(event.Archived).Plain; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
