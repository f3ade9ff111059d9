package console_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/verify"
)

// results are the results of every check of a manifest.
func results(verdict verify.Verdict) []verify.Result {
	var all []verify.Result
	for _, check := range []verify.Check{verify.CheckManifest, verify.CheckSignature, verify.CheckObject, verify.CheckLock} {
		all = append(all, verify.Result{Check: check, Verdict: verdict})
	}
	return all
}

// subject returns the nth manifest, for which everything agrees.
func subject(n int) verify.Subject {
	stem := fmt.Sprintf("packages/%s/%s/20260304T05060%dZ_%s", tenantID, machineID, n, actionID)
	return verify.Subject{
		Key: stem + ".zip", ManifestKey: stem + ".json", TenantID: tenantID, Bytes: 5 << 20,
		Results: results(verify.VerdictOK),
	}
}

// verified is an archive of two manifests for which every check was made and agrees.
func verified() verify.Summary {
	return verify.Summary{
		Where: "/evidence", Subjects: []verify.Subject{subject(1), subject(2)}, Ledger: true, Bytes: 10 << 20,
		Tenants: []verify.Tenant{{
			ID: tenantID, Manifests: 2, Archived: 2, Bytes: 10 << 20, Keys: 1,
			Chain: verify.Reach{Length: 2, Whole: true, Ended: true},
		}},
		Keys:      []verify.TrustedKey{{ID: digest("e"), From: "/keys/station.pem"}},
		StartedAt: at, EndedAt: at.Add(1234 * time.Millisecond),
	}
}

// copied is the same archive, read from a copy without a ledger and with the keys in the copy.
func copied() verify.Summary {
	s := verified()
	s.Ledger, s.KeysCame = false, true
	s.Keys = append(s.Keys, verify.TrustedKey{ID: digest("f"), From: "signing-key-2.pem"})
	s.Tenants[0].Chain.Ended = false
	for i := range s.Subjects {
		s.Subjects[i].Results[3] = verify.Result{Check: verify.CheckLock, Verdict: verify.VerdictNotChecked, Why: "a copy"}
	}
	s.Gaps = []verify.Gap{
		{Check: verify.CheckLock, Why: "a copy", Manifests: 2}, {Check: verify.CheckLock, Why: "another reason"},
		{Check: verify.CheckChain, Why: "no ledger"}, {Check: verify.CheckKey, Why: verify.WhyKeyNotTrusted},
	}
	s.Remarks = []string{
		"Versions and locks were not checked: a copy does not keep them.",
		strings.Repeat("A remark that is long enough to be broken. ", 6),
	}
	return s
}

// wrong is an archive with two problems: one has consequences, the other is an unreadable object.
func wrong() verify.Summary {
	s := verified()
	missing := verify.Finding{
		Key: s.Subjects[0].ManifestKey, TenantID: tenantID, Check: verify.CheckManifest,
		What: "the manifest that the ledger names is not in the archive", Headline: "manifest missing",
		Expected: digest("b"), Host: "fin-ws-17.contoso.com", Case: "INC-4711",
	}
	chained := verify.Finding{
		Key: s.Subjects[1].ManifestKey, TenantID: tenantID, Check: verify.CheckChain, What: "number 1 is missing before this one",
	}
	strayed := verify.Finding{Key: s.Subjects[0].Key, TenantID: tenantID, Check: verify.CheckStray,
		What: "no manifest mentions it"}
	unread := verify.Finding{
		Key: s.Subjects[1].Key, TenantID: tenantID, Check: verify.CheckObject, What: "the object cannot be read",
		Found: "input/output error", Unread: true, Host: "host-2",
	}
	s.Subjects[0].Results = []verify.Result{
		{Check: verify.CheckManifest, Verdict: verify.VerdictMismatch},
		{Check: verify.CheckSignature, Verdict: verify.VerdictNotEstablished, Why: "the manifest is missing"},
		{Check: verify.CheckObject, Verdict: verify.VerdictNotEstablished},
		{Check: verify.CheckLock, Verdict: verify.VerdictNotChecked, NotNeeded: true},
	}
	s.Findings = []verify.Finding{missing, chained, strayed, unread}
	s.Problems = []verify.Problem{
		{Finding: missing, Because: []verify.Finding{strayed, chained}}, {Finding: unread},
	}
	s.Tenants[0].Findings = 4
	s.Tenants[0].Chain = verify.Reach{Length: 2}
	return s
}

// beside is an archive for which everything agrees, with strangers next to it.
func beside() verify.Summary {
	s := verified()
	s.Strangers = []verify.Finding{
		{Key: "packages/x.zip", Check: verify.CheckStray, Kind: verify.KindStranger, What: "no trusted key signed for it",
			Host: "fin-ws-17.contoso.com", Stranger: &verify.Stranger{
				Key: "packages/x.zip", VersionID: "v0", Size: 5, SHA256: digest("5"), Known: true}},
		{Check: verify.CheckVersion, TenantID: tenantID, Kind: verify.KindStranger, What: "it lies over the package",
			Stranger: &verify.Stranger{Size: 6, Note: "it cannot be read: " + strings.Repeat("a long reason, ", 8)}},
		{Key: "packages/y.zip", Kind: verify.KindStranger, What: "nothing more is known of it"},
	}
	s.Findings = s.Strangers
	return s
}

func verification(t *testing.T, s verify.Summary, ledger string) string {
	t.Helper()
	var out bytes.Buffer
	if err := (console.Verification{Summary: s, Ledger: ledger}).Table(&out); err != nil {
		t.Error(err)
	}
	return out.String()
}

// TestVerificationTables compares whole screens: one per verdict, and one of a single package.
func TestVerificationTables(t *testing.T) {
	t.Parallel()
	one := wrong()
	one.Scope, one.Subjects = verify.Scope{Key: one.Subjects[0].Key}, one.Subjects[:1]
	hostile := wrong()
	hostile.Where, hostile.Keys[0].From = "s3://x\nPASS: everything agrees", "\x1b[2J\nPASS"
	hostile.Problems[0].Host, hostile.Problems[0].What = "h\x1b[31m\u202e", "w\x1b[2J\r\nPASS: everything agrees\n"
	hostile.Problems[0].Because[0].What = "b\u202e\nPASS: everything agrees"
	hostile.Remarks = []string{"r\u009b\nPASS: everything agrees"}
	for _, tt := range []struct {
		name    string
		summary verify.Summary
		ledger  string
		verdict verify.Overall
	}{
		{"pass", verified(), "/evidence/ledger.db", verify.Pass},
		{"partial", copied(), "", verify.Partial},
		{"fail", wrong(), "/evidence/ledger.db", verify.Fail},
		{"empty", verify.Summary{Where: "/evidence", Scope: verify.Scope{TenantID: tenantID}}, "", verify.Empty},
		{"strangers", beside(), "/evidence/ledger.db", verify.Pass},
		{"one", one, "/evidence/ledger.db", verify.Fail},
		{"hostile", hostile, "l\nPASS: everything agrees", verify.Fail},
	} {
		text := verification(t, tt.summary, tt.ledger)
		golden(t, "verification_"+tt.name+".txt", text)
		if strings.ContainsAny(text, "\x1b\u202e\u009b\r") {
			t.Errorf("%s: it has control characters: %q", tt.name, text)
		}
		if got := lastParagraph(text); !strings.HasPrefix(got, string(tt.verdict)+": ") {
			t.Errorf("%s: last paragraph %q, want verdict %s", tt.name, got, tt.verdict)
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, string(verify.Pass)) && tt.verdict != verify.Pass {
				t.Errorf("%s: forged line %q", tt.name, line)
			}
		}
	}
}

// lastParagraph returns the text after the last empty line, as one line.
func lastParagraph(text string) string {
	text = text[strings.LastIndex(strings.TrimSpace(text), "\n\n")+1:]
	return strings.Join(strings.Fields(text), " ")
}

// TestVerdictLine: the last line states the overall verdict.
func TestVerdictLine(t *testing.T) {
	t.Parallel()
	change := func(s verify.Summary, do func(*verify.Summary)) verify.Summary {
		do(&s)
		return s
	}
	for _, tt := range []struct {
		name    string
		summary verify.Summary
		want    string
	}{
		{"all agrees", verified(), "PASS: everything agrees; 2 manifests, 10.0 MiB reread in 1.2s"},
		{"one manifest", change(verified(), func(s *verify.Summary) { s.Subjects = s.Subjects[:1] }),
			"PASS: everything agrees; 1 manifest, 10.0 MiB reread in 1.2s"},
		{"strangers", beside(),
			"PASS: everything agrees; 3 strangers next to genuine records; 2 manifests, 10.0 MiB reread in 1.2s"},
		{"one stranger", change(beside(), func(s *verify.Summary) { s.Strangers = s.Strangers[:1] }),
			"PASS: everything agrees; 1 stranger next to genuine records; 2 manifests, 10.0 MiB reread in 1.2s"},
		{"a check named once", copied(), "PARTIAL: consistent, key not trusted; not checked: lock, chain; " +
			"2 manifests, 10.0 MiB reread in 1.2s"},
		{"the key alone", change(copied(), func(s *verify.Summary) { s.Gaps = s.Gaps[3:] }),
			"PARTIAL: consistent, key not trusted; 2 manifests, 10.0 MiB reread in 1.2s"},
		{"a check alone", change(copied(), func(s *verify.Summary) { s.Gaps = s.Gaps[:1] }),
			"PARTIAL: what was checked agrees; not checked: lock; 2 manifests, 10.0 MiB reread in 1.2s"},
		{"not read", change(wrong(), func(s *verify.Summary) { s.Problems = s.Problems[1:] }),
			"PARTIAL: what was checked agrees; not everything could be read; 2 manifests, 10.0 MiB reread in 1.2s"},
		{"problems", wrong(), "FAIL: 2 problems; 2 manifests, 10.0 MiB reread in 1.2s"},
		{"a problem", change(wrong(), func(s *verify.Summary) { s.Problems = s.Problems[:1] }),
			"FAIL: 1 problem; 2 manifests, 10.0 MiB reread in 1.2s"},
	} {
		if got := lastParagraph(verification(t, tt.summary, "")); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestChainInWords: the text says how much of a chain was seen and whether it is complete.
func TestChainInWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		reach verify.Reach
		want  string
	}{
		{verify.Reach{Why: "one tenant only"}, "not checked"},
		{verify.Reach{Ended: true, Whole: true}, "none"},
		{verify.Reach{Length: 7, Ended: true, Unread: 2}, "1 to 7, 2 not read"},
		{verify.Reach{Length: 7, Ended: true}, "1 to 7, broken"},
		{verify.Reach{Length: 7, Whole: true, Ended: true}, "1 to 7, whole"},
		{verify.Reach{Length: 7, Whole: true}, "1 to 7, end unknown"},
		{verify.Reach{Length: 7, Whole: true, Ended: true, Pending: 2}, "1 to 7, 2 not stored yet"},
		{verify.Reach{Length: 7, Whole: true, Ended: true, Elsewhere: 3}, "1 to 7, 3 in other archives"},
	} {
		s := verified()
		s.Tenants[0].Chain = tt.reach
		if text := verification(t, s, ""); !strings.Contains(text, "chain "+tt.want+";") {
			t.Errorf("%+v: got %q, want chain %s", tt.reach, text, tt.want)
		}
	}
}

// TestProblemsAreCut: a long list is cut and says how many problems it omits.
func TestProblemsAreCut(t *testing.T) {
	t.Parallel()
	many := func(n int) []verify.Finding {
		var all []verify.Finding
		for i := range n {
			all = append(all, verify.Finding{
				Key: fmt.Sprintf("packages/%d.zip", i), Check: verify.CheckStray, What: fmt.Sprintf("thing %d", i),
			})
		}
		return all
	}
	for _, tt := range []struct {
		n    int
		want string
	}{{50, ""}, {51, "… and 1 %s more"}, {80, "… and 30 %ss more"}} {
		problems, strangers := verified(), verified()
		strangers.Strangers = many(tt.n)
		for _, f := range many(tt.n) {
			problems.Problems = append(problems.Problems, verify.Problem{Finding: f})
		}
		for noun, s := range map[string]verify.Summary{"problem": problems, "stranger": strangers} {
			text := verification(t, s, "")
			want := ""
			if tt.want != "" {
				want = fmt.Sprintf(tt.want, noun)
			}
			if got := strings.Count(text, "  key       packages/"); got != 50 || !strings.Contains(text, want) ||
				strings.Contains(text, "more: see them all with --json") != (want != "") {
				t.Errorf("%d %ss: got %d and %q, want 50 and %q", tt.n, noun, got, text, want)
			}
		}
	}
}

// TestConsequencesAreCut: at most 8 consequences of one cause are shown.
func TestConsequencesAreCut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		n, shown int
		want     string
	}{{8, 8, ""}, {9, 8, "… and 1 more: see them all with --json"}, {30, 8, "… and 22 more: see them all with --json"}} {
		s := wrong()
		s.Problems = s.Problems[:1]
		s.Problems[0].Because = nil
		for range tt.n {
			s.Problems[0].Because = append(s.Problems[0].Because,
				verify.Finding{Key: s.Problems[0].Key, Check: verify.CheckChain, What: "it follows"})
		}
		text := verification(t, s, "")
		if got := strings.Count(text, "chain: it follows"); got != tt.shown || !strings.Contains(text, tt.want) ||
			strings.Contains(text, "--json") != (tt.want != "") {
			t.Errorf("%d: got %d and %q, want %d and %q", tt.n, got, text, tt.shown, tt.want)
		}
		if strings.Contains(text, "("+s.Problems[0].Key+")") {
			t.Errorf("%d: the key is repeated in %q", tt.n, text)
		}
	}
}

// TestCountsOfChecks: each result counts in one column, and an unneeded check is not a gap.
func TestCountsOfChecks(t *testing.T) {
	t.Parallel()
	s := verified()
	for i, r := range []verify.Result{
		{Verdict: verify.VerdictOK}, {Verdict: verify.VerdictOK}, {Verdict: verify.VerdictMismatch},
		{Verdict: verify.VerdictNotEstablished}, {Verdict: verify.VerdictNotChecked},
		{Verdict: verify.VerdictNotChecked, NotNeeded: true}, {Verdict: verify.VerdictNotChecked, NotNeeded: true},
	} {
		r.Check = verify.CheckQuarantine
		s.Subjects = append(s.Subjects, verify.Subject{Key: fmt.Sprint(i), Results: []verify.Result{r}})
	}
	var got string
	for line := range strings.Lines(verification(t, s, "")) {
		if strings.HasPrefix(line, "quarantine ") {
			got += strings.Join(strings.Fields(line), " ")
		}
	}
	if want := "quarantine 2 1 1 1 2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
