package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"packhorse/internal/investigation"
)

const (
	// Workers is how many packages are fetched at once. Two may start each minute; more than two run at
	// once only if a download takes over a minute, and then bandwidth is the bottleneck.
	Workers = 4

	// concludePatience is how long conclusions may fail, with no success between, before a pipeline that
	// was asked to end when idle gives up: a key or an archive that is gone does not come back by itself.
	// Each is tried once a minute.
	concludePatience = 5 * time.Minute
)

// work carries one package after another.
func (p *Pipeline) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-p.bus.work:
			p.bus.started(j)
			if j.conclude {
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

// carry fetches one package and reports what came of it where the bus has not.
func (p *Pipeline) carry(ctx context.Context, id investigation.ID) {
	rec, err := p.fetcher.Fetch(ctx, id)
	if err == nil {
		return
	}
	if _, ok := errors.AsType[*investigation.NotClaimableError](err); ok {
		return // the event came twice, or another process was faster
	}
	if rec.State == investigation.StateReady {
		p.reporter.Postponed(rec, err)
		return
	}
	if rec.State == investigation.StateDone {
		return // reported as an outcome
	}
	if rec.State.Settled() {
		p.concluded(ctx, id, err)
		return
	}
	p.logger.ErrorContext(ctx, "a fetch ended without a trace in the ledger; its lease will run out",
		slog.String("actionId", id.ActionID), slog.String("error", err.Error()))
}

// conclude records and announces what became of an action.
func (p *Pipeline) conclude(ctx context.Context, id investigation.ID) {
	_, err := p.fetcher.Conclude(ctx, id)
	if ctx.Err() == nil {
		p.concluded(ctx, id, err)
	}
}

// concluded remembers how a conclusion ended, and tells of one that failed.
func (p *Pipeline) concluded(ctx context.Context, id investigation.ID, err error) {
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
func (p *Pipeline) cannotConclude() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failingSince.IsZero() || p.now().Sub(p.failingSince) < concludePatience {
		return nil
	}
	return fmt.Errorf("for %v nothing could be concluded: %w", concludePatience, p.lastFailure)
}
