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
	// fetchesMax is the maximum number of concurrent fetches. Two can start each minute, so more than two
	// overlap only if a download takes over a minute, and then bandwidth is the bottleneck.
	fetchesMax = 4

	// concludeAtOnce is how many conclusions wait for the workers. Unlike those of many functions, they do not contend
	// for the end of the chain.
	concludeAtOnce = 50

	// concludePatience is how long conclusions may keep failing before a pipeline in until-idle mode gives up:
	// a lost key or archive does not come back on its own. Each conclusion is retried once a minute.
	concludePatience = 5 * time.Minute
)

// workers fetch packages and conclude actions.
type workers struct {
	fetcher  *fetch.Fetcher
	bus      *bus
	share    *Share
	left     <-chan struct{} // closed when no work shall begin any more
	reporter Reporter
	now      func() time.Time
	logger   *slog.Logger

	wake chan struct{} // holds a token if a job has ended since the loop last woke

	mu           sync.Mutex // guards the fields below
	failingSince time.Time  // the first failed conclusion since the last success; zero if none
	lastFailure  error
}

func newWorkers(fetcher *fetch.Fetcher, b *bus, share *Share, left <-chan struct{}, reporter Reporter,
	now func() time.Time, logger *slog.Logger,
) *workers {
	return &workers{
		fetcher: fetcher, bus: b, share: share, left: left, reporter: reporter, now: now, logger: logger,
		wake: make(chan struct{}, 1),
	}
}

// start runs the workers until the context ends. The returned function waits for their last jobs to end.
func (w *workers) start(ctx context.Context) (wait func()) {
	var all sync.WaitGroup
	for range fetchesMax {
		all.Go(func() { w.work(ctx) })
	}
	return all.Wait
}

// work processes queued jobs one at a time.
func (w *workers) work(ctx context.Context) {
	for {
		j, done, ok := w.take(ctx)
		if !ok {
			return
		}
		w.bus.started(j)
		if j.conclude {
			w.conclude(ctx, j.id)
		} else {
			w.carry(ctx, j.id)
		}
		done()
		if j.conclude && len(w.bus.work) > concludeAtOnce/2 {
			continue // a step costs as much as a conclusion, and there is enough to do
		}
		select {
		case w.wake <- struct{}{}:
		default: // the loop has yet to wake for an earlier job
		}
	}
}

// take waits for a job, and for room to do it, which done gives back. It returns false when no work shall begin any more.
func (w *workers) take(ctx context.Context) (j job, done func(), ok bool) {
	select {
	case <-ctx.Done():
		return job{}, nil, false
	case <-w.left:
		return job{}, nil, false
	case j = <-w.bus.work:
	}
	select {
	case <-ctx.Done():
		return job{}, nil, false
	case <-w.left:
		return job{}, nil, false
	case w.share.fetches <- struct{}{}:
		return j, func() { <-w.share.fetches }, true
	}
}

// carry fetches one package and reports the outcome unless the bus already has. It ignores refusals: the event
// came twice, or another process was faster.
func (w *workers) carry(ctx context.Context, id investigation.ID) {
	switch r := w.fetcher.Fetch(ctx, id); r.Outcome {
	case fetch.OutcomePostponed:
		w.reporter.Postponed(r.Record, r.Err)
	case fetch.OutcomeArchived, fetch.OutcomeNotCollected:
		w.concluded(ctx, id, r.Err)
	case fetch.OutcomeFailed:
		w.logger.ErrorContext(ctx, "could not record the end of a fetch in the ledger; it is retried when its lease expires",
			slog.String("actionId", id.ActionID), slog.String("error", r.Err.Error()))
	}
}

// conclude records and announces the outcome of an action.
func (w *workers) conclude(ctx context.Context, id investigation.ID) {
	r := w.fetcher.Conclude(ctx, id)
	if ctx.Err() == nil {
		w.concluded(ctx, id, r.Err)
	}
}

// concluded records the result of a conclusion and logs a failure.
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
	w.logger.WarnContext(ctx, "could not conclude an action, trying again in a minute",
		slog.String("actionId", id.ActionID), slog.String("error", err.Error()))
}

// cannotConclude returns why conclusions have failed for too long, or nil.
func (w *workers) cannotConclude() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failingSince.IsZero() || w.now().Sub(w.failingSince) < concludePatience {
		return nil
	}
	return fmt.Errorf("could not conclude any action for %v: %w", concludePatience, w.lastFailure)
}
