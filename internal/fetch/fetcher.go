// Package fetch moves one package from Defender into the archive: the second use case.
//
// [Fetcher.Fetch] is the whole of it: claim, link, stream, check, commit, manifest, ledger,
// announce, in that order and in that one function. There is no recovery mode: what a crash left
// behind is carried on by the same path the next time the action is due.
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

	// settleTimeout bounds the ledger writes that follow a failure or a cancelled context.
	settleTimeout = 10 * time.Second
)

// Fetcher moves packages. Its methods may be called by several goroutines at once, each for another
// action; two that mean the same action are told apart by the ledger.
type Fetcher struct {
	defender Defender
	ledger   Ledger
	archive  Archive
	bus      Bus
	manifest func(investigation.Record, investigation.Receipt) ([]byte, error)
	prefix   string
	lease    time.Duration
	now      func() time.Time
	newOwner func() string
	logger   *slog.Logger
}

// New returns a Fetcher that stores under prefix. manifest MUST be a pure function: after a crash
// it is called again and has to give the same bytes. A claim lasts lease and is renewed while the
// fetch goes on; lease is therefore how long a killed fetcher's package lies idle. newOwner MUST
// return a name no other claim ever had.
func New(
	defender Defender,
	ledger Ledger,
	archive Archive,
	bus Bus,
	manifest func(investigation.Record, investigation.Receipt) ([]byte, error),
	prefix string,
	lease time.Duration,
	now func() time.Time,
	newOwner func() string,
	logger *slog.Logger,
) *Fetcher {
	return &Fetcher{
		defender: defender, ledger: ledger, archive: archive, bus: bus, manifest: manifest,
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
//  6. COMMIT       whole, a ZIP, and no object there yet: the archive's one conditional write
//  7. manifest     beside the package, conditional too
//  8. ledger       archived, with the receipt; still to announce
//  9. announce     on the bus, then noted in the ledger
//
// A process that dies before 6 leaves nothing; one that dies after 6 has stored the package for
// whoever claims next. Every step may be repeated.
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

	key, receipt, err := f.obtain(leased, rec)
	if err != nil {
		return f.giveBack(ctx, rec, errors.Join(err, lost(leased)))
	}

	// The package is stored: being asked to stop does not stop the few writes that say so.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	err = f.writeManifest(after, rec, key, receipt)
	if err != nil {
		return f.giveBack(ctx, rec, err)
	}
	stop()
	rec, err = f.ledger.Archived(after, id, owner, receipt, key.Manifest(), f.now())
	if err != nil {
		return rec, fmt.Errorf("note action %s as archived: %w", id.ActionID, err)
	}
	return f.announce(after, rec)
}

// obtain performs steps 2 to 6 and returns what the archive confirmed.
func (f *Fetcher) obtain(ctx context.Context, rec investigation.Record) (
	investigation.Key, investigation.Receipt, error,
) {
	key, err := investigation.KeyOf(f.prefix, rec.Action)
	if err != nil {
		return "", investigation.Receipt{}, err
	}
	if rec.Attempts > 1 {
		receipt, err := f.archive.Stored(ctx, key)
		if err == nil {
			f.logger.InfoContext(ctx, "the package is stored already",
				slog.String("actionId", rec.ActionID), slog.String("key", string(key)))
			return key, receipt, nil
		}
		if !errors.Is(err, investigation.ErrNotStored) {
			return key, investigation.Receipt{}, fmt.Errorf("look for %s: %w", key, err)
		}
	}
	link, err := f.link(ctx, rec)
	if err != nil {
		return key, investigation.Receipt{}, theirs(fmt.Errorf(
			"get package uri of %s: %w", rec.ActionID, err))
	}
	for opens := 1; ; opens++ {
		receipt, err := f.transfer(ctx, key, rec, link)
		if err == nil || opens == opensMax || !worthReopening(ctx, err) {
			return key, receipt, err
		}
		f.logger.WarnContext(ctx, "the download broke off, opening the same link again",
			slog.String("actionId", rec.ActionID), slog.Int("opens", opens),
			slog.String("error", err.Error()))
	}
}

// link performs steps 3 and 4. Denied a slot that is near, it waits for it.
func (f *Fetcher) link(ctx context.Context, rec investigation.Record) (investigation.Link, error) {
	for denied := 1; ; denied++ {
		link, err := f.defender.PackageURI(ctx, rec.ActionID)
		postponed, ok := errors.AsType[*investigation.PostponedError](err)
		if !ok || denied == deniedMax || postponed.RetryAt.Sub(f.now()) > patience {
			return link, err
		}
		err = wait(ctx, postponed.RetryAt.Sub(f.now()))
		if err != nil {
			return investigation.Link{}, err
		}
	}
}

// transfer performs steps 5 and 6 once.
func (f *Fetcher) transfer(ctx context.Context, key investigation.Key, rec investigation.Record,
	link investigation.Link,
) (receipt investigation.Receipt, err error) {
	pkg, err := f.defender.Open(ctx, link)
	if err != nil {
		return investigation.Receipt{}, theirs(fmt.Errorf(
			"open the download of %s: %w", rec.ActionID, err))
	}
	source := &watched{ReadCloser: pkg.Body}
	defer func() {
		// What was stored is stored: a close that fails after that tells nothing new.
		_ = source.Close()
	}()
	pkg.Body = source
	receipt, err = f.archive.Store(ctx, key, rec.Action, pkg)
	if err == nil {
		return receipt, nil
	}
	err = fmt.Errorf("store the package of %s: %w", rec.ActionID, err)
	if source.failed != nil || errors.Is(err, investigation.ErrNotAPackage) {
		return investigation.Receipt{}, theirs(err)
	}
	return investigation.Receipt{}, err
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

// writeManifest performs step 7.
func (f *Fetcher) writeManifest(ctx context.Context, rec investigation.Record,
	key investigation.Key, receipt investigation.Receipt,
) error {
	manifest, err := f.manifest(rec, receipt)
	if err != nil {
		return fmt.Errorf("make the manifest of %s: %w", rec.ActionID, err)
	}
	err = f.archive.StoreManifest(ctx, key.Manifest(), manifest)
	if err != nil {
		return fmt.Errorf("store the manifest of %s: %w", rec.ActionID, err)
	}
	return nil
}

// announce performs step 9. What it cannot do the poller's next sweep does.
func (f *Fetcher) announce(ctx context.Context, rec investigation.Record) (
	investigation.Record, error,
) {
	_, err := f.bus.Announce(ctx, []investigation.Record{rec})
	if err != nil {
		return rec, fmt.Errorf("announce action %s: %w", rec.ActionID, err)
	}
	now := f.now()
	err = f.ledger.Announced(ctx, rec.ID, now)
	if err != nil {
		return rec, fmt.Errorf("note action %s as announced: %w", rec.ActionID, err)
	}
	return rec.Announced(now)
}

// giveBack writes what a failure means to the ledger, and returns the failure.
func (f *Fetcher) giveBack(ctx context.Context, rec investigation.Record, failure error) (
	investigation.Record, error,
) {
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
	closed, err := f.ledger.NotCollected(ctx, rec.ID, rec.Owner, verdict.reason, verdict.release.Message)
	if err != nil {
		return rec, errors.Join(failure, fmt.Errorf("close action %s: %w", rec.ActionID, err))
	}
	announced, err := f.announce(ctx, closed)
	return announced, errors.Join(failure, err)
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
