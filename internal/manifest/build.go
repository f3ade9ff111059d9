package manifest

import (
	"errors"
	"time"

	"packhorse/internal/investigation"
)

// software is the name that manifests carry.
const software = "packhorse"

// Facts hold the parts of a manifest that are not in the record or the chain. The same facts, record and
// head always make the same bytes.
type Facts struct {
	// Collection and Content describe the stored object; both are zero if nothing came. Its receipt is in
	// the record.
	Collection investigation.Collection
	Content    investigation.Content
	Bucket     string             // that holds the manifests
	Lock       investigation.Lock // on the manifests
	Key        KeyRef             // that signs them
	Provenance Provenance
	SealedAt   time.Time
}

// Provenance names the software that wrote a manifest, and who ran it. Unknown fields are empty.
type Provenance struct {
	// Simulated says that the tenant is simulated, so the stored objects are not evidence. Packhorse on one
	// machine knows this. A stack on AWS that uses a simulator cannot know, so its manifests lack the mark.
	Simulated       bool
	Version         string
	Commit          string
	FunctionARN     string
	FunctionVersion string
	Principal       string
	Account         string
	Region          string
}

// Sealer returns a sealer that makes the manifests of one action from the facts, as often as a ledger asks.
func (f Facts) Sealer() investigation.Sealer { return sealer{f} }

// sealer implements investigation.Sealer.
type sealer struct{ Facts }

// Bucket implements investigation.Sealer.
func (s sealer) Bucket() string { return s.Facts.Bucket }

var errNoCollection = errors.New("how the stored object was collected is not known")

// Outcome makes the manifest of the action's outcome. It follows head. It fails for a package without a
// Collection: a manifest must not be silent about where its object came from.
func (f Facts) Outcome(rec investigation.Record, head investigation.Head) ([]byte, error) {
	m := f.begin(rec, head)
	m.Strangers, m.StrangersMore = strangersOf(rec.Strangers), rec.Strangers.More()
	if rec.Reason == "" {
		if f.Collection == (investigation.Collection{}) {
			return nil, errNoCollection
		}
		m.Outcome = OutcomeArchived
		f.object(&m, rec, rec.Receipt)
		m.Content = contentOf(f.Content)
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

// Quarantined makes the manifest of the quarantined object. It follows head, and fails as Outcome does.
func (f Facts) Quarantined(rec investigation.Record, head investigation.Head) ([]byte, error) {
	if f.Collection == (investigation.Collection{}) {
		return nil, errNoCollection
	}
	m := f.begin(rec, head)
	m.Outcome = OutcomeQuarantined
	f.object(&m, rec, rec.Quarantine)
	return canonical(m)
}

// begin fills in the fields that every manifest has.
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

// object fills in the object and how it was collected. Later attempts, which found the object already
// stored, do not count as earlier ones. So the manifest is the same no matter which attempt makes it.
func (f Facts) object(m *Manifest, rec investigation.Record, r investigation.Receipt) {
	c := f.Collection
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

// earlier returns the attempts that ended before an instant; the zero time means all. It redacts links from
// the messages again, whatever others did: a manifest is kept for years and shown to many people.
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
