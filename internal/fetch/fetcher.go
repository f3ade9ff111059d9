// Package fetch moves one package from Defender into the archive: the second use case.
//
// [Fetcher.Fetch] does all of it: claim, look, link, stream, check, commit, ledger, manifest,
// signature, announce, in that order. [Fetcher.Conclude] runs the last steps on their own, for actions
// that end without a package. There is no recovery mode: when a crash interrupts a fetch, the action
// becomes due again and takes the same path.
//
// The package reaches nothing itself: ports.go says what it needs. The budget is not among its ports,
// because the transport under [Defender.PackageURI] counts every call.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"packhorse/internal/investigation"
)

// concludeTimeout bounds what follows the commit, a failure, or a cancelled context: a few writes to the
// ledger and the archive, and a signature.
const concludeTimeout = 20 * time.Second

// Fetcher moves packages. Its methods may be called by several goroutines at once, each for another
// action; two that mean the same action are told apart by the ledger.
type Fetcher struct {
	defender Defender
	ledger   Ledger
	archive  Archive
	space    Space
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
	space Space,
	bus Bus,
	custody Custody,
	prefix string,
	lease time.Duration,
	now func() time.Time,
	newOwner func() string,
	logger *slog.Logger,
) *Fetcher {
	return &Fetcher{
		defender: defender, ledger: ledger, archive: archive, space: space, bus: bus, custody: custody,
		prefix: prefix, lease: lease, now: now, newOwner: newOwner, logger: logger,
	}
}

// Fetch carries the package of one action into the archive and says so. The order of its effects:
//
//  1. claim        the ledger gives the action to this owner for the length of a lease
//  2. look         is the object there already? then go to 7. What lies in its place and is not
//     Packhorse's is named, and the object gets another place
//  3. lease a slot if there is [Space] for the package; inside the counted transport of the next call
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
// A process that is asked to stop after the commit still makes the few writes that say so.
func (f *Fetcher) Fetch(ctx context.Context, id investigation.ID) Result {
	owner := f.newOwner()
	now := f.now()
	rec, err := f.ledger.Change(ctx, id, investigation.Claim(owner, now, now.Add(f.lease)))
	if err != nil {
		return unclaimed(err)
	}

	leased, stop := f.keep(ctx, rec)
	defer stop()

	stored, strangers, err := f.obtain(leased, rec)
	rec.Strangers = strangers
	if err != nil {
		return f.giveBack(ctx, rec, stored, errors.Join(err, lost(leased)))
	}

	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), concludeTimeout)
	defer cancel()
	sealer, err := f.custody.Sealer(after, stored)
	if err != nil {
		return f.giveBack(ctx, rec, stored, fmt.Errorf("prepare the manifest of %s: %w", id.ActionID, err))
	}
	stop()
	archived, err := f.ledger.Seal(after, id, investigation.Archive(owner, investigation.Arrival{
		At: f.now(), Receipt: stored.Receipt, Strangers: strangers,
	}), sealer)
	if err != nil {
		return Result{Outcome: OutcomeFailed, Record: rec, Err: err}
	}
	concluded, err := f.conclude(after, archived)
	return Result{Outcome: OutcomeArchived, Record: concluded, Err: err}
}

// giveBack writes what a failure means to the ledger, with the strangers of the record: the action is
// due again, or closed. What is stored of it is in quarantine.
func (f *Fetcher) giveBack(ctx context.Context, rec investigation.Record,
	stored investigation.Stored, failure error,
) Result {
	failed := func(err error) Result {
		return Result{Outcome: OutcomeFailed, Record: rec, Err: errors.Join(failure, err)}
	}
	if errors.Is(failure, investigation.ErrLeaseLost) {
		return failed(nil) // somebody else has it: nothing here is ours to write
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), concludeTimeout)
	defer cancel()

	verdict := judge(rec, failure, f.now())
	verdict.release.Strangers = rec.Strangers
	if verdict.reason == "" {
		given, err := f.ledger.Change(ctx, rec.ID, investigation.GiveBack(rec.Owner, verdict.release))
		if err != nil {
			return failed(err)
		}
		return Result{Outcome: OutcomePostponed, Record: given, Err: failure}
	}
	sealer, err := f.custody.Sealer(ctx, stored)
	if err != nil {
		return failed(fmt.Errorf("prepare the manifest of %s: %w", rec.ActionID, err))
	}
	closed, err := f.ledger.Seal(ctx, rec.ID, investigation.Close(rec.Owner, investigation.Closing{
		At: f.now(), Reason: verdict.reason, Message: verdict.release.Message, Quarantine: stored.Receipt,
		Strangers: rec.Strangers,
	}), sealer)
	if err != nil {
		return failed(err)
	}
	concluded, err := f.conclude(ctx, closed)
	return Result{Outcome: OutcomeNotCollected, Record: concluded, Err: err}
}
