// Package poll finds the tenant's packages and hands them over as fast as the budget allows: the
// first use case.
//
// A [Poller] takes steps. Each step lists the tenant's actions if that is due, hands over decided actions
// that still have to be recorded and announced, and dispatches ready actions for which a slot of the
// budget is about to be free. A [Fleet] takes the steps of many tenants for one invocation of the poller
// Lambda; a long-running process takes them one after another, and waits until [Progress.Next] in between.
//
// The memory of a Poller only saves work: a new one over the same ledger does the same, but has to read
// the known states once more.
package poll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"packhorse/internal/investigation"
)

const (
	// horizon is how far ahead a step looks for due work, to time the next step for it.
	horizon = time.Minute

	// lookAhead is how far ahead a step asks the ledger for due work: longer than any lease.
	lookAhead = 15 * time.Minute

	// dueMax bounds the records that one step reads from a lane: far more than a minute's budget, and
	// enough for the announcements after an outage.
	dueMax = 200

	// idleSweep is the pause between sweeps while nothing is young or ready.
	idleSweep = time.Minute

	// YoungFor is how long a waiting action may become ready at any moment. Collecting takes minutes on
	// a host that is online; an older action is waiting for a host that is offline.
	YoungFor = 30 * time.Minute
)

// Poller is not safe for concurrent use: it takes one step at a time. Several Pollers may work on one
// tenant; the ledger's claims keep them from fetching a package twice.
type Poller struct {
	defender   Defender
	ledger     Ledger
	healths    HealthStore
	bus        Bus
	budget     Budget
	tenantID   string
	cases      investigation.CasePattern
	lookback   time.Duration
	sweepEvery time.Duration
	heartbeat  time.Duration
	now        func() time.Time
	logger     *slog.Logger

	concludeAtOnce int

	health    health
	memory    memory
	follow    follow
	listing   investigation.Listing // under way, or the last one
	listedNew bool                  // that listing has shown a young waiting action
	odd       map[string]bool       // errors of invalid rows that were logged
	handed    handovers
	sweptAt   time.Time // when the last sweep started
	postponed time.Time // Defender asked not to be listed before this
	young     bool      // the last listing showed a young waiting action
	busy      bool      // as of the last step

	quietUntil time.Time // nothing becomes due before this, unless a sweep shows a change
}

// Config is what a [Poller] works with. Every field is required, except where it says so.
type Config struct {
	Defender Defender
	Ledger   Ledger
	Health   HealthStore
	Bus      Bus
	Budget   Budget
	TenantID string

	// Cases finds the case id in a requestor's comment.
	Cases investigation.CasePattern
	// Lookback bounds the whole listings: they show the actions created within this time.
	Lookback time.Duration
	// SweepEvery is the pause between sweeps while actions are young or ready. Otherwise it is a minute.
	SweepEvery time.Duration

	// Heartbeat is how often an unchanged health is stored again.
	Heartbeat time.Duration
	// ConcludeAtOnce is how many actions are concluded at a time; 0 stands for ten, which suits a ledger whose
	// writers contend.
	ConcludeAtOnce int

	Now    func() time.Time
	Logger *slog.Logger
}

// New returns a Poller for one tenant.
func New(c Config) *Poller {
	return &Poller{
		defender: c.Defender, ledger: c.Ledger, healths: c.Health, bus: c.Bus, budget: c.Budget, tenantID: c.TenantID,
		cases: c.Cases, lookback: c.Lookback, sweepEvery: c.SweepEvery, heartbeat: c.Heartbeat, now: c.Now,
		logger:         c.Logger.With(slog.String("tenantId", c.TenantID)),
		concludeAtOnce: cmp.Or(c.ConcludeAtOnce, concludedAtOnce),
		memory:         newMemory(), follow: newFollow(), odd: map[string]bool{}, handed: handovers{},
	}
}

// Progress says what a step did, and how things stand after it.
type Progress struct {
	Did  Answer
	Next time.Time // when the next step is due
	// Busy says that the next step is worth waiting for: an action is young, ready or not announced yet,
	// or a listing is under way.
	Busy bool
	// Swept says that this step finished a listing, and the ledger knows every valid action in it.
	Swept bool
	// SweepFailed is why the sweep of this step failed; nil if it did not, or if none was due.
	SweepFailed error
	// Listing says that a listing is under way and later steps will continue it. Until it is done the
	// ledger may lack actions that Defender has.
	Listing bool
	// Bad says that the step's error is only about invalid actions and records. The step is done with all
	// others.
	Bad bool
}

// Step does what is due now. Each of its three parts runs even if another fails; the error joins
// theirs.
func (p *Poller) Step(ctx context.Context) (Progress, error) {
	var s step
	var progress Progress
	if !p.now().Before(p.nextSweep()) {
		began := p.now()
		err := p.sweep(ctx, &s, true)
		took := p.now().Sub(began)
		progress.Swept = p.judge(ctx, &s, err)
		s.did.swept(took, progress.Swept)
		if !errors.Is(err, investigation.ErrBudgetSpent) { // not a failure: a later step continues
			s.add(err)
		}
		progress.SweepFailed = s.failed.join()
	}
	s.merge(s.early)
	due, nextHandover := p.handOver(ctx, &s.trouble, &s.did)

	underWay := p.listing.UnderWay()
	p.busy = p.young || len(due) > 0 || underWay
	s.did.Due, s.did.OldestReadySeconds = len(due), int(oldestReady(due, p.now()).Seconds())
	progress.Did, progress.Next, progress.Busy = s.did, soonest(p.nextSweep(), nextHandover), p.busy
	progress.Listing, progress.Bad = underWay, s.onlyBad()
	return progress, s.err()
}

// handOver hands over what is due. It returns the records that are due within the horizon, and when to hand over
// next.
func (p *Poller) handOver(ctx context.Context, t *trouble, did *Answer) (due []investigation.Record, next time.Time) {
	due = p.due(ctx, t)
	t.add(p.conclude(ctx, due, did))
	next, err := p.dispatch(ctx, due, did)
	t.add(err)
	return due, next
}

// Listing reports whether a listing is under way: the last sweep did not see every action.
func (p *Poller) Listing() bool { return p.listing.UnderWay() }

// step collects the results of a step under way.
type step struct {
	trouble
	early trouble // of handing over in the middle of a sweep, which does not fail the sweep
	did   Answer
}

// oldestReady returns the age of the oldest package that is not stored yet.
func oldestReady(due []investigation.Record, now time.Time) time.Duration {
	var oldest time.Duration
	for _, rec := range due {
		if !rec.State.Decided() {
			oldest = max(oldest, now.Sub(rec.CompletedAt()))
		}
	}
	return oldest
}

// nextSweep returns when the next sweep is due. The first sweep is due at once.
func (p *Poller) nextSweep() time.Time {
	pause := idleSweep
	if p.busy {
		pause = p.sweepEvery
	}
	next := p.sweptAt.Add(pause)
	if next.Before(p.postponed) {
		return p.postponed
	}
	return next
}

// due returns the records that are due within the horizon, live before backlog, and notes lanes that
// could not be read.
//
// Most tenants have nothing to do most of the time, and asking costs a query a lane. So due looks ahead, and if
// nothing at all becomes due in that time, it asks again only then, or when a sweep shows a change. A fetcher
// cannot bring work forward: what it works on is due at the end of its lease, which is sooner.
func (p *Poller) due(ctx context.Context, t *trouble) []investigation.Record {
	now := p.now()
	if now.Before(p.quietUntil) {
		return nil
	}
	var all []investigation.Record
	failed := false
	for _, lane := range investigation.Lanes() {
		records, err := p.ledger.Due(ctx, p.tenantID, lane, now.Add(lookAhead), dueMax)
		all = append(all, records...)
		if err != nil {
			failed = true
			t.add(fmt.Errorf("look for due work in lane %s: %w", lane, err))
		}
	}
	if len(all) == 0 && !failed {
		p.quietUntil = now.Add(lookAhead - horizon)
	}
	return slices.DeleteFunc(all, func(rec investigation.Record) bool { return rec.DueAt.After(now.Add(horizon)) })
}
