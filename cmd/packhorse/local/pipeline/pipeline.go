// Package pipeline runs both use cases in one process: the poller fills a queue step by step, and a few
// workers fetch or conclude the queued actions.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/poll"
)

const (
	// badMax bounds how many different errors about malformed records are logged. The error names all of
	// them, so each new record makes it different.
	badMax = 100

	// stepPauseMax bounds the pause between steps, because another process may change the ledger of the same
	// data folder.
	stepPauseMax = 15 * time.Second
)

// Pipeline connects a poller and a fetcher. Run it once.
type Pipeline struct {
	poller    *poll.Poller
	workers   *workers
	budget    Budget
	open      OpenRecords
	tenantID  string
	simulated bool
	mendable  func(error) bool
	share     *Share
	failing   func(error)
	level     slog.Level // of failed steps, in the log
	reporter  Reporter
	now       func() time.Time
	logger    *slog.Logger

	left  chan struct{} // closed when the pipeline shall leave its tenant
	leave func()        // closes it, once

	bad    map[string]bool // errors about malformed records that were logged
	failed int             // steps, since the last sweep that succeeded

	stoodUntil time.Time // the standing is not reported again before
}

// Leave makes Run end, as if it were idle, without beginning anything new: packages that are being fetched are finished.
func (p *Pipeline) Leave() { p.leave() }

// ErrStopped reports that the context ended before the pipeline was idle.
var ErrStopped = errors.New("stopped before everything was done; run again to continue")

// Run works until the context ends or, with untilIdle, until nothing is left to do. It starts with a sweep: a
// wrong setting or a rejected credential shows there and ends the run before anything is written. Run logs
// and retries every other failure, during and after the first sweep. Malformed records do not stop the work
// on others; with untilIdle, Run reports them at the end ([investigation.ErrBadRecord]).
//
// When Run returns, all fetches have ended. If the context ends, Run returns nil or, with untilIdle,
// ErrStopped.
func (p *Pipeline) Run(ctx context.Context, untilIdle bool) error {
	looking, stopLooking := context.WithCancel(ctx)
	defer stopLooking()
	go func() {
		select {
		case <-p.left:
			stopLooking()
		case <-looking.Done():
		}
	}()
	p.reporter.Began(p.tenantID, p.simulated)
	err := p.firstSweep(looking, untilIdle)
	if err == nil {
		working, stop := context.WithCancel(ctx)
		defer stop()
		finished := p.workers.start(working)
		err = p.loop(looking, untilIdle)
		if !p.hasLeft() {
			stop()
		}
		finished()
	}
	switch {
	case err == nil, looking.Err() == nil:
		return err
	case ctx.Err() == nil:
		return nil // it was asked to leave
	default:
		return Interrupted(untilIdle)
	}
}

func (p *Pipeline) hasLeft() bool {
	select {
	case <-p.left:
		return true
	default:
		return false
	}
}

// Interrupted returns the error of a pipeline whose context ended: ErrStopped with untilIdle, otherwise nil.
func Interrupted(untilIdle bool) error {
	if untilIdle {
		return ErrStopped
	}
	return nil
}

// firstSweep sweeps until one sweep succeeds, because the ledger may be empty until then. An earlier run may
// just have spent the budget for listing, or Defender may be down; both are temporary.
func (p *Pipeline) firstSweep(ctx context.Context, untilIdle bool) error {
	patience := Patience{UntilIdle: untilIdle, Mendable: p.mendable, Now: p.now, Logger: p.logger, Level: p.level}
	return patience.Await(ctx, func(ctx context.Context) (err error) {
		noRoom := p.share.step(ctx, p.failed > 0, func() { err = p.poller.Sweep(ctx) })
		if noRoom != nil {
			return noRoom
		}
		if errors.Is(err, investigation.ErrBadRecord) {
			err = nil // all other records are done; the steps report these
		}
		if !errors.Is(err, investigation.ErrBudgetSpent) {
			p.reportSweep(ctx, err == nil && !p.poller.Listing(), err)
			p.judge(ctx, err)
		}
		return err
	})
}

// loop runs the poller's steps. It returns nil when idle, otherwise the error that ended it.
func (p *Pipeline) loop(ctx context.Context, untilIdle bool) error {
	for {
		next, idle, err := p.step(ctx, untilIdle)
		if err != nil || idle {
			return err
		}
		err = wait(ctx, next.Sub(p.now()), p.workers.wake)
		if err != nil {
			return err
		}
	}
}

// step takes one step of the poller, and returns when the next one is due. With untilIdle it also reports whether
// nothing is left to do; idle may come with an error that names malformed records. Any other error ends the loop.
func (p *Pipeline) step(ctx context.Context, untilIdle bool) (next time.Time, idle bool, err error) {
	var progress poll.Progress
	noRoom := p.share.step(ctx, p.failed > 0, func() { progress, err = p.poller.Step(ctx) })
	if noRoom != nil || ctx.Err() != nil {
		return time.Time{}, false, context.Cause(ctx)
	}
	p.reportSweep(ctx, progress.Swept, progress.SweepFailed)
	next = earlier(progress.Next, p.now().Add(stepPauseMax))
	switch {
	case progress.Bad:
		p.tellBad(ctx, err)
		if progress.Swept {
			p.judge(ctx, nil)
		}
	case progress.Swept && err == nil:
		p.judge(ctx, nil)
	case err != nil:
		p.judge(ctx, err)
		next = p.now().Add(failurePause)
		p.logger.Log(ctx, p.level, "a step failed, trying again",
			slog.Int("failures", p.failed), slog.String("error", err.Error()))
		if untilIdle && p.failed == stepsFailedMax {
			return time.Time{}, false, fmt.Errorf("%d steps in a row failed: %w", p.failed, err)
		}
	}
	if p.now().Before(p.stoodUntil) {
		return earlier(next, p.stoodUntil), false, nil
	}
	open, listErr, err := p.reportStanding(ctx)
	switch {
	case err != nil, !untilIdle:
		return next, false, err
	case listErr != nil && !errors.Is(listErr, investigation.ErrBadRecord):
		return next, false, listErr
	}
	err = p.workers.cannotConclude()
	if err != nil || p.failed > 0 || progress.Listing || !p.idle(open) {
		return next, false, err
	}
	return next, true, listErr
}

// judge notes whether the work succeeds.
func (p *Pipeline) judge(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err == nil:
		p.failed = 0
		p.failing(nil)
	default:
		p.failed++
		p.failing(err)
	}
}

// tellBad logs an error about malformed records, unless it was logged before.
func (p *Pipeline) tellBad(ctx context.Context, err error) {
	text := err.Error()
	if p.bad[text] || len(p.bad) >= badMax {
		return
	}
	p.bad[text] = true
	p.logger.WarnContext(ctx, "skipping malformed records; work on the others continues",
		slog.String("error", text))
}

// idle reports whether nothing is ready, in flight or unannounced, and every waiting action is too old to
// become ready soon.
func (p *Pipeline) idle(open []investigation.Record) bool {
	now := p.now()
	for _, rec := range open {
		if rec.State != investigation.StateWaiting || now.Sub(rec.CreatedAt) < poll.YoungFor {
			return false
		}
	}
	return true
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
