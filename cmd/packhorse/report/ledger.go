package report

import (
	"cmp"
	"fmt"
	"path"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// ledgerWriter writes the report if the manifest cannot be read. The ledger is not signed: it tells people
// what to look for, but proves nothing.
type ledgerWriter struct {
	s   *verify.Subject
	rec investigation.Record
	sum verify.Summary
}

func (w ledgerWriter) report() Report {
	a := w.rec.Action
	r := Report{
		Title:    "Ledger entry of an investigation package",
		Subtitle: "Host " + clean(cmp.Or(a.ComputerDNSName, a.MachineID)),
		Footer:   fmt.Sprintf("Created by packhorse custody on %s from the ledger.", when(w.sum.EndedAt)),
	}
	if a.CaseID != "" {
		r.Subtitle += ", case " + clean(a.CaseID)
	}
	r.Class, r.Verdict = verdictOf(w.sum)
	r.Sections = []Section{w.what(), w.verification(), w.stored(), w.sealed()}
	if lines := w.strangers(); len(lines) > 0 {
		r.Sections = append(r.Sections, Section{Title: "Foreign files stored in its place", Lines: lines})
	}
	r.Sections = append(r.Sections, w.advice())
	return r
}

func (w ledgerWriter) what() Section {
	a := w.rec.Action
	return Section{
		Title: "What this is",
		Paragraphs: []string{fmt.Sprintf("%s asked Microsoft Defender for Endpoint on %s for an investigation "+
			"package of this computer. The signed record (manifest) cannot be read. This report shows the "+
			"ledger entry instead, which is not signed and proves nothing by itself.",
			quoted(cmp.Or(a.Requestor, "an unknown requestor")), when(a.CreatedAt))},
		Facts: []Fact{
			{"Machine id", clean(a.MachineID), true}, {"Tenant id", clean(a.TenantID), true},
			{"Action id", clean(a.ActionID), true}, {"Comment", quoted(a.RequestorComment), false},
			{"State", clean(string(w.rec.State)), false}, {"Attempts", fmt.Sprint(w.rec.Attempts), false},
		},
	}
}

func (w ledgerWriter) verification() Section {
	s := Section{Title: "Result of verifying it now", Lines: problemLines(w.sum)}
	for _, r := range w.s.Results {
		s.Facts = append(s.Facts, Fact{string(r.Check), checkWord(r), false})
	}
	return s
}

// stored describes the stored object, according to the receipt.
func (w ledgerWriter) stored() Section {
	receipt, at := w.rec.Receipt, w.rec.ArchivedAt
	s := Section{Title: "What was stored, according to the ledger"}
	if receipt.Key == "" {
		receipt = w.rec.Quarantine
		s.Paragraphs = []string{"The package was not collected: " + reasonText(w.rec.Reason)}
	}
	if receipt.Key == "" {
		return s
	}
	s.Facts = []Fact{
		{"Bucket", clean(receipt.Bucket), true}, {"Key", clean(receipt.Key), true},
		{"Version", clean(cmp.Or(receipt.VersionID, "none: the bucket is not versioned")), receipt.VersionID != ""},
		{"SHA-256", clean(receipt.SHA256), true},
		{"Size and CRC-32C", fmt.Sprintf("%d bytes (%s), %s", receipt.Size, console.Bytes(receipt.Size),
			clean(receipt.CRC32C)), false},
		{"Stored", when(at), false},
	}
	return s
}

// sealed describes the manifest that the ledger expects.
func (w ledgerWriter) sealed() Section {
	seal, key := w.rec.Seal, w.rec.ManifestKey
	if w.rec.Quarantine.Key != "" && w.s.Covers(w.rec.Quarantine.Key) {
		seal, key = w.rec.QuarantineSeal, investigation.Key(w.rec.Quarantine.Key).Manifest()
	}
	s := Section{Title: "The expected record, according to the ledger"}
	if seal.Sequence == 0 {
		s.Paragraphs = []string{"The ledger has not sealed a record yet, so none is missing."}
		return s
	}
	s.Facts = []Fact{
		{"Key", clean(key), true}, {"Number in the chain", fmt.Sprint(seal.Sequence), false},
		{"SHA-256", clean(seal.Digest), true}, {"Announced", when(w.rec.AnnouncedAt), false},
	}
	return s
}

func (w ledgerWriter) strangers() []string {
	var lines []string
	for _, found := range w.rec.Strangers.List() {
		lines = append(lines, strangerLine(ofLedger(found), "The ledger lists it."))
	}
	return lines
}

func (w ledgerWriter) advice() Section {
	return Section{Title: "What to do", Paragraphs: []string{fmt.Sprintf("Look for %s and its signature in "+
		"earlier versions of the object, in backups and in copies you gave away. The genuine record has the "+
		"SHA-256 above. Once you restore both files, packhorse custody can report on the package again.",
		path.Base(w.s.ManifestKey))}}
}
