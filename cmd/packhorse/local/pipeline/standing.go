package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/status"
)

// reportBudget reports when the slots of the budget free, and returns it.
func reportBudget(ctx context.Context, tenantID string, budget Budget, reporter Reporter) ([]time.Time, error) {
	freeAt, err := budget.FreeAt(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the budget: %w", err)
	}
	reporter.Budget(tenantID, freeAt)
	return freeAt, nil
}

// reportSweep reports how a sweep ended. One that the budget stopped has not ended: a later one continues it.
func (p *Pipeline) reportSweep(ctx context.Context, swept bool, err error) {
	if ctx.Err() == nil && (swept || err != nil) {
		p.reporter.Swept(p.tenantID, err)
	}
}

// reportQueue reports how many of the open records are queued.
func (p *Pipeline) reportQueue(open []investigation.Record, freeAt []time.Time) {
	queued, due := 0, time.Time{}
	for _, rec := range open {
		if rec.State == investigation.StateReady {
			queued++
			due = later(due, rec.DueAt)
		}
	}
	if queued == 0 {
		p.reporter.Queue(p.tenantID, 0, time.Time{})
		return
	}
	lastAt := status.Slots(p.budget.Hold(), freeAt, p.now(), queued)
	p.reporter.Queue(p.tenantID, queued, later(lastAt, due))
}

const (
	// standingFree is how many open records are read in every step.
	standingFree = 500

	// standingPace is how many open records are read in a second if there are more: tens of thousands that ended
	// without a package would be read again after each few that are concluded.
	standingPace = 4_000
)

// standingPause returns for how long the standing is good enough.
func standingPause(open int) time.Duration {
	if open <= standingFree {
		return 0
	}
	return time.Duration(open) * time.Second / standingPace
}

// reportStanding reports the budget and the queue. It returns the records that are not done and, as listErr, why
// some or all of them are missing: the steps meet the same failure, and know what to do about it.
func (p *Pipeline) reportStanding(ctx context.Context) (open []investigation.Record, listErr, err error) {
	freeAt, err := reportBudget(ctx, p.tenantID, p.budget, p.reporter)
	if err != nil {
		return nil, nil, err
	}
	open, listErr = p.open.Open(ctx, p.tenantID)
	if listErr != nil {
		listErr = fmt.Errorf("list the ledger's open records: %w", listErr)
	}
	if listErr == nil || errors.Is(listErr, investigation.ErrBadRecord) {
		p.reportQueue(open, freeAt)
		p.stoodUntil = p.now().Add(standingPause(len(open)))
	}
	return open, listErr, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
