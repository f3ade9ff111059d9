package verify

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// records is what the ledger says, at two moments: before the archive was listed and after. A run
// may go on while it is verified; so a disagreement counts only if both moments show it. A nil
// *records is no ledger.
type records struct {
	ledger Ledger

	mu         sync.Mutex // guards what follows
	then, late map[string]*snapshot
}

// snapshot is one tenant at one moment.
type snapshot struct {
	head    investigation.Head
	records map[string]investigation.Record // by action
	strange error                           // what the ledger has that is no record, or no head
}

func newRecords(ledger Ledger) *records {
	return &records{ledger: ledger, then: map[string]*snapshot{}, late: map[string]*snapshot{}}
}

// before asks for tenants that were not asked for yet.
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

// after returns what the ledger says of the tenant since the archive was listed.
func (r *records) after(ctx context.Context, tenant string) (*snapshot, error) {
	return r.at(ctx, r.late, tenant)
}

func (r *records) at(ctx context.Context, moment map[string]*snapshot, tenant string) (*snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := moment[tenant]; ok {
		return s, nil
	}
	// The head first: what is sealed after it was read is then not missing from the records.
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

// tenantIDs returns the tenants that were asked for.
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

// inHand returns what says of an action whether something of it may be stored at this moment: its
// record is not done.
func (r *records) inHand(ctx context.Context) func(investigation.ID) bool {
	return func(id investigation.ID) bool {
		if r == nil {
			return false
		}
		s, err := r.after(ctx, id.TenantID)
		if err != nil {
			return false // whoever asks the ledger next will say so
		}
		rec, ok := s.records[id.ActionID]
		return ok && rec.State != investigation.StateDone
	}
}

// record returns what the ledger knows of an action; false if it does not know it, cannot be read, or is
// not there.
func (r *records) record(ctx context.Context, id investigation.ID) (investigation.Record, bool) {
	if r == nil {
		return investigation.Record{}, false
	}
	for _, moment := range []map[string]*snapshot{r.then, r.late} {
		s, err := r.at(ctx, moment, id.TenantID)
		if err != nil {
			return investigation.Record{}, false // whoever asks the ledger next will say so
		}
		if rec, ok := s.records[id.ActionID]; ok {
			return rec, true
		}
	}
	return investigation.Record{}, false
}

// recordOf returns the record whose package has the SHA-256.
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

// inLedger holds a manifest against its action's record.
func (v *Verifier) inLedger(ctx context.Context, s *Subject) {
	if v.ledger == nil {
		s.skip(CheckLedger, "there is no ledger to compare with")
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

// disagreements compares a manifest with the record of its action.
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
		mismatch("the ledger has not sealed such a manifest", "a seal",
			fmt.Sprintf("the state %q", rec.State))
		return findings
	case seal.Sequence != m.Chain.Sequence:
		mismatch("the ledger has another sequence number", fmt.Sprint(seal.Sequence),
			fmt.Sprint(m.Chain.Sequence))
	}
	if seal.Digest != s.Digest {
		mismatch("the ledger has the digest of another manifest", seal.Digest, s.Digest)
	}
	// Where another file lay in its place, the ledger knows of the outcome's manifest where it went in
	// the end, and of the quarantine's only where it belongs.
	exact := m.Outcome != manifest.OutcomeQuarantined && rec.State == investigation.StateDone
	if n, _ := investigation.ParseKey(manifestKey); manifestKey != s.ManifestKey && (exact || n.Stem() != s.stem) {
		mismatch("the ledger has the manifest under another key", manifestKey, s.ManifestKey)
	}
	if m.NotCollected != nil {
		if rec.Reason != m.NotCollected.Reason {
			mismatch("the ledger has another reason", string(rec.Reason), string(m.NotCollected.Reason))
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

// sealed is a manifest that the ledger has a seal of.
type sealed struct {
	key  string
	seal investigation.Seal
	done bool // and nothing is to be written any more
}

// seals lists the manifests that a record has sealed.
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
