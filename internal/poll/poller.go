// Package poll finds the tenant's packages and hands them over as fast as the budget allows: the
// first use case.
//
// A [Poller] takes steps. Each step looks at the tenant if that is due, hands over the actions whose
// outcome is decided and still to be recorded and announced, and dispatches ready actions for which a
// slot of the budget is about to be free. [Poller.Tick] takes steps for one invocation of the poller
// Lambda; a process that runs for good takes them one after another, waiting in between until
// [Progress.Next].
//
// What a Poller remembers between steps only saves work: a new one over the same ledger does the
// same, at the cost of reading the known states once more.
package poll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/pause"
)

const (
	// horizon is how far ahead due work is looked for, so that a step can be timed for it.
	horizon = time.Minute

	// dueMax bounds the records one step reads of a lane: far more than a minute's budget, and an
	// outage's worth of announcements.
	dueMax = 200

	// idleSweep is the pause between sweeps while nothing is young or ready.
	idleSweep = time.Minute

	// YoungFor is how long a waiting action is expected to become ready any moment. Collecting
	// takes minutes on a host that is online; an older action waits for a host that is not.
	YoungFor = 30 * time.Minute
)

// Poller is not safe for concurrent use: it takes one step at a time. Several Pollers may work on
// one tenant; what they do twice, the ledger's claims sort out.
type Poller struct {
	defender   Defender
	ledger     Ledger
	bus        Bus
	budget     Budget
	tenantID   string
	cases      investigation.CasePattern
	lookback   time.Duration
	sweepEvery time.Duration
	now        func() time.Time
	logger     *slog.Logger

	memory    memory
	listing   investigation.Listing // under way, or the last one
	listedNew bool                  // that listing has shown a waiting action that is young
	odd       map[string]bool       // rows that made no sense and were logged
	handed    handovers
	sweptAt   time.Time // when the last sweep was begun
	postponed time.Time // Defender asked not to be listed before
	young     bool      // the last listing showed a waiting action that is young
	busy      bool      // as the last step left things
}

// New returns a Poller of one tenant. cases finds the case id in a requestor's comment. A sweep lists
// the actions created within lookback; while actions are young or ready it comes every sweepEvery,
// else once a minute.
func New(
	defender Defender,
	ledger Ledger,
	bus Bus,
	budget Budget,
	tenantID string,
	cases investigation.CasePattern,
	lookback, sweepEvery time.Duration,
	now func() time.Time,
	logger *slog.Logger,
) *Poller {
	return &Poller{
		defender: defender, ledger: ledger, bus: bus, budget: budget, tenantID: tenantID,
		cases: cases, lookback: lookback, sweepEvery: sweepEvery, now: now, logger: logger,
		memory: newMemory(), odd: map[string]bool{}, handed: handovers{},
	}
}

// Progress says what a step did, and where it left things.
type Progress struct {
	Did  Answer
	Next time.Time // when the next step is due
	// Busy says that something is young, ready, to be listed or announced: the next step is worth waiting
	// for.
	Busy bool
	// Swept says that this step listed the tenant to the end, and the ledger knows all of it that makes
	// sense.
	Swept bool
	// Listing says that a listing is under way: later steps go on with it. Until then the ledger may lack
	// actions that Defender has.
	Listing bool
	// Bad says that the step's error tells of actions and records that make no sense, and of nothing
	// else. The step is done with all others.
	Bad bool
}

// Tick takes steps until nothing is worth waiting for, or the next step would come after until, and
// returns what came of them. Errors of the steps are joined; they do not stop the tick, because what
// failed is due again and the rest is not to suffer.
func (p *Poller) Tick(ctx context.Context, until time.Time) (Answer, error) {
	var answer Answer
	var failures []error
	for {
		progress, err := p.Step(ctx)
		answer = answer.and(progress.Did)
		if err != nil {
			failures = append(failures, err)
		}
		if !progress.Busy || progress.Next.After(until) || ctx.Err() != nil {
			return answer, errors.Join(failures...)
		}
		if err := pause.For(ctx, progress.Next.Sub(p.now())); err != nil {
			return answer, errors.Join(append(failures, err)...)
		}
	}
}

// Step does what is due now. Each of its three parts runs whatever the others came to; the error
// joins theirs.
func (p *Poller) Step(ctx context.Context) (Progress, error) {
	var s step
	swept := false
	if !p.now().Before(p.nextSweep()) {
		began := p.now()
		err := p.sweep(ctx, &s)
		swept = err == nil && len(s.failed.named) == 0 && p.listing.Done
		s.did.swept(p.now().Sub(began))
		if !errors.Is(err, investigation.ErrBudgetSpent) { // a later step goes on; that is no failure
			s.add(err)
		}
	}
	due := p.due(ctx, &s)
	s.add(p.conclude(ctx, due, &s.did))
	nextHandover, err := p.dispatch(ctx, due, &s.did)
	s.add(err)

	underWay := p.listing.UnderWay()
	p.busy = p.young || len(due) > 0 || underWay
	s.did.Due, s.did.OldestReadySeconds = len(due), int(oldestReady(due, p.now()).Seconds())
	progress := Progress{Did: s.did, Next: soonest(p.nextSweep(), nextHandover), Busy: p.busy, Swept: swept,
		Listing: underWay, Bad: s.onlyBad()}
	return progress, s.err()
}

// step is what is known of a step while it is taken.
type step struct {
	trouble
	did Answer
}

// oldestReady is how long the oldest of the packages that are not stored yet has been there.
func oldestReady(due []investigation.Record, now time.Time) time.Duration {
	var oldest time.Duration
	for _, rec := range due {
		if !rec.State.Settled() {
			oldest = max(oldest, now.Sub(rec.CompletedAt()))
		}
	}
	return oldest
}

// nextSweep is when the next sweep is due. Never swept is due now.
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

// due returns what is due within the horizon, live before backlog, as far as it could be read.
func (p *Poller) due(ctx context.Context, s *step) []investigation.Record {
	var all []investigation.Record
	for _, lane := range investigation.Lanes() {
		records, err := p.ledger.Due(ctx, p.tenantID, lane, p.now().Add(horizon), dueMax)
		all = append(all, records...)
		if err != nil {
			s.add(fmt.Errorf("look for due work in lane %s: %w", lane, err))
		}
	}
	return all
}
