package investigation_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"packhorse/internal/investigation"
)

// The default finds case ids, and ignores what only looks like one.
func TestDefaultCases(t *testing.T) {
	for _, tt := range []struct{ comment, want string }{
		{"INC-4711 suspicious PowerShell", "INC-4711"},
		{"for INC0012345.", "INC0012345"},
		{"see case 7, please", "case 7"},
		{"SIR0010001/INC-2", "SIR0010001"},
		{"inc 12", "inc 12"},
		{"Sec:5", "Sec:5"},
		{"Incident 1234, that is INC-4711", "INC-4711"}, // releases before the second pattern found it too
		{"CVE-2026-1234 T1059 MS-2026 KB123", ""},
		{"PRINCE-1 subcase 8x", ""},
		{"INC-" + strings.Repeat("1", 13), ""},
		{"", ""},

		{"Incident #24000", "INCIDENT-24000"},
		{"Incident 1234", "INCIDENT-1234"},
		{"Incident ID: 77", "INCIDENT-77"},
		{"inc #12", "INC-12"},
		{"INC#12", "INC-12"},
		{"INC # 12", "INC-12"},
		{"Incident-5", "INCIDENT-5"},
		{"just in case - 5 hosts", ""},
		{"incident id 77 and more", "INCIDENT-77"},
		{"Incident-24000: ransomware", "INCIDENT-24000"},
		{"(incident: 24000)", "INCIDENT-24000"},
		{"Incident24000.", "INCIDENT-24000"},
		{"see\nIncident\n24000\nplease", "INCIDENT-24000"},
		{"Incident Number = 5;", "INCIDENT-5"},
		{"Case ID #9/urgent", "CASE-9"},
		{"ticket no. 55", "TICKET-55"},
		{"SEC #8", "SEC-8"},
		{"case: 4711", "CASE-4711"},
		{"incident #7 and incident #8", "INCIDENT-7"},
		{"incident 2 hours ago, incident 2024-11-25, Incident 4711", "INCIDENT-4711"},
		{"Incident #" + strings.Repeat("1", 13), ""},

		{"Detection rule 7066", ""},
		{"CVE-2026-1234", ""},
		{"T1059", ""},
		{"security 2026, since 2024, ticketing 500, include 1200, encase #12, incidental 500", ""},
		{"incidents 2024, incident report 2024, incident response 4711", ""},
		{"the incident 2 days ago on incident: 3 hosts", ""},
		{"incident 2024-11-25, incident 10:30, incident 192.168.0.1, incident 100%", ""},
		{"incident 1,200 events, incident 500ms, incident 1234_5", ""},
		{"10 sec: 500, ir: 300 hosts", ""},
		{"incident #none, incident id: x9", ""},
	} {
		if got := investigation.DefaultCases().Find(tt.comment); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.comment, got, tt.want)
		}
	}
}

// FuzzCases feeds any comment. An id that Find returns is valid as a tag's value, and Find finds it in
// itself.
func FuzzCases(f *testing.F) {
	for _, comment := range []string{"INC-4711", "Incident ID: 77", "inc #12", "tic\u212Aet #5", "\xff"} {
		f.Add(comment)
	}
	cases := investigation.DefaultCases()
	form := regexp.MustCompile(`^[A-Za-z]+[-#: ]?[0-9]{1,12}$`)
	f.Fuzz(func(t *testing.T, comment string) {
		id := cases.Find(comment)
		if id == "" {
			return
		}
		if !form.MatchString(id) || strings.Contains(id, "#") {
			t.Errorf("%q: got %q", comment, id)
		}
		if again := cases.Find(id); again != id {
			t.Errorf("%q in %q: got %q", id, id, again)
		}
	})
}

func TestCasePattern(t *testing.T) {
	for _, tt := range []struct{ pattern, comment, want string }{
		{`ticket=(\w+)`, "x ticket=AB12 y", "AB12"},
		{`ticket=(\w+)?`, "x ticket= y", ""},
		{`.+`, "  spaces around  ", "spaces around"},
		{`.+`, strings.Repeat("a", 65), ""},
		{`.+`, "what S3 takes in no tag: <é>", ""},
		{`x*`, "abc", ""},
	} {
		pattern, err := investigation.ParseCasePattern(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := pattern.Find(tt.comment); got != tt.want {
			t.Errorf("%q in %q: got %q, want %q", tt.pattern, tt.comment, got, tt.want)
		}
	}
	if got := (investigation.CasePattern{}).Find("INC-1"); got != "" {
		t.Errorf("the zero CasePattern found %q", got)
	}
	for _, bad := range []string{"(", `(?<=x)y`, strings.Repeat("a", 1001)} {
		if _, err := investigation.ParseCasePattern(bad); !errors.Is(err, investigation.ErrBadCasePattern) {
			t.Errorf("%.20q: got %v", bad, err)
		}
	}
}
