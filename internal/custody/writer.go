package custody

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"packhorse/internal/investigation"
)

// software is the name that manifests carry.
const software = "packhorse"

// Scene is what a manifest says of the software and of who runs it. What is not known is empty.
type Scene struct {
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

// Writer makes and signs manifests. It is safe for concurrent use.
type Writer struct {
	signer Signer
	bucket string
	lock   investigation.Lock
	scene  func(context.Context) (Scene, error)
	now    func() time.Time
}

// NewWriter returns a Writer of the manifests that lie in bucket, locked as lock says. scene is asked
// once for every action that is settled.
func NewWriter(signer Signer, bucket string, lock investigation.Lock,
	scene func(context.Context) (Scene, error), now func() time.Time,
) *Writer {
	return &Writer{signer: signer, bucket: bucket, lock: lock, scene: scene, now: now}
}

// Sealer implements fetch.Custody.
func (w *Writer) Sealer(ctx context.Context, stored investigation.Stored) (
	investigation.Sealer, error,
) {
	key, err := w.signer.Current(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the signing key: %w", err)
	}
	scene, err := w.scene(ctx)
	if err != nil {
		return nil, fmt.Errorf("find out who writes: %w", err)
	}
	return sealer{writer: w, stored: stored, key: key.KeyRef, scene: scene}, nil
}

// Sign implements fetch.Custody: it signs with the key that the manifest names, which need not be
// the present one.
func (w *Writer) Sign(ctx context.Context, manifest []byte) ([]byte, error) {
	ref, err := keyRefOf(manifest)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(manifest)
	return w.signer.Sign(ctx, ref, digest[:])
}

// Verify implements fetch.Custody.
func (w *Writer) Verify(ctx context.Context, manifest, signature []byte) error {
	ref, err := keyRefOf(manifest)
	if err != nil {
		return err
	}
	key, err := w.signer.Find(ctx, ref)
	if err != nil {
		return fmt.Errorf("find the key %s of the manifest: %w", ref.ID, err)
	}
	return key.Verify(manifest, signature)
}

// Publish gives the present public key, PEM, to put, which MUST leave alone what is there already and
// say where the key lies. Call it before anything is sealed: whoever checks a manifest later needs
// the key.
func (w *Writer) Publish(ctx context.Context,
	put func(ctx context.Context, key string, pem []byte) (investigation.Placed, error),
) error {
	key, err := w.signer.Current(ctx)
	if err != nil {
		return fmt.Errorf("find the signing key: %w", err)
	}
	text, err := key.PEM()
	if err != nil {
		return err
	}
	_, err = put(ctx, investigation.SigningKeyKey(key.ID), text)
	if err != nil {
		return fmt.Errorf("publish the signing key: %w", err)
	}
	return nil
}

func keyRefOf(manifest []byte) (KeyRef, error) {
	m, err := Parse(manifest)
	if err != nil {
		return KeyRef{}, err
	}
	return KeyRef{ID: m.Signature.KeyID, Name: m.Signature.Key}, nil
}

// sealer makes the manifests of one action.
type sealer struct {
	writer *Writer
	stored investigation.Stored
	key    KeyRef
	scene  Scene
}

// Bucket implements investigation.Sealer.
func (s sealer) Bucket() string { return s.writer.bucket }

var errOtherObject = errors.New("what is known of the object is about another one")

// Outcome implements investigation.Sealer.
func (s sealer) Outcome(rec investigation.Record, head investigation.Head) ([]byte, error) {
	m := s.begin(rec, head)
	m.Strangers, m.StrangersMore = strangersOf(rec.Strangers), rec.Strangers.More()
	if rec.Reason == "" {
		if s.stored.Receipt != rec.Receipt {
			return nil, errOtherObject
		}
		m.Outcome = OutcomeArchived
		s.object(&m, rec)
		m.Content = contentOf(s.stored.Content)
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

// Quarantined implements investigation.Sealer.
func (s sealer) Quarantined(rec investigation.Record, head investigation.Head) ([]byte, error) {
	if s.stored.Receipt != rec.Quarantine {
		return nil, errOtherObject
	}
	m := s.begin(rec, head)
	m.Outcome = OutcomeQuarantined
	s.object(&m, rec)
	return canonical(m)
}

// begin fills in what every manifest has.
func (s sealer) begin(rec investigation.Record, head investigation.Head) Manifest {
	now := s.writer.now().UTC().Truncate(time.Millisecond)
	return Manifest{
		Version: manifestVersion, Simulated: s.scene.Simulated,
		Action: Action{
			ID: rec.ActionID, Type: investigation.TypeCollectPackage, TenantID: rec.TenantID,
			MachineID: rec.MachineID, ComputerDNSName: rec.ComputerDNSName,
			Requestor: rec.Requestor, RequestorComment: rec.RequestorComment, CaseID: rec.CaseID,
			RequestSource: rec.RequestSource, Status: rec.Status,
			CreatedAt: rec.CreatedAt.UTC(), CompletedAt: rec.CompletedAt().UTC(),
		},
		Software: Software{
			Name: software, Version: s.scene.Version, Commit: s.scene.Commit,
			FunctionARN: s.scene.FunctionARN, FunctionVersion: s.scene.FunctionVersion,
		},
		Custody: Custody{
			Bucket: s.writer.bucket, Principal: s.scene.Principal, Account: s.scene.Account,
			Region: s.scene.Region, SealedAt: now, Retention: retentionOf(s.writer.lock.From(now)),
		},
		Signature: Signature{Algorithm: algorithm, KeyID: s.key.ID, Key: s.key.Name},
		Chain:     Chain{Sequence: head.Sequence + 1, Previous: head.Digest},
	}
}

// object fills in what is known of the object and of how it was come by. Attempts that came after it
// (they found it there) are not among the earlier ones: so the manifest says the same whoever
// makes it.
func (s sealer) object(m *Manifest, rec investigation.Record) {
	r, c := s.stored.Receipt, s.stored.Collection
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
