package verify

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// records holds the ledger's answers at two moments: before the archive was listed and after. Packhorse
// may be storing packages during a verification, so a disagreement counts only if both moments show it.
// A nil *records means that no ledger was given.
type records struct {
	ledger Ledger

	mu         sync.Mutex // guards the maps below
	then, late map[string]*snapshot
}

// snapshot is one tenant at one moment.
type snapshot struct {
	head    investigation.Head
	records map[string]investigation.Record // by action
	strange error                           // the invalid records and head
}

func newRecords(ledger Ledger) *records {
	return &records{ledger: ledger, then: map[string]*snapshot{}, late: map[string]*snapshot{}}
}

// before reads the given tenants, except those it has read already.
func (r *records) before(ctx context.Context, tenants []string) error {
	if r == nil {
		return nil
	}
	for _, tenant := range tenants {
		_, err := r.at(ctx, r.then, tenant)
		if err != nil {
			return err
		}
	}
	return nil
}

// after returns the tenant's snapshot from after the archive was listed.
func (r *records) after(ctx context.Context, tenant string) (*snapshot, error) {
	return r.at(ctx, r.late, tenant)
}

func (r *records) at(ctx context.Context, moment map[string]*snapshot, tenant string) (*snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := moment[tenant]; ok {
		return s, nil
	}
	// Read the head first: everything sealed up to it is then among the records.
	head, strangeHead := r.ledger.Head(ctx, tenant)
	if err := strangeHead; err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return nil, fmt.Errorf("read the end of the chain of tenant %s: %w", tenant, err)
	}
	all, strange := r.ledger.Records(ctx, tenant)
	if err := strange; err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return nil, fmt.Errorf("read the records of tenant %s: %w", tenant, err)
	}
	s := &snapshot{
		head: head, records: make(map[string]investigation.Record, len(all)),
		strange: errors.Join(strangeHead, strange),
	}
	for _, rec := range all {
		s.records[rec.ActionID] = rec
	}
	moment[tenant] = s
	return s, nil
}

// tenantIDs returns the tenants that before has read.
func (r *records) tenantIDs() []string {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for id := range r.then {
		ids = append(ids, id)
	}
	return ids
}

// inHand returns a function that reports whether an action is still in progress: its record is not done,
// so its files may be written right now.
func (r *records) inHand(ctx context.Context) func(investigation.ID) bool {
	return func(id investigation.ID) bool {
		if r == nil {
			return false
		}
		s, err := r.after(ctx, id.TenantID)
		if err != nil {
			return false // the ledger check reports the error
		}
		rec, ok := s.records[id.ActionID]
		return ok && rec.State != investigation.StateDone
	}
}

// record returns the ledger's record of an action. It returns false if there is none, if the ledger cannot
// be read, or if no ledger was given.
func (r *records) record(ctx context.Context, id investigation.ID) (investigation.Record, bool) {
	if r == nil {
		return investigation.Record{}, false
	}
	for _, moment := range []map[string]*snapshot{r.then, r.late} {
		s, err := r.at(ctx, moment, id.TenantID)
		if err != nil {
			return investigation.Record{}, false // the ledger check reports the error
		}
		if rec, ok := s.records[id.ActionID]; ok {
			return rec, true
		}
	}
	return investigation.Record{}, false
}

// recordOf returns the record whose package has this SHA-256.
func (r *records) recordOf(ctx context.Context, tenant, sha256 string) (investigation.Record, bool) {
	if r == nil {
		return investigation.Record{}, false
	}
	s, err := r.at(ctx, r.then, tenant)
	if err != nil {
		return investigation.Record{}, false
	}
	for _, rec := range s.records {
		if rec.Receipt.SHA256 == sha256 {
			return rec, true
		}
	}
	return investigation.Record{}, false
}

// inLedger compares a manifest with the record of its action.
func (v *Verifier) inLedger(ctx context.Context, s *Subject) {
	if v.ledger == nil {
		s.skip(CheckLedger, "no ledger to compare with")
		return
	}
	var findings []Finding
	for _, moment := range []map[string]*snapshot{v.ledger.then, v.ledger.late} {
		snap, err := v.ledger.at(ctx, moment, s.TenantID)
		if err != nil {
			s.mismatch(Finding{Check: CheckLedger, What: "the ledger cannot be read", Found: err.Error(), Unread: true})
			return
		}
		findings = disagreements(s, snap)
		if len(findings) == 0 {
			break
		}
	}
	for _, f := range findings {
		s.mismatch(f)
	}
	s.ok(CheckLedger)
}

// disagreements returns the differences between a manifest and the record of its action.
func disagreements(s *Subject, snap *snapshot) []Finding {
	var findings []Finding
	mismatch := func(what, expected, found string) {
		findings = append(findings, Finding{Check: CheckLedger, What: what, Expected: expected, Found: found})
	}
	m := s.Manifest
	rec, ok := snap.records[m.Action.ID]
	if !ok {
		mismatch("the ledger has no record of the action", "", "")
		return findings
	}
	seal, receipt, manifestKey := rec.Seal, rec.Receipt, rec.ManifestKey
	if m.Outcome == manifest.OutcomeQuarantined {
		seal, receipt = rec.QuarantineSeal, rec.Quarantine
		manifestKey = investigation.Key(receipt.Key).Manifest()
	}
	switch {
	case seal.Sequence == 0:
		mismatch("the ledger has not sealed this manifest", "a seal",
			fmt.Sprintf("the state %q", rec.State))
		return findings
	case seal.Sequence != m.Chain.Sequence:
		mismatch("the ledger has a different sequence number", fmt.Sprint(seal.Sequence),
			fmt.Sprint(m.Chain.Sequence))
	}
	if seal.Digest != s.Digest {
		mismatch("the ledger has the digest of another manifest", seal.Digest, s.Digest)
	}
	// If another file occupied the place, the manifest went to a later one. The ledger records the final
	// key of the outcome's manifest, but only the first key of the quarantine's.
	exact := m.Outcome != manifest.OutcomeQuarantined && rec.State == investigation.StateDone
	if n, _ := investigation.ParseKey(manifestKey); manifestKey != s.ManifestKey && (exact || n.Stem() != s.stem) {
		mismatch("the ledger has the manifest under another key", manifestKey, s.ManifestKey)
	}
	if m.NotCollected != nil {
		if rec.Reason != m.NotCollected.Reason {
			mismatch("the ledger has a different reason", string(rec.Reason), string(m.NotCollected.Reason))
		}
		return findings
	}
	if want, got := receiptText(receipt), objectText(*m.Object); want != got {
		mismatch("the ledger has the receipt of another object", want, got)
	}
	return findings
}

func receiptText(r investigation.Receipt) string {
	return objectText(manifest.Object{
		Bucket: r.Bucket, Key: r.Key, VersionID: r.VersionID, Size: r.Size, SHA256: r.SHA256,
		CRC32C: r.CRC32C,
	})
}

func objectText(o manifest.Object) string {
	return fmt.Sprintf("%s/%s version %q, %d bytes, SHA-256 %s, CRC-32C %s", o.Bucket, o.Key, o.VersionID,
		o.Size, o.SHA256, o.CRC32C)
}

// sealed is a manifest for which the ledger holds a seal.
type sealed struct {
	key  string
	seal investigation.Seal
	done bool // nothing is left to write
}

// seals lists the sealed manifests of a record.
func seals(rec investigation.Record) []sealed {
	var all []sealed
	done := rec.State == investigation.StateDone
	if rec.QuarantineSeal.Sequence > 0 {
		all = append(all, sealed{investigation.Key(rec.Quarantine.Key).Manifest(), rec.QuarantineSeal, done})
	}
	if rec.IsSealed() {
		all = append(all, sealed{rec.ManifestKey, rec.Seal, done})
	}
	return all
}
