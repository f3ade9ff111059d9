// Package report writes what is known of one piece of evidence so that a lawyer can read it: as
// text, and as a page of HTML that needs nothing but itself.
//
// [New] makes the report of a verified subject; [Report.Text] and [Report.HTML] write it. Comments,
// names and error texts in a manifest are foreign: characters that do something instead of being
// shown are gone before either is written.
package report

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
)

// Report is one piece of evidence in words. All its texts are clean.
type Report struct {
	Title    string
	Subtitle string
	Class    string // the verdict: PASS, PARTIAL, FAIL or EMPTY
	Verdict  string // the verdict, when, and what it rests on
	Sections []Section
	Footer   string
}

// Section is a part of it: sentences, then facts, then lines, then commands.
type Section struct {
	Title      string
	Paragraphs []string
	Facts      []Fact
	Pairs      bool // the facts are short: two fit beside each other
	Lines      []string
	Steps      []Step
}

// Fact is a name and a value.
type Fact struct {
	Name  string
	Value string
	Code  bool // to be read letter by letter
}

// Step is something to be typed, and what has to come of it.
type Step struct {
	Do     string
	Expect string
}

// ErrNoManifest says that there is nothing to report: the manifest cannot be read, and no ledger says
// what it is about.
var ErrNoManifest = errors.New("there is no manifest to report of, and no ledger that knows the action")

// New makes the report of the subject under key in a summary. Where its manifest cannot be read, it is
// a report of what the ledger knows.
func New(sum verify.Summary, key string) (Report, error) {
	s := find(sum, key)
	switch {
	case s == nil:
	case s.Manifest.Version != "":
		return writer{s: s, m: s.Manifest, sum: sum, asked: key}.report(), nil
	case s.Record != nil:
		return ledgerWriter{s: s, rec: *s.Record, sum: sum}.report(), nil
	}
	return Report{}, fmt.Errorf("%s: %w", clean(key), ErrNoManifest)
}

// find returns the subject under the key, or else the one whose places the key is one of.
func find(sum verify.Summary, key string) *verify.Subject {
	var closest *verify.Subject
	for i := range sum.Subjects {
		s := &sum.Subjects[i]
		switch {
		case isOf(s, key):
			return s
		case closest == nil && s.Covers(key):
			closest = s
		}
	}
	return closest
}

func isOf(s *verify.Subject, key string) bool {
	return s.Key == key || s.ManifestKey == key || s.SignatureKey == key ||
		investigation.SignatureKey(s.ManifestKey) == key
}

// writer finds the words.
type writer struct {
	s   *verify.Subject
	m   manifest.Manifest
	sum verify.Summary
	// asked is the key of which a report was wanted.
	asked string
}

// clean makes foreign text harmless.
func clean(text string) string { return console.CleanLine(text) }

// when writes an instant so that no reader takes the day for the month.
func when(t time.Time) string {
	if t.IsZero() {
		return "not known"
	}
	return t.UTC().Format("2 January 2006, 15:04:05 UTC")
}

func quoted(text string) string { return "“" + clean(text) + "”" }

func (w writer) host() string {
	if w.m.Action.ComputerDNSName != "" {
		return clean(w.m.Action.ComputerDNSName)
	}
	return "with the id " + clean(w.m.Action.MachineID)
}

func (w writer) report() Report {
	titles := map[manifest.Outcome]string{
		manifest.OutcomeArchived:     "Chain of custody of an investigation package",
		manifest.OutcomeNotCollected: "Record of an investigation package that was not collected",
		manifest.OutcomeQuarantined:  "Chain of custody of what came in place of an investigation package",
	}
	subtitle := "Host " + w.host()
	if w.m.Action.CaseID != "" {
		subtitle += ", case " + clean(w.m.Action.CaseID)
	}
	r := Report{
		Title: titles[w.m.Outcome], Subtitle: subtitle,
		Footer: fmt.Sprintf("Made by packhorse custody on %s from %s.", when(w.sum.EndedAt),
			path.Base(w.s.ManifestKey)),
	}
	if w.m.Simulated {
		r.Title = "SIMULATION: " + r.Title
	}
	r.Class, r.Verdict = verdictOf(w.sum)
	r.Sections = append(r.Sections, w.what(), w.verification())
	if w.m.Collection != nil {
		r.Sections = append(r.Sections, w.collection())
	}
	if w.m.Object != nil {
		r.Sections = append(r.Sections, w.storage())
	}
	if section, ok := w.strangers(); ok {
		r.Sections = append(r.Sections, section)
	}
	r.Sections = append(r.Sections, w.place(), w.without(), limits())
	return r
}

// what says what it is, in sentences.
func (w writer) what() Section {
	a := w.m.Action
	var paragraphs []string
	if w.m.Simulated {
		paragraphs = []string{"This is a simulation. The tenant, the computer and the file were made up to try " +
			"Packhorse out; the record is evidence of nothing but that."}
	}
	asked := fmt.Sprintf("%s asked Microsoft Defender for Endpoint on %s for an investigation package of "+
		"the computer %s: a file in which Defender gathers the state of a computer (running programs, "+
		"network connections, logs) for an investigation.", quoted(cmp.Or(a.Requestor, "somebody unnamed")),
		when(a.CreatedAt), w.host())
	why := "No reason was written down."
	if a.RequestorComment != "" {
		why = fmt.Sprintf("The reason written down was %s.", quoted(a.RequestorComment))
	}
	var came string
	switch w.m.Outcome {
	case manifest.OutcomeArchived:
		came = fmt.Sprintf("Defender was done on %s. Packhorse, the program that made this record, fetched "+
			"the file from Microsoft and stored it as it came, without unpacking it. The file is %s (%d "+
			"bytes) large.", when(a.CompletedAt), console.Bytes(w.m.Object.Size), w.m.Object.Size)
	case manifest.OutcomeQuarantined:
		came = "Defender said that the package was there, but what its download service gave out is no " +
			"package. It is kept, unchanged and apart from the packages, because it shows what came."
	default:
		came = "There is no such package: " + reasonText(w.m.NotCollected.Reason) + " This record shows " +
			"that it was asked for, and why it is not there."
		if w.m.NotCollected.Message != "" {
			came += fmt.Sprintf(" In the program's words: %s.", quoted(w.m.NotCollected.Message))
		}
		if q := w.m.NotCollected.Quarantine; q != nil {
			came += " What came in its place is kept as " + clean(q.Key) + "."
		}
	}
	facts := []Fact{
		{"Machine id", clean(a.MachineID), true}, {"Asked in", clean(cmp.Or(a.RequestSource, "not known")), false},
		{"Action id", clean(a.ID), true}, {"Status", clean(string(a.Status)), false},
		{"Tenant id", clean(a.TenantID), true}, {"Case", clean(cmp.Or(a.CaseID, "none named")), false},
	}
	return Section{
		Title: "What this is", Paragraphs: append(paragraphs, asked+" "+why, came), Facts: facts, Pairs: true,
	}
}

func reasonText(reason investigation.Reason) string {
	switch reason {
	case investigation.ReasonFailed:
		return "Defender reports that collecting it failed."
	case investigation.ReasonTimeOut:
		return "the computer did not answer Defender in time."
	case investigation.ReasonCancelled:
		return "the request was cancelled in Defender."
	case investigation.ReasonExpired:
		return "Defender had collected it, but did not give it out any more."
	case investigation.ReasonInvalid:
		return "what Defender gave out, again and again, is not a package."
	default:
		return clean(string(reason)) + "."
	}
}

// storage says where it is, and what keeps it there.
func (w writer) storage() Section {
	o := w.m.Object
	s := Section{Title: "Where it is stored", Facts: []Fact{
		{"Bucket", clean(o.Bucket), true}, {"Key", clean(o.Key), true},
		{"Version", clean(cmp.Or(o.VersionID, "none: the bucket keeps no versions")), o.VersionID != ""},
		{"SHA-256", clean(o.SHA256), true},
		{"Size and CRC-32C", fmt.Sprintf("%d bytes, %s", o.Size, clean(o.CRC32C)), false},
		{"Kept from deletion", retention(o.Retention), false},
	}}
	if c := w.m.Content; c != nil {
		names := make([]string, len(c.TopLevel))
		for i, name := range c.TopLevel {
			names[i] = clean(name)
		}
		s.Facts = append(s.Facts, Fact{"Content", fmt.Sprintf("%d entries, %s when unpacked: %s", c.Entries,
			console.Bytes(c.UncompressedSize), strings.Join(names, ", ")), false})
		for _, remark := range c.Remarks {
			s.Lines = append(s.Lines, "Whoever unpacks it should know: "+clean(remark))
		}
	}
	return s
}

func retention(r *manifest.Retention) string {
	if r == nil {
		return "nothing is recorded"
	}
	var parts []string
	if r.Mode != "" {
		parts = append(parts, fmt.Sprintf("until %s (mode %s)", when(r.Until), clean(r.Mode)))
	}
	if r.LegalHold {
		parts = append(parts, "legal hold")
	}
	return cmp.Or(strings.Join(parts, "; "), "nothing is recorded")
}

// place says where the record stands, who made it, and with what.
func (w writer) place() Section {
	m := w.m
	facts := []Fact{
		{"Number in the chain", fmt.Sprintf("%d, sealed %s", m.Chain.Sequence, when(m.Custody.SealedAt)), false},
		{"SHA-256 of this record", w.s.Digest, true},
		{"SHA-256 of the one before", clean(cmp.Or(m.Chain.Previous, "none: it is the first")),
			m.Chain.Previous != ""},
		{"Signing key", clean(m.Signature.KeyID), true}, {"  kept as", clean(m.Signature.Key), true},
		{"Written by", clean(cmp.Or(m.Custody.Principal, "not known")), false},
		{"Software", strings.TrimSpace(fmt.Sprintf("%s %s %s", clean(m.Software.Name),
			clean(m.Software.Version), clean(m.Software.Commit))), false},
	}
	for _, f := range []Fact{
		{"Account and region", strings.Trim(clean(m.Custody.Account)+", "+clean(m.Custody.Region), ", "), false},
		{"Function", strings.TrimSpace(clean(m.Software.FunctionARN) + " " +
			clean(m.Software.FunctionVersion)), false},
	} {
		if f.Value != "" {
			facts = append(facts, f)
		}
	}
	return Section{
		Title: "The record and its place in the chain",
		Paragraphs: []string{"The record is signed, and names the SHA-256 of the record before it: none can be " +
			"changed, taken out or put in without a sign, except at the end. Whether the chain is whole " +
			"is checked with packhorse verify --tenant."},
		Facts: facts,
	}
}

func limits() Section {
	return Section{Title: "What this does not show", Paragraphs: []string{
		"It shows that the file is the one that Packhorse received and stored, and that the record was " +
			"signed by whoever had the key. It does not show that the computer told Defender the truth, " +
			"nor that the clocks of the machines were right, and it is as good as the care that was " +
			"taken of the signing key."}}
}
