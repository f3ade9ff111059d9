package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// versionFour adds how well the sweeps of each tenant work.
const versionFour = `
CREATE TABLE healths (
	tenant_id     TEXT PRIMARY KEY,
	swept_at      INTEGER NOT NULL, -- the last successful sweep, in milliseconds since 1970; 0 if there was none
	tried_at      INTEGER NOT NULL, -- the last sweep
	failing_since INTEGER NOT NULL, -- 0 if that succeeded
	message       TEXT NOT NULL -- why it failed
) WITHOUT ROWID;
`

// Health implements poll.HealthStore. The error wraps investigation.ErrBadRecord if the row is malformed.
func (l *Ledger) Health(ctx context.Context, tenantID string) (tenant.Health, error) {
	var valid bool
	var swept, tried, since int64
	var h tenant.Health
	err := l.db.sql.QueryRowContext(ctx, `SELECT
			typeof(swept_at) || typeof(tried_at) || typeof(failing_since) = 'integerintegerinteger',
			CAST(swept_at AS INTEGER), CAST(tried_at AS INTEGER), CAST(failing_since AS INTEGER), message
		FROM healths WHERE tenant_id = ?`, tenantID).Scan(&valid, &swept, &tried, &since, &h.Message)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return tenant.Health{}, nil
	case err == nil && !valid:
		err = fmt.Errorf("%w: a time is not a number", investigation.ErrBadRecord)
	}
	if err != nil {
		return tenant.Health{}, fmt.Errorf("read the health of tenant %s: %w", tenantID, err)
	}
	h.SweptAt, h.TriedAt, h.FailingSince = fromMillis(swept), fromMillis(tried), fromMillis(since)
	return h, nil
}

// SetHealth implements poll.HealthStore.
func (l *Ledger) SetHealth(ctx context.Context, tenantID string, h tenant.Health) error {
	_, err := l.db.sql.ExecContext(ctx, `INSERT INTO healths VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (tenant_id) DO UPDATE SET swept_at = excluded.swept_at, tried_at = excluded.tried_at,
			failing_since = excluded.failing_since, message = excluded.message`,
		tenantID, toMillis(h.SweptAt), toMillis(h.TriedAt), toMillis(h.FailingSince), h.Message)
	if err != nil {
		return fmt.Errorf("write the health of tenant %s: %w", tenantID, err)
	}
	return nil
}

// Healths implements status.Fleet. Malformed rows are named in the error, which then wraps investigation.ErrBadRecord.
func (l *Ledger) Healths(ctx context.Context, tenantIDs []string) (map[string]tenant.Health, error) {
	all := make(map[string]tenant.Health, len(tenantIDs))
	var bad []error
	for _, id := range tenantIDs { // each is one search in memory
		h, err := l.Health(ctx, id)
		switch {
		case errors.Is(err, investigation.ErrBadRecord):
			bad = append(bad, err)
		case err != nil:
			return nil, err
		case h != tenant.Health{}:
			all[id] = h
		}
	}
	return all, errors.Join(bad...)
}

// Busy implements status.Fleet. A tenant with rows that have no index yet counts as busy.
func (l *Ledger) Busy(ctx context.Context) (map[string]bool, error) {
	busy := map[string]bool{}
	for _, search := range []struct{ index, term string }{
		{"due", "lane <> ''"}, {"unindexed", "state = ''"},
	} {
		query, args := of("").sql("DISTINCT tenant_id", search.index, search.term)
		ids, err := l.texts(ctx, query, args...)
		if err != nil {
			return nil, fmt.Errorf("find the tenants that have work: %w", err)
		}
		for _, id := range ids {
			busy[id] = true
		}
	}
	return busy, nil
}

// Swept returns the ids of the tenants that have a health, in order.
func (l *Ledger) Swept(ctx context.Context) ([]string, error) {
	return l.db.texts(ctx, "list the tenants that were swept", "SELECT tenant_id FROM healths ORDER BY tenant_id")
}

// texts returns the results of a query for one text.
func (db *DB) texts(ctx context.Context, what, query string, args ...any) (found []string, err error) {
	rows, err := db.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		err := rows.Scan(&text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		found = append(found, text)
	}
	return found, rows.Err()
}
