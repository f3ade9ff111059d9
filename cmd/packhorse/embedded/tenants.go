package embedded

import (
	"context"
	"fmt"
)

// withTenants begins a query with the table tenants of all tenants' ids, in order. It finds each with one search
// of the index, where DISTINCT would read all of it. Its last row is NULL.
const withTenants = `WITH RECURSIVE tenants (id) AS (
	SELECT (SELECT min(tenant_id) FROM actions INDEXED BY newest_of_tenant)
	UNION ALL
	SELECT (SELECT min(tenant_id) FROM actions INDEXED BY newest_of_tenant WHERE tenant_id > tenants.id)
	FROM tenants WHERE tenants.id IS NOT NULL
) `

// Tenants returns the ids of the tenants that have actions in the ledger, in order.
func (l *Ledger) Tenants(ctx context.Context) (ids []string, err error) {
	ids, err = l.texts(ctx, withTenants+"SELECT id FROM tenants WHERE id IS NOT NULL")
	if err != nil {
		return nil, fmt.Errorf("list the tenants of the ledger: %w", err)
	}
	return ids, nil
}

// onlyTenant returns the given tenant or, if that is empty, the only one of the ledger. With several tenants it
// returns an empty id. Most ledgers have one, and with it an index has the order of time.
func (l *Ledger) onlyTenant(ctx context.Context, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	ids, err := l.texts(ctx, withTenants+"SELECT id FROM tenants WHERE id IS NOT NULL LIMIT 2")
	if err != nil {
		return "", fmt.Errorf("list the tenants of the ledger: %w", err)
	}
	if len(ids) != 1 {
		return "", nil
	}
	return ids[0], nil
}
