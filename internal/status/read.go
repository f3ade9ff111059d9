package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"packhorse/internal/investigation"
)

// Read returns the status of each tenant, those that need a person first. It returns an error if the records of a
// tenant cannot be read at all; whatever else is missing is a [Problem] of the tenant.
func Read(ctx context.Context, ledger Ledger, budgets Budgets, credentials Credentials, tenantIDs []string, now time.Time) ([]Tenant, error) {
	tenants := make([]Tenant, 0, len(tenantIDs))
	for _, id := range tenantIDs {
		facts, err := read(ctx, ledger, budgets, id, now)
		facts.Credential = credentials.Credential(id)
		if err != nil {
			return nil, fmt.Errorf("read the status of tenant %s: %w", id, err)
		}
		tenants = append(tenants, Of(facts, now))
	}
	slices.SortStableFunc(tenants, func(a, b Tenant) int {
		return cmp.Compare(len(b.Problems), len(a.Problems))
	})
	return tenants, nil
}

func read(ctx context.Context, ledger Ledger, budgets Budgets, tenantID string, now time.Time) (Facts, error) {
	f := Facts{TenantID: tenantID}
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
