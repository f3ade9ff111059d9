package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"packhorse/internal/investigation"
)

// Counts counts the actions of a tenant, or of every tenant if the id is empty. It reads no records, except
// unindexed ones; its error names those of them that are malformed and not counted.
func (l *Ledger) Counts(ctx context.Context, tenantID string, since time.Time) (investigation.Counts, error) {
	unindexed, bad := l.unindexed(ctx, tenantID)
	if bad != nil && !errors.Is(bad, investigation.ErrBadRecord) {
		return investigation.Counts{}, bad
	}
	counts := investigation.Count(unindexed, since)
	err := l.countIndexed(ctx, of(tenantID), &counts)
	if err != nil {
		return investigation.Counts{}, fmt.Errorf("count the records: %w", err)
	}
	return counts, bad
}

// unindexed returns the records of unindexed rows.
func (l *Ledger) unindexed(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	keys, args := of(tenantID).sql(keyColumns, "unindexed", "state = ''")
	return l.query(ctx, noLimit, byKey(keys), args...)
}

func (l *Ledger) countIndexed(ctx context.Context, tenantID of, counts *investigation.Counts) (err error) {
	open, args := tenantID.sql("state", "open", "state <> 'done' AND state <> ''")
	done, more := tenantID.sql("outcome", "announced", "announced_at <> ''")
	args = append(args, more...)
	since, more := tenantID.sql("outcome", "announced", "announced_at <> '' AND announced_at >= ?", orderedTime(counts.Since))
	args = append(args, more...)
	rows, err := l.db.sql.QueryContext(ctx, counting(open, done, since), args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var state, outcome string
		var n int
		err = rows.Scan(&state, &outcome, &n)
		switch {
		case err != nil:
			return err
		case state != "" && n > 0:
			counts.ByState[investigation.State(state)] += n
		case outcome == string(investigation.StateArchived):
			counts.Archived += n
		case outcome != "":
			counts.NotCollected += n
		}
	}
	return rows.Err()
}

// counting is the query that counts the results of three others: state, outcome, number.
func counting(open, done, since string) string {
	return "SELECT state, '', count(*) FROM (" + open + ") GROUP BY state " +
		"UNION ALL SELECT 'done', '', count(*) FROM (" + done + ") " +
		"UNION ALL SELECT '', outcome, count(*) FROM (" + since + ") GROUP BY outcome"
}
