package manifest

import (
	"errors"
	"time"

	"packhorse/internal/investigation"
)

// software is the name that manifests carry.
const software = "packhorse"

// Facts are what a manifest says beyond what the record and the chain know. The same facts, record and
// head make the same bytes.
type Facts struct {
	// Stored is the package, or what lies in quarantine; it is zero where nothing came.
	Stored     investigation.Stored
	Bucket     string             // where the manifests belong
	Lock       investigation.Lock // what keeps them there
	Key        KeyRef             // of their signatures
	Provenance Provenance
	SealedAt   time.Time
}

// Provenance is the software that wrote a manifest, and who ran it. What is not known is empty.
type Provenance struct {
	// Simulated says that the tenant is a simulator's, so that what is stored is evidence of nothing.
	// One machine knows. A stack on AWS that is pointed at a simulator cannot, and its manifests do not
	// have the mark.
	Simulated       bool
	Version         string
	Commit          string
	FunctionARN     string
	FunctionVersion string
	Principal       string
	Account         string
	Region          string
}

// Sealer returns what makes the manifests of one action from the facts, as often as a ledger asks.
func (f Facts) Sealer() investigation.Sealer { return sealer{f} }

// sealer implements investigation.Sealer.
type sealer struct{ Facts }

// Bucket implements investigation.Sealer.
func (s sealer) Bucket() string { return s.Facts.Bucket }

var errOtherObject = errors.New("what is known of the object is about another one")

// Outcome makes the manifest of what became of the action, which follows head.
func (f Facts) Outcome(rec investigation.Record, head investigation.Head) ([]byte, error) {
	m := f.begin(rec, head)
	m.Strangers, m.StrangersMore = strangersOf(rec.Strangers), rec.Strangers.More()
	if rec.Reason == "" {
		if f.Stored.Receipt != rec.Receipt {
			return nil, errOtherObject
		}
		m.Outcome = OutcomeArchived
		f.object(&m, rec)
		m.Content = contentOf(f.Stored.Content)
		return canonical(m)
	}
	m.Outcome = OutcomeNotCollected
	m.NotCollected = &NotCollected{Reason: rec.Reason, Message: investigation.Redact(rec.Message)}
	if rec.Attempts > 0 || rec.ExpiredLinks > 0 {
		m.Collection = &Collection{
			Attempts: rec.Attempts + rec.ExpiredLinks, Earlier: earlier(rec, time.Time{}),
		}
	}
	if rec.Quarantine != (investigation.Receipt{}) {
		m.NotCollected.Quarantine = &Quarantine{
			Key: rec.Quarantine.Key, SHA256: rec.Quarantine.SHA256,
			ManifestKey:    investigation.Key(rec.Quarantine.Key).Manifest(),
			ManifestSHA256: rec.QuarantineSeal.Digest,
		}
	}
	return canonical(m)
}

// Quarantined makes the manifest of what came in the package's place, which follows head.
func (f Facts) Quarantined(rec investigation.Record, head investigation.Head) ([]byte, error) {
	if f.Stored.Receipt != rec.Quarantine {
		return nil, errOtherObject
	}
	m := f.begin(rec, head)
	m.Outcome = OutcomeQuarantined
	f.object(&m, rec)
	return canonical(m)
}

// begin fills in what every manifest has.
func (f Facts) begin(rec investigation.Record, head investigation.Head) Manifest {
	sealedAt := f.SealedAt.UTC().Truncate(time.Millisecond)
	return Manifest{
		Version: manifestVersion, Simulated: f.Provenance.Simulated,
		Action: Action{
			ID: rec.ActionID, Type: investigation.TypeCollectPackage, TenantID: rec.TenantID,
			MachineID: rec.MachineID, ComputerDNSName: rec.ComputerDNSName,
			Requestor: rec.Requestor, RequestorComment: rec.RequestorComment, CaseID: rec.CaseID,
			RequestSource: rec.RequestSource, Status: rec.Status,
			CreatedAt: rec.CreatedAt.UTC(), CompletedAt: rec.CompletedAt().UTC(),
		},
		Software: Software{
			Name: software, Version: f.Provenance.Version, Commit: f.Provenance.Commit,
			FunctionARN: f.Provenance.FunctionARN, FunctionVersion: f.Provenance.FunctionVersion,
		},
		Custody: Custody{
			Bucket: f.Bucket, Principal: f.Provenance.Principal, Account: f.Provenance.Account,
			Region: f.Provenance.Region, SealedAt: sealedAt, Retention: retentionOf(f.Lock.From(sealedAt)),
		},
		Signature: Signature{Algorithm: Algorithm, KeyID: f.Key.ID, Key: f.Key.Name},
		Chain:     Chain{Sequence: head.Sequence + 1, Previous: head.Digest},
	}
}

// object fills in what is known of the object and of how it was come by. Attempts that came after it
// (they found it there) are not among the earlier ones: so the manifest says the same whoever
// makes it.
func (f Facts) object(m *Manifest, rec investigation.Record) {
	r, c := f.Stored.Receipt, f.Stored.Collection
	m.Collection = &Collection{
		Attempts: c.Attempt, Earlier: earlier(rec, c.Link.AskedAt),
		Link: exchangeOf(c.Link), Download: exchangeOf(c.Download),
	}
	m.Object = &Object{
		Bucket: r.Bucket, Key: r.Key, VersionID: r.VersionID, Size: r.Size, SHA256: r.SHA256,
		CRC32C: r.CRC32C, PartSize: r.PartSize,
	}
	m.Object.Retention = retentionOf(r.Retention)
}

func strangersOf(found investigation.Strangers) []Stranger {
	var strangers []Stranger
	for _, s := range found.List() {
		strangers = append(strangers, Stranger(s))
	}
	return strangers
}

func retentionOf(r investigation.Retention) *Retention {
	if r == (investigation.Retention{}) {
		return nil
	}
	return &Retention{Mode: r.Mode, Until: r.Until.UTC(), LegalHold: r.LegalHold}
}

func exchangeOf(e investigation.Exchange) *Exchange {
	if e == (investigation.Exchange{}) {
		return nil
	}
	out := Exchange(e)
	out.AskedAt, out.AnsweredAt = e.AskedAt.UTC(), e.AnsweredAt.UTC()
	return &out
}

func contentOf(c investigation.Content) *Content {
	return &Content{
		Entries: c.Entries, UncompressedSize: c.UncompressedSize,
		TopLevel: append([]string{}, c.TopLevel...), Remarks: append([]string{}, c.Remarks...),
	}
}

// earlier returns the attempts that ended before an instant; the zero time means all. That no message
// has a link in it is not left to others alone: a manifest is kept for years and shown to many.
func earlier(rec investigation.Record, before time.Time) []EarlierAttempt {
	attempts := []EarlierAttempt{}
	for _, entry := range rec.Journal.Entries() {
		if before.IsZero() || entry.At.Before(before) {
			attempts = append(attempts, EarlierAttempt{
				EndedAt: entry.At, Message: investigation.Redact(entry.Message),
			})
		}
	}
	return attempts
}
