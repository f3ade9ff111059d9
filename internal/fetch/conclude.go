package fetch

import (
	"context"
	"errors"
	"fmt"

	"packhorse/internal/investigation"
)

// ErrElsewhere says that the manifest of the action belongs in another archive that shares the ledger.
// The fetcher of that archive concludes it.
var ErrElsewhere = errors.New("the manifest belongs in another archive")

// Conclude finishes an action whose outcome is decided: it runs steps 8 to 10 of Fetch, and step 7 first
// if the action ended without a package. It does not claim the action: two calls at the same time write
// the same. An action that is done does not change. An action whose manifest belongs in another archive is
// refused with [ErrElsewhere].
func (f *Fetcher) Conclude(ctx context.Context, id investigation.ID) Result {
	sealer, err := f.custody.Sealer(ctx, investigation.Collection{}, investigation.Content{})
	if err != nil {
		return Result{Outcome: OutcomeFailed, Err: fmt.Errorf("prepare the manifest of action %s: %w", id.ActionID, err)}
	}
	rec, err := f.ledger.Seal(ctx, id, investigation.Unchanged(), sealer)
	switch {
	case errors.Is(err, investigation.ErrUnknownAction), errors.Is(err, investigation.ErrIllegalChange):
		return Result{Outcome: OutcomeRefused, Err: err}
	case err != nil:
		return Result{Outcome: OutcomeFailed, Err: err}
	case rec.State == investigation.StateDone:
		return Result{Outcome: OutcomeConcluded, Record: rec}
	case rec.Seal.Bucket != sealer.Bucket():
		err = fmt.Errorf("conclude action %s: %w: %q", id.ActionID, ErrElsewhere, rec.Seal.Bucket)
		return Result{Outcome: OutcomeRefused, Record: rec, Err: err}
	}
	rec, err = f.conclude(ctx, rec)
	if err != nil {
		return Result{Outcome: OutcomeFailed, Record: rec, Err: err}
	}
	return Result{Outcome: OutcomeConcluded, Record: rec}
}

// conclude runs steps 8 to 10. If a step fails, the action is due again and Conclude repeats them.
func (f *Fetcher) conclude(ctx context.Context, rec investigation.Record) (
	investigation.Record, error,
) {
	if rec.Quarantine != (investigation.Receipt{}) {
		key := investigation.Key(rec.Quarantine.Key).Manifest()
		placed, err := f.writeManifest(ctx, rec.ActionID, key, rec.QuarantineSeal)
		rec.Strangers = rec.Strangers.Add(placed.Strangers...)
		if err != nil {
			return rec, err
		}
	}
	placed, err := f.writeManifest(ctx, rec.ActionID, rec.ManifestKey, rec.Seal)
	rec.Strangers = rec.Strangers.Add(placed.Strangers...)
	if err != nil {
		return rec, err
	}
	rec.ManifestKey = placed.Key
	_, err = f.bus.Announce(ctx, []investigation.Record{rec})
	if err != nil {
		return rec, fmt.Errorf("announce action %s: %w", rec.ActionID, err)
	}
	announced, err := f.ledger.Change(ctx, rec.ID, investigation.Announce(investigation.Conclusion{
		At: f.now(), ManifestKey: rec.ManifestKey, Strangers: rec.Strangers,
	}))
	if err != nil {
		return rec, err
	}
	return announced, nil
}

// writeManifest runs steps 8 and 9 for one manifest. It returns where the manifest is stored, and the
// strangers found in its places and in those of the signature.
func (f *Fetcher) writeManifest(ctx context.Context, actionID, key string, seal investigation.Seal,
) (investigation.Placed, error) {
	manifest := []byte(seal.Manifest)
	placed, err := f.archive.StoreManifest(ctx, key, manifest)
	if err != nil {
		return placed, fmt.Errorf("store the manifest of action %s: %w", actionID, err)
	}
	signature, err := f.custody.Sign(ctx, manifest)
	if err != nil {
		return placed, fmt.Errorf("sign the manifest of action %s: %w", actionID, err)
	}
	signed, err := f.archive.StoreSignature(ctx, investigation.SignatureKey(placed.Key), signature,
		func(there []byte) error { return f.custody.Verify(ctx, manifest, there) })
	placed.Strangers = append(placed.Strangers, signed.Strangers...)
	if err != nil {
		return placed, fmt.Errorf("store the manifest signature of action %s: %w", actionID, err)
	}
	return placed, nil
}
