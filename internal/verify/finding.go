package verify

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// Check names one thing that is held against another.
type Check string

// The checks of a manifest, in the order in which they are made.
const (
	// CheckManifest: it can be read, is in canonical form, and lies under the key that it names.
	CheckManifest Check = "manifest"
	// CheckSignature: it is there, and a trusted key's.
	CheckSignature Check = "signature"
	// CheckObject: the object is there, and its bytes are those the manifest speaks of; or, where
	// there is to be none, there is none.
	CheckObject Check = "object"
	// CheckVersion: the version that the manifest names is there, and nothing lies over it.
	CheckVersion Check = "version"
	// CheckLock: object, manifest and signature are locked as the manifest says.
	CheckLock Check = "lock"
	// CheckQuarantine: what came in a package's place is there, and is what the manifest says.
	CheckQuarantine Check = "quarantine"
	// CheckLedger: the ledger says the same.
	CheckLedger Check = "ledger"
)

// The checks of the whole.
const (
	// CheckChain: a tenant's manifests follow one another without a gap.
	CheckChain Check = "chain"
	// CheckClock: no manifest was sealed long before its predecessor, by its own account.
	CheckClock Check = "clock"
	// CheckKey: what lies under a signing key's name is that key.
	CheckKey Check = "key"
	// CheckStray: nothing lies in the archive's folders that no manifest speaks of.
	CheckStray Check = "stray"
)

// Verdict is what a check came to.
type Verdict string

const (
	// VerdictOK: what was held against another agrees.
	VerdictOK Verdict = "ok"
	// VerdictMismatch: it does not.
	VerdictMismatch Verdict = "mismatch"
	// VerdictNotChecked: it could not be, and Result.Why says why.
	VerdictNotChecked Verdict = "not checked"
	// VerdictNotEstablished: it means nothing, because a check that it depends on failed.
	VerdictNotEstablished Verdict = "not established"
)

// checksAfterManifest depend on what the manifest says.
var checksAfterManifest = []Check{CheckSignature, CheckObject, CheckVersion, CheckLock, CheckLedger}

// Result is one check's outcome.
type Result struct {
	Check   Check   `json:"check"`
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"` // where it was not checked, or is not established
	// NotNeeded: it was not checked because nothing calls for it. Nothing is missing then.
	NotNeeded bool `json:"notNeeded,omitempty"`
}

// Finding is one thing that is not as it should be. Its texts may repeat what lies in the archive:
// they are foreign text.
type Finding struct {
	Key      string `json:"key"`
	TenantID string `json:"tenantId,omitempty"`
	Check    Check  `json:"check"`
	What     string `json:"what"`
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
	// Unread: nothing is known to be wrong, but it could not be looked at.
	Unread bool `json:"unread,omitempty"`

	Headline string `json:"headline,omitempty"` // the matter in a few words, if What has many
	Host     string `json:"host,omitempty"`     // whose package it is about
	Case     string `json:"case,omitempty"`
	// Kind is KindStranger for something that is named and contradicts nothing.
	Kind string `json:"kind,omitempty"`
	// Stranger is what lies there instead, on top, or beside.
	Stranger *Stranger `json:"stranger,omitempty"`

	nothing bool // nothing lies there, and nothing says that something should

	id   investigation.ID // the action, if it is about one
	gap  numbered         // the numbers of the chain that it misses
	from string           // the manifest's key that the finding follows from, if that is wrong too
}

// KindStranger is a finding's kind if it only names something that Packhorse did not store, beside a
// record that is true.
const KindStranger = "stranger"

// numbered is a range of sequence numbers; the zero value has none.
type numbered struct{ from, to int64 }

func (n numbered) has(sequence int64) bool {
	return n.from > 0 && n.from <= sequence && sequence <= n.to
}

// Error names key, check, and what was expected and found.
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

// Subject is one manifest, and what it came to.
type Subject struct {
	Key         string // of the object, or of the manifest where there is no object
	ManifestKey string
	// SignatureKey is where the manifest's signature lies; empty if there is none.
	SignatureKey string
	TenantID     string
	Manifest     manifest.Manifest // zero where it could not be read
	Digest       string            // SHA-256 of the manifest's bytes; empty where there are none
	Results      []Result
	Findings     []Finding
	Bytes        int64 // that were read
	// Record is what the ledger knows of the action; nil if it does not know it or there is none.
	Record *investigation.Record

	id           investigation.ID
	stem         string // of all keys of the action's in that folder
	objectSHA256 string
	there        bool // something lies under the manifest's key
	read         bool // and it could be parsed
}

// Result returns what a check came to.
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

// needless says of a check that nothing calls for it.
func (s *Subject) needless(check Check, why string) {
	s.set(Result{Check: check, Verdict: VerdictNotChecked, Why: why, NotNeeded: true})
}

// unfounded says of checks that they mean nothing.
func (s *Subject) unfounded(why string, checks ...Check) {
	for _, check := range checks {
		s.set(Result{Check: check, Verdict: VerdictNotEstablished, Why: why})
	}
}

// establish takes back what agrees only with something that is itself not true: what a manifest
// without a trusted signature says, and what keeps an object safe that is not the one.
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

// set writes a check's result. A mismatch stays one.
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

// mismatch writes a finding down. An empty key means the subject's own.
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

// about returns whose package it is, and the case: by the manifest, else by the ledger.
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

// OK reports whether nothing was found.
func (s *Subject) OK() bool { return len(s.Findings) == 0 }

// Summary is what a verification came to.
type Summary struct {
	Where     string // the archive, for people
	Scope     Scope
	Subjects  []Subject // in the order of their keys
	Tenants   []Tenant
	Keys      []TrustedKey
	KeysCame  bool      // with the archive: nobody else vouches for them
	Ledger    bool      // there was one to compare with
	Findings  []Finding // the order is that of the keys, then what concerns the whole
	Problems  []Problem // the same without the strangers, sorted by cause
	Strangers []Finding // of the findings, those that contradict nothing
	Gaps      []Gap     // checks that were called for and not made
	Present   []string  // the tenants of which something lies in the archive, whatever the scope
	Remarks   []string  // what whoever reads this should know
	Bytes     int64     // that were read of objects
	Others    int       // objects of the bucket that are none of Packhorse's
	StartedAt time.Time
	EndedAt   time.Time
}

// Tenant is one tenant's part of it.
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

// Reach is how much of a chain was seen.
type Reach struct {
	Length  int64 `json:"length"` // the last sequence number
	Whole   bool  `json:"whole"`  // each from 1 on is there and follows the one before
	Pending int   `json:"pending,omitempty"`
	// Elsewhere is how many of them the ledger says lie in another archive of the tenant.
	Elsewhere int `json:"elsewhere,omitempty"`
	// Ended: the ledger knows of no later one. Without a ledger nobody knows.
	Ended bool   `json:"ended"`
	Why   string `json:"why,omitempty"` // where the chain was not checked
}
