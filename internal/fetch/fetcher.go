// Package fetch moves one package from Defender into the archive: the second use case.
//
// [Fetcher.Fetch] is the whole of it: claim, link, stream, check, commit, ledger, manifest,
// signature, announce, in that order. Its last part, [Fetcher.Conclude], is also what ends an action
// that never had a package. There is no recovery mode: what a crash left behind is carried on by the
// same path the next time the action is due.
//
// The package reaches nothing itself. What it needs is in ports.go; the budget is not among it,
// because the transport under [Defender.PackageURI] counts every call.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"packhorse/internal/investigation"
)

const (
	// patience is how long a fetcher that was denied a slot waits for it rather than giving the
	// action back: a slot that near was promised by the poller (it dispatches 1.5 s ahead), and
	// giving back costs two ledger writes and another event.
	patience = 3 * time.Second

	// deniedMax bounds how often one fetch waits so, where others keep taking the slot.
	deniedMax = 3

	// opensMax is how often one link is opened. A broken download costs no budget while its link
	// lives; a new link costs a call.
	opensMax = 3

	// settleTimeout bounds what follows the commit, a failure, or a cancelled context: a few writes to
	// the ledger and the archive, and a signature.
	settleTimeout = 20 * time.Second
)

// Fetcher moves packages. Its methods may be called by several goroutines at once, each for another
// action; two that mean the same action are told apart by the ledger.
type Fetcher struct {
	defender Defender
	ledger   Ledger
	archive  Archive
	bus      Bus
	custody  Custody
	prefix   string
	lease    time.Duration
	now      func() time.Time
	newOwner func() string
	logger   *slog.Logger
}

// New returns a Fetcher that stores packages under prefix. A claim lasts lease and is renewed while
// the fetch goes on; lease is therefore how long a killed fetcher's package lies idle. newOwner MUST
// return a name no other claim ever had.
func New(
	defender Defender,
	ledger Ledger,
	archive Archive,
	bus Bus,
	custody Custody,
	prefix string,
	lease time.Duration,
	now func() time.Time,
	newOwner func() string,
	logger *slog.Logger,
) *Fetcher {
	return &Fetcher{
		defender: defender, ledger: ledger, archive: archive, bus: bus, custody: custody,
		prefix: prefix, lease: lease, now: now, newOwner: newOwner, logger: logger,
	}
}

// Fetch carries the package of one action into the archive and says so. The order of its effects:
//
//  1. claim        the ledger gives the action to this owner for the length of a lease
//  2. look         only from the second attempt on: is the object there already? then go to 7
//  3. lease a slot inside the counted transport of the next call
//  4. link         spends one call of the budget, whatever comes back
//  5. stream       from the link to the archive, hashed and counted as it passes
//  6. COMMIT       whole, a ZIP, and no object there yet: the archive's one conditional write. What
//     turns out to be no package, at the last attempt, is committed to quarantine instead
//  7. ledger       what became of it, with the receipt; in the same transaction the manifest takes
//     its place in the tenant's chain, and its bytes are kept until 8 and 9 are done
//  8. manifest     conditional too
//  9. signature    likewise
//  10. announce    on the bus, then noted in the ledger
//
// A process that dies before 6 leaves nothing; one that dies between 6 and 7 has stored the object
// for whoever claims next, who reads back from it all that the manifest says of it; after 7 the
// manifest's bytes stand. Every step may be repeated.
//
// The record is the action's as the ledger has it afterwards. An error that wraps
// *[investigation.NotClaimableError] or [investigation.ErrUnknownAction] means that nothing was
// done and no call was spent. Any other error has been written to the ledger, which makes the
// action due again or closes it, unless it says otherwise.
func (f *Fetcher) Fetch(ctx context.Context, id investigation.ID) (investigation.Record, error) {
	owner := f.newOwner()
	now := f.now()
	rec, err := f.ledger.Claim(ctx, id, owner, now, now.Add(f.lease))
	if err != nil {
		return investigation.Record{}, fmt.Errorf("claim action %s: %w", id.ActionID, err)
	}

	leased, stop := f.keep(ctx, rec)
	defer stop()

	stored, err := f.obtain(leased, rec)
	if err != nil {
		return f.giveBack(ctx, rec, stored, errors.Join(err, lost(leased)))
	}

	// The package is stored: being asked to stop does not stop the few writes that say so.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	sealer, err := f.custody.Sealer(after, stored)
	if err != nil {
		return f.giveBack(ctx, rec, stored, fmt.Errorf("prepare the manifest of %s: %w", id.ActionID, err))
	}
	stop()
	rec, err = f.ledger.Archived(after, id, owner, stored.Receipt, f.now(), sealer)
	if err != nil {
		return rec, fmt.Errorf("note action %s as archived: %w", id.ActionID, err)
	}
	return f.conclude(after, rec)
}

// ErrElsewhere: the manifest of the action belongs into another archive on the same ledger. Whoever
// writes there concludes it.
var ErrElsewhere = errors.New("its manifest belongs into another archive")

// Conclude performs what is left to do for an action whose outcome is decided: steps 8 to 10 of
// Fetch, and before them 7 where the action ended without a package. It needs no claim: two that do
// it at once write the same. An action that is done stays as it is. An error means that the action
// is due again; one that wraps [ErrElsewhere], that it is due for somebody else.
func (f *Fetcher) Conclude(ctx context.Context, id investigation.ID) (investigation.Record, error) {
	sealer, err := f.custody.Sealer(ctx, investigation.Stored{})
	if err != nil {
		return investigation.Record{}, fmt.Errorf("prepare the manifest of %s: %w", id.ActionID, err)
	}
	rec, err := f.ledger.Seal(ctx, id, sealer)
	if err != nil {
		return investigation.Record{}, fmt.Errorf("seal action %s: %w", id.ActionID, err)
	}
	if rec.State == investigation.StateDone {
		return rec, nil
	}
	ours, err := f.custody.Ours([]byte(rec.Seal.Manifest))
	if err != nil {
		return rec, fmt.Errorf("read the manifest of action %s: %w", id.ActionID, err)
	}
	if !ours {
		return rec, fmt.Errorf("conclude action %s: %w", id.ActionID, ErrElsewhere)
	}
	return f.conclude(ctx, rec)
}

// conclude performs steps 8 to 10. What it cannot do is due again, and is done by Conclude.
func (f *Fetcher) conclude(ctx context.Context, rec investigation.Record) (
	investigation.Record, error,
) {
	if rec.Quarantine != (investigation.Receipt{}) {
		key := investigation.Key(rec.Quarantine.Key).Manifest()
		err := f.writeManifest(ctx, rec.ActionID, key, rec.QuarantineSeal)
		if err != nil {
			return rec, err
		}
	}
	err := f.writeManifest(ctx, rec.ActionID, rec.ManifestKey, rec.Seal)
	if err != nil {
		return rec, err
	}
	_, err = f.bus.Announce(ctx, []investigation.Record{rec})
	if err != nil {
		return rec, fmt.Errorf("announce action %s: %w", rec.ActionID, err)
	}
	announced, err := f.ledger.Announced(ctx, rec.ID, f.now())
	if err != nil {
		return rec, fmt.Errorf("note action %s as announced: %w", rec.ActionID, err)
	}
	return announced, nil
}

// writeManifest performs steps 8 and 9 for one manifest.
func (f *Fetcher) writeManifest(ctx context.Context, actionID, key string, seal investigation.Seal,
) error {
	manifest := []byte(seal.Manifest)
	err := f.archive.StoreManifest(ctx, key, manifest)
	if err != nil {
		return fmt.Errorf("store the manifest of %s: %w", actionID, err)
	}
	signature, err := f.custody.Sign(ctx, manifest)
	if err != nil {
		return fmt.Errorf("sign the manifest of %s: %w", actionID, err)
	}
	err = f.archive.StoreSignature(ctx, investigation.SignatureKey(key), signature,
		func(there []byte) error { return f.custody.Verify(ctx, manifest, there) })
	if err != nil {
		return fmt.Errorf("store the signature of the manifest of %s: %w", actionID, err)
	}
	return nil
}

// obtain performs steps 2 to 6 and returns what the archive confirmed. Beside an error that wraps
// investigation.ErrNotAPackage it returns what is in quarantine, if anything is.
func (f *Fetcher) obtain(ctx context.Context, rec investigation.Record) (
	investigation.Stored, error,
) {
	place, err := f.placementOf(rec)
	if err != nil {
		return investigation.Stored{}, err
	}
	stored, found, err := f.look(ctx, rec, place)
	if found || err != nil {
		return stored, err
	}
	link, exchange, err := f.link(ctx, rec)
	if err != nil {
		return investigation.Stored{}, theirs(fmt.Errorf("get package uri of %s: %w", rec.ActionID, err))
	}
	place.Collection.Link = exchange
	for opens := 1; ; opens++ {
		stored, err := f.transfer(ctx, place, link)
		if err == nil || opens == opensMax || !worthReopening(ctx, err) {
			return stored, err
		}
		f.logger.WarnContext(ctx, "the download broke off, opening the same link again",
			slog.String("actionId", rec.ActionID), slog.Int("opens", opens),
			slog.String("error", err.Error()))
	}
}

// placementOf says where the package of a claimed action goes.
func (f *Fetcher) placementOf(rec investigation.Record) (investigation.Placement, error) {
	key, err := investigation.KeyOf(f.prefix, rec.Action)
	if err != nil {
		return investigation.Placement{}, err
	}
	place := investigation.Placement{
		Key: key, Action: rec.Action, Collection: investigation.Collection{Attempt: rec.Attempts},
	}
	if lastIfInvalid(rec) {
		place.Quarantine, err = investigation.QuarantineKeyOf(rec.Action)
	}
	return place, err
}

// look performs step 2: it returns what an earlier attempt stored, if that is there.
func (f *Fetcher) look(ctx context.Context, rec investigation.Record, place investigation.Placement) (
	stored investigation.Stored, found bool, err error,
) {
	if rec.Attempts == 1 {
		return stored, false, nil
	}
	for _, key := range []investigation.Key{place.Key, place.Quarantine} {
		if key == "" {
			continue
		}
		stored, err = f.archive.Stored(ctx, key)
		switch {
		case errors.Is(err, investigation.ErrNotStored):
			continue
		case err != nil:
			return investigation.Stored{}, false, fmt.Errorf("look for %s: %w", key, err)
		}
		f.logger.InfoContext(ctx, "the object is stored already",
			slog.String("actionId", rec.ActionID), slog.String("key", string(key)))
		if key == place.Quarantine {
			err = theirs(fmt.Errorf("an earlier attempt left %s: %w", key, investigation.ErrNotAPackage))
		}
		return stored, true, err
	}
	return investigation.Stored{}, false, nil
}

// link performs steps 3 and 4. Denied a slot that is near, it waits for it.
func (f *Fetcher) link(ctx context.Context, rec investigation.Record) (
	investigation.Link, investigation.Exchange, error,
) {
	for denied := 1; ; denied++ {
		link, exchange, err := f.defender.PackageURI(ctx, rec.ActionID)
		postponed, ok := errors.AsType[*investigation.PostponedError](err)
		if !ok || denied == deniedMax || postponed.RetryAt.Sub(f.now()) > patience {
			return link, exchange, err
		}
		err = wait(ctx, postponed.RetryAt.Sub(f.now()))
		if err != nil {
			return investigation.Link{}, investigation.Exchange{}, err
		}
	}
}

// transfer performs steps 5 and 6 once.
func (f *Fetcher) transfer(ctx context.Context, place investigation.Placement,
	link investigation.Link,
) (investigation.Stored, error) {
	pkg, err := f.defender.Open(ctx, link)
	if err != nil {
		return investigation.Stored{}, theirs(fmt.Errorf(
			"open the download of %s: %w", place.Action.ActionID, err))
	}
	source := &watched{ReadCloser: pkg.Body}
	defer func() {
		// What was stored is stored: a close that fails after that tells nothing new.
		_ = source.Close()
	}()
	pkg.Body = source
	stored, err := f.archive.Store(ctx, place, pkg)
	if err == nil {
		return stored, nil
	}
	err = fmt.Errorf("store the package of %s: %w", place.Action.ActionID, err)
	if source.failed != nil || errors.Is(err, investigation.ErrNotAPackage) {
		err = theirs(err)
	}
	return stored, err
}

// worthReopening reports whether the same link may give the bytes again: the connection broke or
// the archive asks for them once more. What is no package, or a link that is refused, stays so.
func worthReopening(ctx context.Context, err error) bool {
	switch {
	case ctx.Err() != nil,
		errors.Is(err, investigation.ErrLinkExpired),
		errors.Is(err, investigation.ErrNotAPackage):
		return false
	case errors.Is(err, investigation.ErrStartAgain):
		return true
	default:
		_, ok := errors.AsType[*theirError](err)
		return ok
	}
}

// giveBack writes what a failure means to the ledger, and returns the failure. What is stored of it
// is in quarantine.
func (f *Fetcher) giveBack(ctx context.Context, rec investigation.Record,
	stored investigation.Stored, failure error,
) (investigation.Record, error) {
	if errors.Is(failure, investigation.ErrLeaseLost) {
		return rec, failure // somebody else has it: nothing here is ours to write
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()

	verdict := judge(rec, failure, f.now())
	if verdict.reason == "" {
		given, err := f.ledger.Release(ctx, rec.ID, rec.Owner, verdict.release)
		if err != nil {
			return rec, errors.Join(failure, fmt.Errorf("release action %s: %w", rec.ActionID, err))
		}
		return given, failure
	}
	sealer, err := f.custody.Sealer(ctx, stored)
	if err != nil {
		return rec, errors.Join(failure, fmt.Errorf("prepare the manifest of %s: %w", rec.ActionID, err))
	}
	closed, err := f.ledger.NotCollected(ctx, rec.ID, rec.Owner, investigation.Closing{
		At: f.now(), Reason: verdict.reason, Message: verdict.release.Message, Quarantine: stored.Receipt,
	}, sealer)
	if err != nil {
		return rec, errors.Join(failure, fmt.Errorf("close action %s: %w", rec.ActionID, err))
	}
	concluded, err := f.conclude(ctx, closed)
	return concluded, errors.Join(failure, err)
}

// watched remembers whether it was the reading that failed: the archive's error alone does not
// tell whose fault it was.
type watched struct {
	io.ReadCloser
	failed error // the first error but io.EOF
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && w.failed == nil {
		w.failed = err
	}
	return n, err
}

// wait returns after d, or earlier with the context's error.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
