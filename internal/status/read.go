package status

import (
	"context"
	"errors"
	"time"

	"packhorse/internal/investigation"
)

func read(ctx context.Context, ledger Ledger, budgets Budgets, m Member, now time.Time) (Facts, error) {
	f, tenantID := Facts{Member: m}, m.ID
	f.Open, f.Bad = ledger.Open(ctx, tenantID)
	if f.Bad != nil && !errors.Is(f.Bad, investigation.ErrBadRecord) {
		return Facts{}, f.Bad
	}
	var err error
	f.Counts, err = ledger.Counts(ctx, tenantID, now.Add(-Recent))
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return Facts{}, err
	}
	if f.Bad == nil {
		f.Bad = err
	}
	var failures [2]error
	f.Health, failures[0] = ledger.Health(ctx, tenantID)
	f.Budget, failures[1] = budgets.Budget(ctx, tenantID)
	f.Unread = errors.Join(failures[:]...)
	return f, ctx.Err()
}
