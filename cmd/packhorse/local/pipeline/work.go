package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
)

const (
	// fetchesMax is how many packages are fetched at once. Two may start each minute; more than two run at
	// once only if a download takes over a minute, and then bandwidth is the bottleneck.
	fetchesMax = 4

	// concludePatience is how long conclusions may fail, with no success between, before a pipeline that
	// was asked to end when idle gives up: a key or an archive that is gone does not come back by itself.
	// Each is tried once a minute.
	concludePatience = 5 * time.Minute
)

// workers fetch packages and conclude actions.
type workers struct {
	fetcher  *fetch.Fetcher
	bus      *bus
	reporter Reporter
	now      func() time.Time
	logger   *slog.Logger

	wake chan struct{} // holds a token if a job has ended since somebody last looked

	mu           sync.Mutex // guards what follows
	failingSince time.Time  // since when no conclusion succeeded; zero: the last one did
	lastFailure  error
}

func newWorkers(fetcher *fetch.Fetcher, b *bus, reporter Reporter, now func() time.Time,
	logger *slog.Logger,
) *workers {
	return &workers{
		fetcher: fetcher, bus: b, reporter: reporter, now: now, logger: logger, wake: make(chan struct{}, 1),
	}
}

// start lets them work until the context ends, and returns how to wait for the end of their last jobs.
func (w *workers) start(ctx context.Context) (wait func()) {
	var all sync.WaitGroup
	for range fetchesMax {
		all.Go(func() { w.work(ctx) })
	}
	return all.Wait
}

// work does one job after another.
func (w *workers) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-w.bus.work:
			w.bus.started(j)
			if j.conclude {
				w.conclude(ctx, j.id)
			} else {
				w.carry(ctx, j.id)
			}
			select {
			case w.wake <- struct{}{}:
			default: // the loop has not yet woken for the last one
			}
		}
	}
}

// carry fetches one package and reports what came of it, unless the bus has done so. A refusal is no
// news: the event came twice, or another process was faster.
func (w *workers) carry(ctx context.Context, id investigation.ID) {
	switch r := w.fetcher.Fetch(ctx, id); r.Outcome {
	case fetch.OutcomePostponed:
		w.reporter.Postponed(r.Record, r.Err)
	case fetch.OutcomeArchived, fetch.OutcomeNotCollected:
		w.concluded(ctx, id, r.Err)
	case fetch.OutcomeFailed:
		w.logger.ErrorContext(ctx, "a fetch ended without a trace in the ledger; its lease will run out",
			slog.String("actionId", id.ActionID), slog.String("error", r.Err.Error()))
	}
}

// conclude records and announces what became of an action.
func (w *workers) conclude(ctx context.Context, id investigation.ID) {
	r := w.fetcher.Conclude(ctx, id)
	if ctx.Err() == nil {
		w.concluded(ctx, id, r.Err)
	}
}

// concluded remembers how a conclusion ended, and tells of one that failed.
func (w *workers) concluded(ctx context.Context, id investigation.ID, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.failingSince = time.Time{}
		return
	}
	if w.failingSince.IsZero() {
		w.failingSince = w.now()
	}
	w.lastFailure = fmt.Errorf("conclude action %s: %w", id.ActionID, err)
	w.logger.WarnContext(ctx, "an action could not be concluded, trying again in a minute",
		slog.String("actionId", id.ActionID), slog.String("error", err.Error()))
}

// cannotConclude returns why conclusions have failed for too long, or nil.
func (w *workers) cannotConclude() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failingSince.IsZero() || w.now().Sub(w.failingSince) < concludePatience {
		return nil
	}
	return fmt.Errorf("for %v nothing could be concluded: %w", concludePatience, w.lastFailure)
}
