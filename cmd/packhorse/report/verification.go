package report

import (
	"fmt"
	"strings"

	"packhorse/internal/verify"
)

// verdictOf says what the verification came to, and when.
func verdictOf(sum verify.Summary) (class, text string) {
	verdict, at := sum.Verdict(), when(sum.EndedAt)
	switch verdict {
	case verify.Pass:
		text = fmt.Sprintf("PASS on %s: everything that the record calls for was checked, and agrees.", at)
	case verify.Partial:
		text = fmt.Sprintf("PARTIAL on %s: %s.", at, clean(sum.Headline()))
	default:
		text = fmt.Sprintf("%s on %s: %s. Do not rely on what follows before that is explained.", verdict, at,
			clean(sum.Headline()))
	}
	return string(verdict), text
}

// verification says what was checked just now.
func (w writer) verification() Section {
	about := map[verify.Check]string{
		verify.CheckManifest:   "The record (manifest) is complete and lies where it belongs",
		verify.CheckSignature:  "Its digital signature is by the key it names",
		verify.CheckObject:     "The file is there, and its SHA-256 is the recorded one",
		verify.CheckVersion:    "The file was neither replaced nor deleted in the archive",
		verify.CheckLock:       "The file is locked against deletion as recorded",
		verify.CheckQuarantine: "What came in its place is kept, and unchanged",
		verify.CheckLedger:     "The independent ledger says the same",
	}
	if w.m.Object == nil {
		about[verify.CheckObject] = "There is indeed no file"
	}
	s := Section{Title: "Result of checking it now", Pairs: true}
	for _, r := range w.s.Results {
		word := checkWord(r)
		if r.Why != "" {
			s.Pairs = false
		}
		s.Facts = append(s.Facts, Fact{about[r.Check], word, false})
	}
	s.Lines = problemLines(w.sum)
	if w.sum.KeyNotTrusted() {
		s.Paragraphs = []string{"The public key was taken from the archive itself. Hold its id (below) " +
			"against a copy that was kept elsewhere."}
	}
	return s
}

// checkWord says what a check came to.
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

// problemLines names each problem, and what follows from it.
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
			line += ". So also: " + strings.Join(also, "; ")
		}
		lines = append(lines, line+".")
	}
	return lines
}
