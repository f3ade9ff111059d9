// Package process runs both use cases in one process: the poller in a loop, and a few fetchers
// that take its Ready events from a queue instead of a bus.
package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/poll"
)

const (
	// Workers is how many packages are fetched at once. Two may start each minute; more than two
	// run at once only where a download takes over a minute, and then bandwidth is what is short.
	Workers = 4

	// stepsFailedMax is how many steps may fail with no good sweep between before a process that was
	// asked to end when idle gives up instead: with nobody watching, waiting for good would look
	// like working. A step in which nothing was due proves nothing, so it is not counted.
	stepsFailedMax = 10

	// concludePatience is how long conclusions may fail, with none between that succeeds, likewise: a
	// key or an archive that is gone does not come back by itself. Each is tried once a minute.
	concludePatience = 5 * time.Minute

	// failurePause keeps a failing step from being repeated at once.
	failurePause = 5 * time.Second

	// badMax bounds what is logged of records that make no sense: a new one changes the words.
	badMax = 100

	// stepPauseMax bounds the sleep between steps: another process on the same data folder may
	// have changed the ledger.
	stepPauseMax = 15 * time.Second
)

// Records lists everything the ledger knows of the tenant.
type Records interface {
	Records(ctx context.Context, tenantID string) ([]investigation.Record, error)
}

// Process is one run of Packhorse on one machine.
type Process struct {
	poller    *poll.Poller
	fetcher   *fetch.Fetcher
	bus       *bus
	budget    poll.Budget
	records   Records
	tenantID  string
	simulated bool
	mendable  func(error) bool
	reporter  Reporter
	now       func() time.Time
	logger    *slog.Logger

	wake chan struct{}   // holds a token when a fetch has ended since the last step
	bad  map[string]bool // what was logged of records that make no sense

	mu           sync.Mutex // guards what follows
	failingSince time.Time  // from when on no conclusion succeeded; zero: the last one did
	lastFailure  error
}

// Ledger is what both use cases need of the ledger, and the list of all it knows.
type Ledger interface {
	poll.Ledger
	fetch.Ledger
	Records
}

// Defender is what both use cases need of the tenant.
type Defender interface {
	poll.Defender
	fetch.Defender
}

// FetchSettings are the parts of a fetcher that are no dependency.
type FetchSettings struct {
	Prefix   string        // before every object key
	Lease    time.Duration // how long a killed process's package lies idle
	NewOwner func() string
}

// SweepSettings are the parts of a poller that are no dependency.
type SweepSettings struct {
	TenantID  string
	Simulated bool // the tenant is a simulator's
	Cases     investigation.CasePattern
	Lookback  time.Duration // how far back the tenant's actions are listed
	Every     time.Duration // the pause between sweeps while something is young or ready

	// Mendable reports whether an error is a setting or a credential that was refused: waiting does
	// not help, and a process that never swept ends with it.
	Mendable func(error) bool
}

// New wires both use cases to each other and to the reporter.
func New(
	defender Defender,
	ledger Ledger,
	archive fetch.Archive,
	space fetch.Space,
	custody fetch.Custody,
	budget poll.Budget,
	sweep SweepSettings,
	fetching FetchSettings,
	reporter Reporter,
	now func() time.Time,
	logger *slog.Logger,
) *Process {
	b := newBus(reporter)
	watched := reportedLedger{Ledger: ledger, reporter: reporter}
	return &Process{
		poller: poll.New(defender, watched, b, budget, sweep.TenantID, sweep.Cases, sweep.Lookback,
			sweep.Every, now, logger),
		fetcher: fetch.New(defender, watched, reportedArchive{Archive: archive, reporter: reporter},
			space, b, custody, fetching.Prefix, fetching.Lease, now, fetching.NewOwner, logger),
		bus: b, budget: budget, records: ledger, tenantID: sweep.TenantID,
		simulated: sweep.Simulated, mendable: sweep.Mendable, reporter: reporter, now: now,
		logger: logger, wake: make(chan struct{}, 1), bad: map[string]bool{},
	}
}

// ErrStopped says that the context ended before the process was idle.
var ErrStopped = errors.New("stopped before everything was done; run again to go on")

// Run works until the context ends or, with untilIdle, until nothing is left to do. Until a first
// sweep succeeds nothing else is done: a setting or a credential that is refused shows there, and ends
// the process before anything is written. Every other failure is logged and tried again, then and
// later. Records that make no sense keep nothing from being done; with untilIdle they are the error at
// the end ([investigation.ErrBadRecord]).
//
// On return no fetch is under way. A context that ends is a clean stop: nil, or ErrStopped where
// the process was to go on until idle.
func (p *Process) Run(ctx context.Context, untilIdle bool) error {
	p.reporter.Began(p.simulated)
	err := p.firstSweep(ctx, untilIdle)
	switch {
	case err != nil && ctx.Err() != nil:
		return Interrupted(untilIdle)
	case err != nil:
		return err
	}
	working, stop := context.WithCancel(ctx)
	var workers sync.WaitGroup
	for range Workers {
		workers.Go(func() { p.work(working) })
	}
	err = p.loop(ctx, untilIdle)
	stop()
	workers.Wait()
	if err == nil || ctx.Err() == nil {
		return err
	}
	return Interrupted(untilIdle)
}

// Interrupted is what comes of a process whose context ended: nil, or ErrStopped where it was to go
// on until idle.
func Interrupted(untilIdle bool) error {
	if untilIdle {
		return ErrStopped
	}
	return nil
}

// firstSweep sweeps until that succeeds once: what the ledger knows without a sweep may be nothing.
// An earlier run may just have spent the budget of listing, or Defender may be down: both pass.
func (p *Process) firstSweep(ctx context.Context, untilIdle bool) error {
	patience := Patience{UntilIdle: untilIdle, Mendable: p.mendable, Now: p.now, Logger: p.logger}
	return patience.Await(ctx, func(ctx context.Context) error {
		err := p.poller.Sweep(ctx)
		if errors.Is(err, investigation.ErrBadRecord) {
			return nil // the sweep is done with all others; the steps that follow tell of these
		}
		return err
	})
}

// loop takes the poller's steps. It returns nil when idle, else what ended it.
func (p *Process) loop(ctx context.Context, untilIdle bool) error {
	failed := 0
	for {
		progress, err := p.poller.Step(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		next := earlier(progress.Next, p.now().Add(stepPauseMax))
		switch {
		case progress.Bad:
			p.tellBad(ctx, err)
			if progress.Swept {
				failed = 0
			}
		case progress.Swept && err == nil:
			failed = 0
		case err != nil:
			failed++
			next = p.now().Add(failurePause)
			p.logger.WarnContext(ctx, "a step did not succeed, trying again",
				slog.Int("failures", failed), slog.String("error", err.Error()))
			if untilIdle && failed == stepsFailedMax {
				return fmt.Errorf("%d steps in a row did not succeed: %w", failed, err)
			}
		}
		err = p.reportBudget(ctx)
		if err != nil {
			return err
		}
		if untilIdle {
			err = p.cannotConclude()
			if err != nil {
				return err
			}
		}
		if untilIdle && failed == 0 && !progress.Listing {
			idle, err := p.idle(ctx)
			if err != nil || idle {
				return err
			}
		}
		err = wait(ctx, next.Sub(p.now()), p.wake)
		if err != nil {
			return err
		}
	}
}

// wait returns after d, or when woken, or with the context's error.
func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-wake:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// work carries one package after another.
func (p *Process) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-p.bus.work:
			p.bus.started(j)
			if j.settled {
				p.conclude(ctx, j.id)
			} else {
				p.carry(ctx, j.id)
			}
			select {
			case p.wake <- struct{}{}:
			default: // the loop has not yet woken for the last one
			}
		}
	}
}

// carry fetches one package and reports what came of it where the bus has not. A refusal is no news:
// the event came twice, or another process was faster.
func (p *Process) carry(ctx context.Context, id investigation.ID) {
	switch r := p.fetcher.Fetch(ctx, id); r.Outcome {
	case fetch.OutcomePostponed:
		p.reporter.Postponed(r.Record, r.Err)
	case fetch.OutcomeArchived, fetch.OutcomeNotCollected:
		p.concluded(ctx, id, r.Err)
	case fetch.OutcomeFailed:
		p.logger.ErrorContext(ctx, "a fetch ended without a trace in the ledger; its lease will run out",
			slog.String("actionId", id.ActionID), slog.String("error", r.Err.Error()))
	}
}

// conclude records and announces what became of an action.
func (p *Process) conclude(ctx context.Context, id investigation.ID) {
	r := p.fetcher.Conclude(ctx, id)
	if ctx.Err() == nil {
		p.concluded(ctx, id, r.Err)
	}
}

// concluded remembers how a conclusion ended, and tells of one that failed.
func (p *Process) concluded(ctx context.Context, id investigation.ID, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.failingSince = time.Time{}
		return
	}
	if p.failingSince.IsZero() {
		p.failingSince = p.now()
	}
	p.lastFailure = fmt.Errorf("conclude action %s: %w", id.ActionID, err)
	p.logger.WarnContext(ctx, "an action could not be concluded, trying again in a minute",
		slog.String("actionId", id.ActionID), slog.String("error", err.Error()))
}

// cannotConclude returns why conclusions have failed for too long, or nil.
func (p *Process) cannotConclude() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failingSince.IsZero() || p.now().Sub(p.failingSince) < concludePatience {
		return nil
	}
	return fmt.Errorf("for %v nothing could be concluded: %w", concludePatience, p.lastFailure)
}

// tellBad logs records that make no sense, once in the same words.
func (p *Process) tellBad(ctx context.Context, err error) {
	text := err.Error()
	if p.bad[text] || len(p.bad) >= badMax {
		return
	}
	p.bad[text] = true
	p.logger.WarnContext(ctx, "records that make no sense are left alone, the others go on",
		slog.String("error", text))
}

// idle reports whether nothing is ready, in flight or to be announced, and no waiting action is
// young enough to become ready any moment. Beside true its error names the records that make no sense.
func (p *Process) idle(ctx context.Context) (bool, error) {
	records, bad := p.records.Records(ctx, p.tenantID)
	if bad != nil {
		bad = fmt.Errorf("list the ledger's records: %w", bad)
	}
	if bad != nil && !errors.Is(bad, investigation.ErrBadRecord) {
		return false, bad
	}
	now := p.now()
	for _, rec := range records {
		switch rec.State {
		case investigation.StateDone:
		case investigation.StateWaiting:
			if now.Sub(rec.CreatedAt) < poll.YoungFor {
				return false, nil
			}
		default:
			return false, nil
		}
	}
	return true, bad
}

func (p *Process) reportBudget(ctx context.Context) error {
	freeAt, err := p.budget.FreeAt(ctx)
	if err != nil {
		return fmt.Errorf("look at the budget: %w", err)
	}
	p.reporter.Budget(freeAt)
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
