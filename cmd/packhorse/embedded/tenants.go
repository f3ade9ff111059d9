package embedded

import (
	"context"
	"errors"
	"fmt"
)

// Tenants returns the ids of the tenants that have actions in the ledger, in order.
func (l *Ledger) Tenants(ctx context.Context) (ids []string, err error) {
	rows, err := l.db.sql.QueryContext(ctx, "SELECT DISTINCT tenant_id FROM actions ORDER BY tenant_id")
	if err != nil {
		return nil, fmt.Errorf("list the tenants of the ledger: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id string
		err := rows.Scan(&id)
		if err != nil {
			return nil, fmt.Errorf("list the tenants of the ledger: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
