// Package fetch moves one package from Defender into the archive: the second use case.
//
// [Fetcher.Fetch] does all of it: claim, look, link, stream, check, commit, ledger, manifest,
// signature, announce, in that order. [Fetcher.Conclude] runs the last steps on their own, for actions
// that end without a package. There is no recovery mode: when a crash interrupts a fetch, the action
// becomes due again and takes the same path.
//
// The package does no I/O of its own: ports.go says what it needs. The budget is not a port, because the
// transport under [Defender.PackageURI] counts every call.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"packhorse/internal/investigation"
)

// concludeTimeout bounds the work after the commit, a failure or a canceled context: a few writes to the
// ledger and the archive, and a signature.
const concludeTimeout = 20 * time.Second

// Fetcher moves packages. It is safe for concurrent use. If several calls are for the same action, the
// ledger lets only one of them claim it.
type Fetcher struct {
	defender Defender
	ledger   Ledger
	archive  Archive
	space    Space
	bus      Bus
	custody  Custody
	before   *Preflight
	prefix   string
	lease    time.Duration
	now      func() time.Time
	newOwner func() string
	logger   *slog.Logger
}

// Config is what a [Fetcher] works with. Every field but Preflight is required.
type Config struct {
	Defender Defender
	Ledger   Ledger
	Archive  Archive
	Space    Space
	Bus      Bus
	Custody  Custody

	// Preflight runs before each event that a [Handler] takes. Nil: the caller runs one itself.
	Preflight *Preflight

	// Prefix precedes every object key.
	Prefix string
	// Lease is how long a claim lasts. It is renewed during the fetch; when a fetcher is killed, its
	// package stays idle for that long.
	Lease time.Duration
	// NewOwner MUST return a name that no other claim ever had.
	NewOwner func() string

	Now    func() time.Time
	Logger *slog.Logger
}

// New returns a Fetcher.
func New(c Config) *Fetcher {
	return &Fetcher{
		defender: c.Defender, ledger: c.Ledger, archive: c.Archive, space: c.Space, bus: c.Bus,
		custody: c.Custody, before: c.Preflight, prefix: c.Prefix, lease: c.Lease, newOwner: c.NewOwner, now: c.Now,
		logger: c.Logger,
	}
}

// Fetch stores the package of one action in the archive and announces it. The order of its effects:
//
//  1. claim        the ledger gives the action to this owner for the length of a lease
//  2. look         if the object is in the archive already, continue at 7; if a stranger is in its place,
//     report the stranger and use the next place
//  3. lease a slot if there is [Space] for the package; the counted transport does this inside step 4
//  4. link         spends one call of the budget, no matter what the answer is
//  5. stream       from the link to the archive, hashed and counted on the way
//  6. COMMIT       if the download is complete, is a ZIP, and the place is still free: the archive's one
//     conditional write. On the last attempt, a download that is not a ZIP is committed to quarantine
//  7. ledger       writes the outcome with the receipt; in the same transaction the manifest takes its
//     place in the tenant's chain, and the ledger keeps its bytes until 8 and 9 are done
//  8. manifest     a conditional write, too
//  9. signature    a conditional write, too
//  10. announce    on the bus, and then recorded in the ledger
//
// A process that dies before 6 leaves nothing behind. If it dies between 6 and 7, the next claim finds the
// object and reads back from it everything that goes into the manifest. After 7 the manifest's bytes are
// fixed. Every step may be repeated.
//
// A process that is asked to stop after the commit still makes the few writes that record it.
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
	sealer, err := f.custody.Sealer(after, stored.Collection, stored.Content)
	if err != nil {
		return f.giveBack(ctx, rec, stored, fmt.Errorf("prepare the manifest of action %s: %w", id.ActionID, err))
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

// giveBack records a failure in the ledger, with the strangers of rec: the action is due again, or it is
// closed. stored is the quarantined object, if there is one.
func (f *Fetcher) giveBack(ctx context.Context, rec investigation.Record,
	stored investigation.Stored, failure error,
) Result {
	failed := func(err error) Result {
		return Result{Outcome: OutcomeFailed, Record: rec, Err: errors.Join(failure, err)}
	}
	if errors.Is(failure, investigation.ErrLeaseLost) {
		return failed(nil) // somebody else owns the record now: do not write to it
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), concludeTimeout)
	defer cancel()

	consequence := consequenceOf(rec, failure, f.now())
	consequence.release.Strangers = rec.Strangers
	if consequence.reason == "" {
		given, err := f.ledger.Change(ctx, rec.ID, investigation.GiveBack(rec.Owner, consequence.release))
		if err != nil {
			return failed(err)
		}
		return Result{Outcome: OutcomePostponed, Record: given, Err: failure}
	}
	sealer, err := f.custody.Sealer(ctx, stored.Collection, stored.Content)
	if err != nil {
		return failed(fmt.Errorf("prepare the manifest of action %s: %w", rec.ActionID, err))
	}
	closed, err := f.ledger.Seal(ctx, rec.ID, investigation.Close(rec.Owner, investigation.Closing{
		At: f.now(), Reason: consequence.reason, Message: consequence.release.Message, Quarantine: stored.Receipt,
		Strangers: rec.Strangers,
	}), sealer)
	if err != nil {
		return failed(err)
	}
	concluded, err := f.conclude(ctx, closed)
	return Result{Outcome: OutcomeNotCollected, Record: concluded, Err: err}
}
