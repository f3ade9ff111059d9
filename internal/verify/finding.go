package verify

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// Check names one comparison.
type Check string

// The checks of one manifest, in the order they are made.
const (
	// CheckManifest: it is readable, in canonical form, and stored under the key that it names.
	CheckManifest Check = "manifest"
	// CheckSignature: it exists, and a trusted key made it.
	CheckSignature Check = "signature"
	// CheckObject: the object exists and has the bytes that the manifest describes. If the manifest says
	// that no package was collected, no object exists.
	CheckObject Check = "object"
	// CheckVersion: the version that the manifest names exists and is the newest.
	CheckVersion Check = "version"
	// CheckLock: object, manifest and signature are locked as the manifest says.
	CheckLock Check = "lock"
	// CheckQuarantine: the quarantined object exists and is the one that the manifest names.
	CheckQuarantine Check = "quarantine"
	// CheckLedger: the ledger agrees.
	CheckLedger Check = "ledger"
)

// The checks that concern more than one manifest.
const (
	// CheckChain: a tenant's manifests follow one another without a gap.
	CheckChain Check = "chain"
	// CheckClock: no manifest claims to be sealed long before its predecessor.
	CheckClock Check = "clock"
	// CheckKey: each published signing key matches its name.
	CheckKey Check = "key"
	// CheckStray: a manifest mentions every object in the archive's folders.
	CheckStray Check = "stray"
)

// Verdict is the outcome of one check.
type Verdict string

const (
	// VerdictOK: both sides agree.
	VerdictOK Verdict = "ok"
	// VerdictMismatch: they do not agree.
	VerdictMismatch Verdict = "mismatch"
	// VerdictNotChecked: the check was not made, and Result.Why says why.
	VerdictNotChecked Verdict = "not checked"
	// VerdictNotEstablished: the result is meaningless because a check that it depends on failed.
	VerdictNotEstablished Verdict = "not established"
)

// checksAfterManifest depend on what the manifest says.
var checksAfterManifest = []Check{CheckSignature, CheckObject, CheckVersion, CheckLock, CheckLedger}

// Result is one check's outcome.
type Result struct {
	Check   Check   `json:"check"`
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"` // if it was not checked or is not established
	// NotNeeded: nothing requires the check, so the verdict does not suffer from its absence.
	NotNeeded bool `json:"notNeeded,omitempty"`
}

// Finding is one disagreement. Its texts may repeat bytes from the archive, so treat them as untrusted.
type Finding struct {
	Key      string `json:"key"`
	TenantID string `json:"tenantId,omitempty"`
	Check    Check  `json:"check"`
	What     string `json:"what"`
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
	// Unread: nothing is known to be wrong, but it could not be read.
	Unread bool `json:"unread,omitempty"`

	Headline string `json:"headline,omitempty"` // a short form of What, if What is long
	Host     string `json:"host,omitempty"`     // whose package it is about
	Case     string `json:"case,omitempty"`
	// Kind is KindStranger if the finding only names a stranger and contradicts nothing.
	Kind string `json:"kind,omitempty"`
	// Stranger is the foreign object or version stored instead, on top, or beside.
	Stranger *Stranger `json:"stranger,omitempty"`

	nothing bool // nothing is stored there, and nothing requires it

	id   investigation.ID // the action, if it is about one
	gap  numbered         // the chain's missing numbers
	from string           // key of the manifest that explains the finding, if that one is wrong too
}

// KindStranger is the kind of a finding that only names something Packhorse did not store, beside a true
// record.
const KindStranger = "stranger"

// numbered is a range of sequence numbers; the zero value has none.
type numbered struct{ from, to int64 }

func (n numbered) has(sequence int64) bool {
	return n.from > 0 && n.from <= sequence && sequence <= n.to
}

// Error names the key and the check, and says what was expected and found.
func (f Finding) Error() string {
	var text strings.Builder
	if f.Key != "" {
		text.WriteString(f.Key + ": ")
	}
	fmt.Fprintf(&text, "%s: %s", f.Check, f.What)
	switch {
	case f.Expected != "" && f.Found != "":
		fmt.Fprintf(&text, ": expected %s, found %s", f.Expected, f.Found)
	case f.Expected != "":
		fmt.Fprintf(&text, ": expected %s", f.Expected)
	case f.Found != "":
		fmt.Fprintf(&text, ": found %s", f.Found)
	}
	return text.String()
}

// Subject is one manifest and the results of its checks.
type Subject struct {
	Key         string // of the object, or of the manifest if it has no object
	ManifestKey string
	// SignatureKey is the key of the manifest's signature; empty without a signature.
	SignatureKey string
	TenantID     string
	Manifest     manifest.Manifest // zero if it could not be read
	Digest       string            // SHA-256 of the manifest's bytes; empty if they could not be read
	Results      []Result
	Findings     []Finding
	Bytes        int64 // read
	// Record is the ledger's record of the action; nil if it has none or if no ledger was given.
	Record *investigation.Record

	id           investigation.ID
	stem         string // shared by all keys of the action in that folder
	objectSHA256 string
	there        bool // something is stored under the manifest's key
	read         bool // and it was parsed
}

// Result returns the result of a check.
func (s *Subject) Result(check Check) Result {
	for _, r := range s.Results {
		if r.Check == check {
			return r
		}
	}
	return Result{Check: check, Verdict: VerdictNotChecked}
}

func (s *Subject) ok(check Check) { s.set(Result{Check: check, Verdict: VerdictOK}) }

func (s *Subject) skip(check Check, why string) {
	s.set(Result{Check: check, Verdict: VerdictNotChecked, Why: why})
}

// needless records that nothing requires a check.
func (s *Subject) needless(check Check, why string) {
	s.set(Result{Check: check, Verdict: VerdictNotChecked, Why: why, NotNeeded: true})
}

// unfounded records that checks are not established.
func (s *Subject) unfounded(why string, checks ...Check) {
	for _, check := range checks {
		s.set(Result{Check: check, Verdict: VerdictNotEstablished, Why: why})
	}
}

// establish withdraws results that agree only with something untrue: with a manifest that has no trusted
// signature, or with the lock and version of the wrong object.
func (s *Subject) establish() {
	because := func(failed Check, why string, checks ...Check) {
		if s.Result(failed).Verdict == VerdictOK {
			return
		}
		for _, check := range checks {
			if s.Result(check).Verdict == VerdictOK {
				s.unfounded(why, check)
			}
		}
	}
	because(CheckManifest, "the manifest belongs elsewhere", checksAfterManifest...)
	because(CheckSignature, "no trusted signature vouches for the manifest", CheckObject, CheckVersion,
		CheckLock, CheckLedger)
	if s.Manifest.Object != nil {
		because(CheckObject, "the object is not the one that was stored", CheckVersion, CheckLock)
	}
}

// set records a check's result. A mismatch is never overwritten.
func (s *Subject) set(result Result) {
	for i, r := range s.Results {
		if r.Check != result.Check {
			continue
		}
		if r.Verdict != VerdictMismatch {
			s.Results[i] = result
		}
		return
	}
	s.Results = append(s.Results, result)
}

// mismatch records a finding. An empty key means the subject's own.
func (s *Subject) mismatch(f Finding) {
	if f.Key == "" {
		f.Key = s.Key
	}
	f.TenantID, f.id = s.TenantID, s.id
	f.Host, f.Case = s.about()
	s.Findings = append(s.Findings, f)
	if f.Unread {
		s.skip(f.Check, f.What+": "+f.Found)
		return
	}
	s.set(Result{Check: f.Check, Verdict: VerdictMismatch})
}

// Covers reports whether a key is one of the places of the subject's object, manifest or signature.
func (s *Subject) Covers(key string) bool {
	n, ok := investigation.ParseKey(key)
	return ok && n.Stem() == s.stem
}

// about returns the host and case of the package, from the manifest or else from the ledger.
func (s *Subject) about() (host, caseID string) {
	switch {
	case s.read:
		return cmp.Or(s.Manifest.Action.ComputerDNSName, s.Manifest.Action.MachineID), s.Manifest.Action.CaseID
	case s.Record != nil:
		return cmp.Or(s.Record.ComputerDNSName, s.Record.MachineID), s.Record.CaseID
	default:
		return "", ""
	}
}

// OK reports whether the subject has no findings.
func (s *Subject) OK() bool { return len(s.Findings) == 0 }

// Summary is the result of a verification.
type Summary struct {
	Where     string // the archive, for people
	Scope     Scope
	Subjects  []Subject // in the order of their keys
	Tenants   []Tenant
	Keys      []TrustedKey
	KeysCame  bool      // the keys came with the archive, and nobody else vouches for them
	Ledger    bool      // a ledger was compared
	Findings  []Finding // in the order of their keys, then those about the whole archive
	Problems  []Problem // the findings without the strangers, grouped by cause
	Strangers []Finding // the findings that contradict nothing
	Gaps      []Gap     // required checks that were not made
	Present   []string  // all tenants with objects in the archive, regardless of the scope
	Remarks   []string  // advice for the reader
	Bytes     int64     // read from objects
	Others    int       // objects in the bucket that do not belong to Packhorse
	StartedAt time.Time
	EndedAt   time.Time
}

// Tenant is one tenant's part of the summary.
type Tenant struct {
	ID           string `json:"tenantId"`
	Manifests    int    `json:"manifests"`
	Archived     int    `json:"archived"`
	NotCollected int    `json:"notCollected"`
	Quarantined  int    `json:"quarantined"`
	Bytes        int64  `json:"bytes"`
	Keys         int    `json:"keys"` // that signed
	Findings     int    `json:"findings"`
	Chain        Reach  `json:"chain"`
}

// Reach says how much of a chain was seen.
type Reach struct {
	Length  int64 `json:"length"` // the last sequence number
	Whole   bool  `json:"whole"`  // every manifest from 1 on exists and follows the one before
	Pending int   `json:"pending,omitempty"`
	// Elsewhere counts the manifests that, by the ledger, are in another archive of the tenant.
	Elsewhere int `json:"elsewhere,omitempty"`
	// Unread counts the manifests that could not be read. Their places in the chain are only the ledger's word,
	// or unknown.
	Unread int `json:"unread,omitempty"`
	// Ended: the ledger confirms that the chain ends here. Always false without a ledger.
	Ended bool   `json:"ended"`
	Why   string `json:"why,omitempty"` // if the chain was not checked
}
