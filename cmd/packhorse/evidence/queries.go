package evidence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// queries are the questions to a ledger. An empty tenant id stands for every tenant. If some records are
// malformed, an answer has all others and comes with an error that names them and wraps
// investigation.ErrBadRecord; a ledger that can answer without reading a record does not name it.
type queries interface {
	// Find returns the records that the filter selects, newest first.
	Find(ctx context.Context, f investigation.Filter) ([]investigation.Record, error)
	// Open returns the records that are not done, oldest first.
	Open(ctx context.Context, tenantID string) ([]investigation.Record, error)
	// Counts counts the records, and the outcomes announced since then.
	Counts(ctx context.Context, tenantID string, since time.Time) (investigation.Counts, error)
	// Tenants returns the ids of all tenants, in order.
	Tenants(ctx context.Context) ([]string, error)
	// Values returns values that begin with a text, for completing it.
	Values(ctx context.Context, b investigation.Beginning) ([]investigation.Value, error)
}

// scanned answers by reading every record, for a ledger that cannot do better.
type scanned struct{ verify.TenantsLedger }

func (l scanned) Find(ctx context.Context, f investigation.Filter) ([]investigation.Record, error) {
	all, err := l.all(ctx, f.TenantID)
	return f.Select(all), err
}

func (l scanned) Open(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	all, err := l.all(ctx, tenantID)
	open := slices.DeleteFunc(all, func(rec investigation.Record) bool {
		return rec.State == investigation.StateDone
	})
	slices.SortStableFunc(open, investigation.ByCreation)
	return open, err
}

func (l scanned) Counts(ctx context.Context, tenantID string, since time.Time) (investigation.Counts, error) {
	all, err := l.all(ctx, tenantID)
	return investigation.Count(all, since), err
}

func (l scanned) Values(ctx context.Context, b investigation.Beginning) ([]investigation.Value, error) {
	all, err := l.all(ctx, b.TenantID)
	return b.Values(investigation.Filter{}.Select(all)), err
}

// all returns the records of a tenant or, with an empty id, of every tenant, in their order.
func (l scanned) all(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	tenants := []string{tenantID}
	if tenantID == "" {
		var err error
		tenants, err = l.Tenants(ctx)
		if err != nil {
			return nil, err
		}
	}
	var all []investigation.Record
	var bad []error
	for _, tenant := range tenants {
		records, err := l.Records(ctx, tenant)
		if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
			return nil, fmt.Errorf("read the records of tenant %s: %w", tenant, err)
		}
		all, bad = append(all, records...), append(bad, err)
	}
	return all, errors.Join(bad...)
}
