package embedded

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"packhorse/internal/investigation"
)

// Find returns the records that the filter selects, newest first. It searches an index and decodes only what it
// returns. Its error names malformed rows, which it skips: those whose columns match, and unindexed ones.
func (l *Ledger) Find(ctx context.Context, f investigation.Filter) ([]investigation.Record, error) {
	only, err := l.onlyTenant(ctx, f.TenantID)
	if err != nil {
		return nil, err
	}
	k := keysOf(only, f)
	return l.newest(ctx, k, f.Select)
}

// newest returns what choose selects of the rows under the keys, and of unindexed rows.
func (l *Ledger) newest(ctx context.Context, k keys,
	choose func([]investigation.Record) []investigation.Record,
) ([]investigation.Record, error) {
	for limit := k.limit; ; k.limit *= 2 { // again only if malformed rows took places
		found, indexed, err := l.byKeys(ctx, k)
		if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
			return nil, err
		}
		chosen := choose(found)
		if limit <= 0 || len(chosen) >= limit || indexed < k.limit {
			return chosen, err
		}
	}
}

// Open returns the records that are not done, oldest first; an empty id stands for every tenant. Otherwise it
// is like [Ledger.Find].
func (l *Ledger) Open(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	k := keys{tenantID: tenantID}
	k.search("open", "state <> 'done'")
	return l.oldest(ctx, k, func(rec investigation.Record) bool { return rec.State != investigation.StateDone })
}

// Announced returns the records whose outcome was announced at that time or later, oldest first. Otherwise it
// is like [Ledger.Open].
func (l *Ledger) Announced(ctx context.Context, tenantID string, since time.Time) (
	[]investigation.Record, error,
) {
	k := keys{tenantID: tenantID}
	k.search("announced", "announced_at <> '' AND announced_at >= ?", orderedTime(since))
	return l.oldest(ctx, k, func(rec investigation.Record) bool { return rec.AnnouncedSince(since) })
}

// oldest returns the rows under the keys in the order of creation. Unindexed ones have to match.
func (l *Ledger) oldest(ctx context.Context, k keys, matches func(investigation.Record) bool) (
	[]investigation.Record, error,
) {
	records, _, err := l.byKeys(ctx, k)
	records = slices.DeleteFunc(records, func(rec investigation.Record) bool { return !matches(rec) })
	slices.SortStableFunc(records, investigation.ByCreation)
	return records, err
}

// byKeys returns the records under the keys and unindexed ones, in the order of tenants. indexed is the
// number of indexed rows, malformed ones included.
func (l *Ledger) byKeys(ctx context.Context, k keys) (found []investigation.Record, indexed int, err error) {
	var bad []error
	statement, args := byKeys(k)
	err = l.rows(ctx, statement, args, func(row *actionRow) bool {
		if !row.index.isEmpty() {
			indexed++
		}
		rec, err := row.decode()
		if err != nil {
			bad = append(bad, err)
		} else {
			found = append(found, rec)
		}
		return true
	})
	if err != nil {
		return nil, 0, err
	}
	slices.SortStableFunc(found, func(a, b investigation.Record) int { return cmp.Compare(a.TenantID, b.TenantID) })
	return found, indexed, errors.Join(bad...)
}

// byKeys is the query for the rows under the keys and unindexed ones, in one statement so that both are of the
// same moment.
func byKeys(k keys) (statement string, args []any) {
	text, args := k.sql()
	if k.indexedOnly {
		return byKey(text), args
	}
	unindexed, more := of(k.tenantID).sql(keyColumns, "unindexed", "state = ''")
	return byKey("SELECT place FROM (" + text + ") UNION SELECT place FROM (" + unindexed + ")"),
		append(args, more...)
}

// byKey is the query for the rows whose keys are in the result of a query. CROSS JOIN makes SQLite look up each of
// them; given IN with a compound query, it may read every row.
func byKey(keys string) string {
	return "SELECT " + rowColumns + " FROM (SELECT place FROM (" + keys + ")) CROSS JOIN actions ON actions.rowid = place"
}
