package evidence

import (
	"context"
	"errors"
	"slices"
	"sync"

	"packhorse/cmd/packhorse/source"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/verify"
)

// tenantsAtOnce is how many tenants of a table are asked about at once.
const tenantsAtOnce = 16

// indexed answers from the index by tenant of a ledger in DynamoDB: a question about one tenant costs what the tenant
// has. What the index does not help with is answered like [scanned] does.
type indexed struct {
	scanned

	table *ledger.Ledger
}

// listed is a ledger whose tenants others list. Its own list reads the whole table.
type listed struct {
	verify.TenantsLedger

	tenants func(context.Context) ([]string, error)
}

// Tenants implements verify.TenantsLedger.
func (l listed) Tenants(ctx context.Context) ([]string, error) { return l.tenants(ctx) }

// Find implements queries.
func (l indexed) Find(ctx context.Context, f investigation.Filter) ([]investigation.Record, error) {
	ids := []string{f.TenantID}
	if f.TenantID == "" {
		var err error
		ids, err = l.Tenants(ctx)
		if err != nil {
			return nil, err
		}
	}
	if actionID, err := investigation.CanonicalID(f.ActionID); err == nil {
		return l.load(ctx, ids, actionID, f)
	}
	found := make([][]investigation.Record, len(ids))
	failures := make([]error, len(ids))
	atOnce(len(ids), func(i int) {
		one := f
		one.TenantID = ids[i]
		found[i], failures[i] = l.table.Find(ctx, one)
	})
	for _, err := range failures {
		if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
			return nil, source.Explain(err)
		}
	}
	return f.Select(slices.Concat(found...)), errors.Join(failures...)
}

// load returns the records of one action, by its whole id.
func (l indexed) load(ctx context.Context, tenants []string, actionID string, f investigation.Filter) (
	[]investigation.Record, error,
) {
	ids := make([]investigation.ID, len(tenants))
	for i, id := range tenants {
		ids[i] = investigation.ID{TenantID: id, ActionID: actionID}
	}
	records, err := l.table.Load(ctx, ids)
	return f.Select(records), source.Explain(err)
}

// atOnce calls f with 0 to n-1, tenantsAtOnce at a time.
func atOnce(n int, f func(i int)) {
	var workers sync.WaitGroup
	next := make(chan int)
	for range min(n, tenantsAtOnce) {
		workers.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
}
