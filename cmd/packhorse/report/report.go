// Package report writes a chain-of-custody report on one piece of evidence for readers such as lawyers: as
// text, or as a self-contained HTML page.
//
// [New] builds the report of a verified subject; [Report.Text] and [Report.HTML] write it. Comments, names
// and error texts in a manifest come from outside: New removes control characters from them.
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

// Report describes one piece of evidence. Its texts are free of control characters.
type Report struct {
	Title    string
	Subtitle string
	Class    string // the verdict: PASS, PARTIAL, FAIL or EMPTY
	Verdict  string // the verdict, its time and its reason
	Sections []Section
	Footer   string
}

// Section is one part of a report: paragraphs, then facts, lines and commands.
type Section struct {
	Title      string
	Paragraphs []string
	Facts      []Fact
	Pairs      bool // the facts are short enough for two per line
	Lines      []string
	Steps      []Step
}

// Fact is a name and a value.
type Fact struct {
	Name  string
	Value string
	Code  bool // shown in a monospaced font
}

// Step is a command to type and its expected output.
type Step struct {
	Do     string
	Expect string
}

// ErrNoManifest reports that the manifest cannot be read and that the ledger, if there is one, does not
// know the action.
var ErrNoManifest = errors.New("no readable manifest, and no ledger entry for the action")

// Files names the files of a copy: paths that a shell takes as they are. Empty ones have their archive's names.
type Files struct{ Object, Manifest, Signature, Key string }

// New builds the report of the subject that key belongs to. If the subject's manifest cannot be read, the
// report is about its ledger entry.
func New(sum verify.Summary, key string) (Report, error) { return NewOfCopy(sum, key, Files{}) }

// NewOfCopy is New for a copy: its commands contain the names of the copy's files.
func NewOfCopy(sum verify.Summary, key string, files Files) (Report, error) {
	s := find(sum, key)
	switch {
	case s == nil:
	case s.Manifest.Version != "":
		return writer{s: s, m: s.Manifest, sum: sum, asked: key, files: files}.report(), nil
	case s.Record != nil:
		return ledgerWriter{s: s, rec: *s.Record, sum: sum}.report(), nil
	}
	return Report{}, fmt.Errorf("%s: %w", clean(key), ErrNoManifest)
}

// find returns the subject with this key or, failing that, one that may store its object under it.
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

// writer writes the report of a manifest.
type writer struct {
	s   *verify.Subject
	m   manifest.Manifest
	sum verify.Summary
	// asked is the key the user named.
	asked string
	files Files
}

// clean removes control characters from foreign text.
func clean(text string) string { return console.CleanLine(text) }

// when formats a time with the month spelled out, so nobody mistakes the day for it.
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
		manifest.OutcomeQuarantined:  "Chain of custody of a file received in place of an investigation package",
	}
	subtitle := "Host " + w.host()
	if w.m.Action.CaseID != "" {
		subtitle += ", case " + clean(w.m.Action.CaseID)
	}
	r := Report{
		Title: titles[w.m.Outcome], Subtitle: subtitle,
		Footer: fmt.Sprintf("Created by packhorse custody on %s from %s.", when(w.sum.EndedAt),
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

// what explains in sentences what the package is.
func (w writer) what() Section {
	a := w.m.Action
	var paragraphs []string
	if w.m.Simulated {
		paragraphs = []string{"This is a simulation. The tenant, the computer and the file were made up to try " +
			"Packhorse out; this record is not evidence."}
	}
	asked := fmt.Sprintf("%s asked Microsoft Defender for Endpoint on %s for an investigation package of "+
		"the computer %s: a file in which Defender gathers the state of a computer (running programs, "+
		"network connections, logs) for an investigation.", quoted(cmp.Or(a.Requestor, "an unknown requestor")),
		when(a.CreatedAt), w.host())
	why := "No reason was given."
	if a.RequestorComment != "" {
		why = fmt.Sprintf("The reason given was %s.", quoted(a.RequestorComment))
	}
	var came string
	switch w.m.Outcome {
	case manifest.OutcomeArchived:
		came = fmt.Sprintf("Defender finished on %s. Packhorse, the program that created this record, "+
			"downloaded the file from Microsoft and stored it unchanged, without unpacking it. The file "+
			"size is %s (%d bytes).", when(a.CompletedAt), console.Bytes(w.m.Object.Size), w.m.Object.Size)
	case manifest.OutcomeQuarantined:
		came = "Defender reported that the package was ready, but the file that its download service " +
			"returned is not a package. That file is kept, unchanged and separate from the packages, as a " +
			"record of what was received."
	default:
		came = "The package was not collected: " + reasonText(w.m.NotCollected.Reason) + " This record " +
			"shows that it was requested, and why it is missing."
		if w.m.NotCollected.Message != "" {
			came += fmt.Sprintf(" Packhorse logged: %s.", quoted(w.m.NotCollected.Message))
		}
		if q := w.m.NotCollected.Quarantine; q != nil {
			came += " The file received in its place is stored as " + clean(q.Key) + "."
		}
	}
	facts := []Fact{
		{"Machine id", clean(a.MachineID), true}, {"Requested in", clean(cmp.Or(a.RequestSource, "not known")), false},
		{"Action id", clean(a.ID), true}, {"Status", clean(string(a.Status)), false},
		{"Tenant id", clean(a.TenantID), true}, {"Case", clean(cmp.Or(a.CaseID, "none")), false},
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
		return "Defender had collected it, but no longer offers it."
	case investigation.ReasonInvalid:
		return "Defender repeatedly returned a file that is not a package."
	default:
		return clean(string(reason)) + "."
	}
}

// storage describes where the object is stored and how it is protected from deletion.
func (w writer) storage() Section {
	o := w.m.Object
	s := Section{Title: "Where it is stored", Facts: []Fact{
		{"Bucket", clean(o.Bucket), true}, {"Key", clean(o.Key), true},
		{"Version", clean(cmp.Or(o.VersionID, "none: the bucket is not versioned")), o.VersionID != ""},
		{"SHA-256", clean(o.SHA256), true},
		{"Size and CRC-32C", fmt.Sprintf("%d bytes, %s", o.Size, clean(o.CRC32C)), false},
		{"Deletion lock", retention(o.Retention), false},
	}}
	if c := w.m.Content; c != nil {
		names := make([]string, len(c.TopLevel))
		for i, name := range c.TopLevel {
			names[i] = clean(name)
		}
		s.Facts = append(s.Facts, Fact{"Content", fmt.Sprintf("%d entries, %s when unpacked: %s", c.Entries,
			console.Bytes(c.UncompressedSize), strings.Join(names, ", ")), false})
		for _, remark := range c.Remarks {
			s.Lines = append(s.Lines, "Before you unpack it: "+clean(remark))
		}
	}
	return s
}

func retention(r *manifest.Retention) string {
	if r == nil {
		return "not recorded"
	}
	var parts []string
	if r.Mode != "" {
		parts = append(parts, fmt.Sprintf("until %s (mode %s)", when(r.Until), clean(r.Mode)))
	}
	if r.LegalHold {
		parts = append(parts, "legal hold")
	}
	return cmp.Or(strings.Join(parts, "; "), "not recorded")
}

// place describes the position of the record in the chain, its author and the software.
func (w writer) place() Section {
	m := w.m
	facts := []Fact{
		{"Number in the chain", fmt.Sprintf("%d, sealed %s", m.Chain.Sequence, when(m.Custody.SealedAt)), false},
		{"SHA-256 of this record", w.s.Digest, true},
		{"SHA-256 of the previous record", clean(cmp.Or(m.Chain.Previous, "none: this is the first")),
			m.Chain.Previous != ""},
		{"Signing key", clean(m.Signature.KeyID), true}, {"  stored as", clean(m.Signature.Key), true},
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
		Paragraphs: []string{"The record is signed and contains the SHA-256 of the previous record. Changing, " +
			"removing or inserting a record is therefore detectable, except at the end of the chain. To " +
			"check the whole chain, run packhorse verify --tenant."},
		Facts: facts,
	}
}

func limits() Section {
	return Section{Title: "What this does not show", Paragraphs: []string{
		"It shows that the file is the one that Packhorse received and stored, and that a holder of the " +
			"signing key signed the record. It does not show that the computer told Defender the truth, " +
			"or that the clocks involved were right. It is only as trustworthy as the protection of the " +
			"signing key."}}
}
