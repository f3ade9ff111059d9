// Package pipeline runs both use cases in one process: a loop of the poller's steps fills a queue, and a
// few workers fetch or conclude what is in it.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/poll"
)

const (
	// badMax bounds what is logged of records that make no sense: a new one changes the words.
	badMax = 100

	// stepPauseMax bounds the sleep between steps: another process on the same data folder may
	// have changed the ledger.
	stepPauseMax = 15 * time.Second
)

// Config is everything a pipeline is made of.
type Config struct {
	// What the use cases reach.
	Defender Defender
	Ledger   Ledger
	Archive  fetch.Archive
	Space    fetch.Space
	Custody  fetch.Custody
	Budget   poll.Budget // of links

	// Whose packages are fetched, and how they are found.
	TenantID  string
	Simulated bool // the tenant is a simulator's
	Cases     investigation.CasePattern
	Lookback  time.Duration // how far back the tenant's actions are listed
	Every     time.Duration // the pause between sweeps while something is young or ready

	// How they are stored.
	Prefix   string        // before every object key
	Lease    time.Duration // how long a killed process's package lies idle
	NewOwner func() string

	// Mendable reports whether an error is a setting or a credential that was refused: waiting does not
	// help, and a pipeline that never swept ends with it.
	Mendable func(error) bool

	Reporter Reporter
	Now      func() time.Time
	Logger   *slog.Logger
}

// Pipeline connects a poller and a fetcher. Run it once.
type Pipeline struct {
	poller    *poll.Poller
	workers   *workers
	budget    poll.Budget
	records   Records
	tenantID  string
	simulated bool
	mendable  func(error) bool
	reporter  Reporter
	now       func() time.Time
	logger    *slog.Logger

	bad map[string]bool // what was logged of records that make no sense
}

// New wires both use cases to each other and to the reporter.
func New(c Config) *Pipeline {
	b := newBus(c.Reporter)
	ledger := reportedLedger{Ledger: c.Ledger, reporter: c.Reporter}
	archive := reportedArchive{Archive: c.Archive, reporter: c.Reporter}
	fetcher := fetch.New(fetch.Config{
		Defender: c.Defender,
		Ledger:   ledger,
		Archive:  archive,
		Space:    c.Space,
		Bus:      b,
		Custody:  c.Custody,
		Prefix:   c.Prefix,
		Lease:    c.Lease,
		Now:      c.Now,
		NewOwner: c.NewOwner,
		Logger:   c.Logger,
	})
	return &Pipeline{
		poller: poll.New(poll.Config{
			Defender:   c.Defender,
			Ledger:     ledger,
			Bus:        b,
			Budget:     c.Budget,
			TenantID:   c.TenantID,
			Cases:      c.Cases,
			Lookback:   c.Lookback,
			SweepEvery: c.Every,
			Now:        c.Now,
			Logger:     c.Logger,
		}),
		workers: newWorkers(fetcher, b, c.Reporter, c.Now, c.Logger),
		budget:  c.Budget, records: c.Ledger, tenantID: c.TenantID, simulated: c.Simulated,
		mendable: c.Mendable, reporter: c.Reporter, now: c.Now, logger: c.Logger, bad: map[string]bool{},
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
func (p *Pipeline) Run(ctx context.Context, untilIdle bool) error {
	p.reporter.Began(p.simulated)
	err := p.firstSweep(ctx, untilIdle)
	switch {
	case err != nil && ctx.Err() != nil:
		return Interrupted(untilIdle)
	case err != nil:
		return err
	}
	working, stop := context.WithCancel(ctx)
	finished := p.workers.start(working)
	err = p.loop(ctx, untilIdle)
	stop()
	finished()
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
func (p *Pipeline) firstSweep(ctx context.Context, untilIdle bool) error {
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
func (p *Pipeline) loop(ctx context.Context, untilIdle bool) error {
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
			err = p.workers.cannotConclude()
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
		err = wait(ctx, next.Sub(p.now()), p.workers.wake)
		if err != nil {
			return err
		}
	}
}

// tellBad logs records that make no sense, once in the same words.
func (p *Pipeline) tellBad(ctx context.Context, err error) {
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
func (p *Pipeline) idle(ctx context.Context) (bool, error) {
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

func (p *Pipeline) reportBudget(ctx context.Context) error {
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
