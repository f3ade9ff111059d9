package report

import (
	"fmt"
	"strings"

	"packhorse/internal/verify"
)

// verdictOf describes the verdict and its time.
func verdictOf(sum verify.Summary) (class, text string) {
	verdict, at := sum.Verdict(), when(sum.EndedAt)
	switch verdict {
	case verify.Pass:
		text = fmt.Sprintf("PASS on %s: everything the record calls for was checked, and agrees.", at)
	case verify.Partial:
		text = fmt.Sprintf("PARTIAL on %s: %s.", at, clean(sum.Headline()))
	default:
		text = fmt.Sprintf("%s on %s: %s. Do not rely on this report until that is explained.", verdict, at,
			clean(sum.Headline()))
	}
	return string(verdict), text
}

// verification lists the checks just made.
func (w writer) verification() Section {
	about := map[verify.Check]string{
		verify.CheckManifest:   "The record (manifest) is complete and in its place",
		verify.CheckSignature:  "Its digital signature was made with the key it names",
		verify.CheckObject:     "The file exists and has the recorded SHA-256",
		verify.CheckVersion:    "The file was neither replaced nor deleted in the archive",
		verify.CheckLock:       "The file is locked against deletion as recorded",
		verify.CheckQuarantine: "The file received in its place is stored, unchanged",
		verify.CheckLedger:     "The independent ledger agrees",
	}
	if w.m.Object == nil {
		about[verify.CheckObject] = "No file is stored, as recorded"
	}
	s := Section{Title: "Result of verifying it now", Pairs: true}
	for _, r := range w.s.Results {
		word := checkWord(r)
		if r.Why != "" {
			s.Pairs = false
		}
		s.Facts = append(s.Facts, Fact{about[r.Check], word, false})
	}
	s.Lines = problemLines(w.sum)
	if w.sum.KeyNotTrusted() {
		s.Paragraphs = []string{"The public key was taken from the archive itself. Compare its id (below) " +
			"with a copy kept elsewhere."}
	}
	return s
}

// checkWord describes the result of a check.
func checkWord(r verify.Result) string {
	word := map[verify.Verdict]string{
		verify.VerdictOK: "agrees", verify.VerdictMismatch: "DOES NOT AGREE",
		verify.VerdictNotChecked: "not checked", verify.VerdictNotEstablished: "not established",
	}[r.Verdict]
	if r.NotNeeded {
		word = "not needed"
	}
	if r.Why != "" {
		word += ": " + clean(r.Why)
	}
	return word
}

// problemLines describes each problem and its consequences.
func problemLines(sum verify.Summary) []string {
	var lines []string
	for _, p := range sum.Problems {
		line := clean(p.Error())
		if p.Headline != "" && !strings.Contains(p.What, p.Headline) {
			line = clean(p.Headline) + ": " + line
		}
		if len(p.Because) > 0 {
			var also []string
			for _, f := range p.Because {
				also = append(also, clean(string(f.Check)+": "+f.What))
			}
			line += ". It also causes: " + strings.Join(also, "; ")
		}
		lines = append(lines, line+".")
	}
	return lines
}
