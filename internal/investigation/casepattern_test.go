package investigation_test

import (
	"errors"
	"strings"
	"testing"

	"packhorse/internal/investigation"
)

func TestCasePattern(t *testing.T) {
	for _, tt := range []struct{ pattern, comment, want string }{
		{investigation.DefaultCasePattern, "INC-4711 suspicious PowerShell", "INC-4711"},
		{investigation.DefaultCasePattern, "for INC0012345.", "INC0012345"},
		{investigation.DefaultCasePattern, "see case 7, please", "case 7"},
		{investigation.DefaultCasePattern, "SIR0010001/INC-2", "SIR0010001"},
		{investigation.DefaultCasePattern, "CVE-2026-1234 T1059 MS-2026 KB123", ""},
		{investigation.DefaultCasePattern, "PRINCE-1 subcase 8x", ""},
		{investigation.DefaultCasePattern, "INC-" + strings.Repeat("1", 13), ""},
		{investigation.DefaultCasePattern, "", ""},
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
		t.Errorf("no pattern finds %q", got)
	}
	for _, bad := range []string{"(", `(?<=x)y`, strings.Repeat("a", 1001)} {
		if _, err := investigation.ParseCasePattern(bad); !errors.Is(err, investigation.ErrBadCasePattern) {
			t.Errorf("%.20q: got %v", bad, err)
		}
	}
}
