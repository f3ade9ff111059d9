package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"packhorse/internal/investigation"
)

// Values returns values that begin with a text (investigation.Beginning.Values), with one search of an index
// for each. Its error names malformed rows, which it skips.
func (l *Ledger) Values(ctx context.Context, b investigation.Beginning) ([]investigation.Value, error) {
	if b.Limit <= 0 {
		return nil, nil
	}
	var err error
	b.TenantID, err = l.onlyTenant(ctx, b.TenantID)
	if err != nil {
		return nil, err
	}
	switch b.Field {
	case investigation.FieldAction:
		found, err := l.Find(ctx, investigation.Filter{TenantID: b.TenantID, ActionID: b.Text, Limit: b.Limit})
		return b.Values(found), err
	case investigation.FieldHost:
		return l.values(ctx, b, "host", "by_host")
	case investigation.FieldCase:
		return l.values(ctx, b, "case_id", "by_case")
	case investigation.FieldRequestor:
		return l.values(ctx, b, "requestor", "by_requestor")
	default:
		return nil, fmt.Errorf("list values: unknown field %q", b.Field)
	}
}

func (l *Ledger) values(ctx context.Context, b investigation.Beginning, column, index string) (
	[]investigation.Value, error,
) {
	records, bad := l.unindexed(ctx, b.TenantID)
	if bad != nil && !errors.Is(bad, investigation.ErrBadRecord) {
		return nil, bad
	}
	values, err := l.distinct(ctx, b, column, index)
	if err != nil {
		return nil, fmt.Errorf("list values of %s: %w", column, err)
	}
	for _, value := range values {
		k := keys{tenantID: b.TenantID, limit: 1, indexedOnly: true}
		k.search(index, column+" <> '' AND "+column+" = ?", value)
		newest, err := l.newest(ctx, k, investigation.Filter{Limit: 1}.Select)
		if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
			return nil, err
		}
		records, bad = append(records, newest...), errors.Join(bad, err)
	}
	return b.Values(investigation.Filter{TenantID: b.TenantID}.Select(records)), bad
}

// distinct returns the first values of a column that begin with the text, in order.
func (l *Ledger) distinct(ctx context.Context, b investigation.Beginning, column, index string) (
	values []string, err error,
) {
	tenants := []string{b.TenantID}
	if b.TenantID == "" {
		tenants, err = l.Tenants(ctx)
		if err != nil {
			return nil, err
		}
	}
	// Each step is one search for the next value; DISTINCT would read the whole index.
	next := "(SELECT min(" + column + ") FROM actions INDEXED BY " + index +
		" WHERE tenant_id = ? AND " + column + " <> '' AND " + column + " < ? AND " + column
	statement := "WITH RECURSIVE found (value) AS (SELECT " + next + " >= ?) UNION ALL SELECT " + next +
		" > found.value) FROM found WHERE value IS NOT NULL LIMIT ?) SELECT value FROM found WHERE value IS NOT NULL"
	from := investigation.Fold(b.Text)
	for _, tenant := range tenants {
		more, err := l.texts(ctx, statement, tenant, from+last, from, tenant, from+last, b.Limit)
		if err != nil {
			return nil, err
		}
		values = append(values, more...)
	}
	slices.SortFunc(values, strings.Compare)
	values = slices.Compact(values)
	return values[:min(b.Limit, len(values))], nil
}

// texts returns the results of a query for one text.
func (l *Ledger) texts(ctx context.Context, statement string, args ...any) (texts []string, err error) {
	rows, err := l.db.sql.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		err := rows.Scan(&text)
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, rows.Err()
}
