package embedded

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"packhorse/internal/investigation"
)

// Ledger is the ledger of one machine. Each method is one transaction: it reads the record, applies
// the transition from package investigation, and writes the result.
type Ledger struct{ db *DB }

// NewLedger returns the ledger kept in db.
func NewLedger(db *DB) *Ledger { return &Ledger{db: db} }

// Load implements poll.Ledger. Like [Ledger.Due] and [Ledger.Records] it skips rows that are not
// records; the error names each of them and wraps investigation.ErrBadRecord, and all other records
// are returned beside it.
func (l *Ledger) Load(ctx context.Context, ids []investigation.ID) ([]investigation.Record, error) {
	pairs := make([][2]string, len(ids))
	for i, id := range ids {
		pairs[i] = [2]string{id.TenantID, id.ActionID}
	}
	list, err := json.Marshal(pairs)
	if err != nil {
		return nil, fmt.Errorf("list %d actions: %w", len(ids), err)
	}
	return l.query(ctx, noLimit, selectRows+`WHERE (tenant_id, action_id) IN
		(SELECT value ->> 0, value ->> 1 FROM json_each(?))`, string(list))
}

// Due implements poll.Ledger.
func (l *Ledger) Due(ctx context.Context, tenantID string, lane investigation.Lane, now time.Time,
	limit int,
) ([]investigation.Record, error) {
	return l.query(ctx, limit, selectRows+`WHERE tenant_id = ? AND lane = ? AND lane <> ''
		AND due_at <= ? ORDER BY due_at, action_id`, tenantID, string(lane), toMillis(now))
}

// Records returns all of the tenant's records, in the order of creation.
func (l *Ledger) Records(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	records, err := l.query(ctx, noLimit, selectRows+"WHERE tenant_id = ?", tenantID)
	slices.SortFunc(records, investigation.ByCreation)
	return records, err
}

// Change implements poll.Ledger and fetch.Ledger.
func (l *Ledger) Change(ctx context.Context, id investigation.ID, c investigation.Change) (
	investigation.Record, error,
) {
	return l.inTransaction(ctx, id, c, func(_ context.Context, _ *sql.Tx, known investigation.Record) (
		investigation.Record, error,
	) {
		return c.Apply(known)
	})
}

// Seal implements fetch.Ledger. It holds the write lock throughout, so callers need not retry.
func (l *Ledger) Seal(ctx context.Context, id investigation.ID, c investigation.Change,
	by investigation.Sealer,
) (investigation.Record, error) {
	return l.inTransaction(ctx, id, c, func(ctx context.Context, tx *sql.Tx, known investigation.Record) (
		investigation.Record, error,
	) {
		decided, err := c.Apply(known)
		if err != nil {
			return investigation.Record{}, err
		}
		head, err := loadHead(ctx, tx, id.TenantID)
		if err != nil {
			return investigation.Record{}, err
		}
		next, nextHead, err := decided.Sealed(head, by)
		if err != nil || nextHead == head {
			return next, err
		}
		return next, saveHead(ctx, tx, id.TenantID, nextHead)
	})
}

// Head returns the end of the tenant's chain of manifests.
func (l *Ledger) Head(ctx context.Context, tenantID string) (investigation.Head, error) {
	head, err := loadHead(ctx, l.db.sql, tenantID)
	if err != nil {
		return investigation.Head{}, fmt.Errorf("read the head of tenant %s's chain: %w", tenantID, err)
	}
	return head, nil
}

// inTransaction writes the result of decide for the ledger's record, or for the zero Record if the
// ledger has none.
func (l *Ledger) inTransaction(ctx context.Context, id investigation.ID, c investigation.Change,
	decide func(context.Context, *sql.Tx, investigation.Record) (investigation.Record, error),
) (investigation.Record, error) {
	var next investigation.Record
	err := l.db.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		known, err := loadRecord(ctx, tx, id)
		if err != nil && !errors.Is(err, investigation.ErrUnknownAction) {
			return err
		}
		next, err = decide(ctx, tx, known)
		if err != nil || next == known { // unchanged: nothing to write
			return err
		}
		return saveRecord(ctx, tx, next)
	})
	if err != nil {
		return investigation.Record{}, c.Explain(id, err)
	}
	return next, nil
}

// selectRows begins a query for records.
const selectRows = "SELECT " + rowColumns + " FROM actions "

// rowColumns are what [actionRow.columns] reads.
const rowColumns = "tenant_id, action_id, lane, due_at, record, " + indexColumns

// noLimit asks a query for every record.
const noLimit = math.MaxInt

// query returns at most limit records. It does not use SQL's LIMIT, because rows that are not
// records must not count.
func (l *Ledger) query(ctx context.Context, limit int, statement string, args ...any) (
	records []investigation.Record, err error,
) {
	var bad []error
	err = l.rows(ctx, statement, args, func(row *actionRow) bool {
		rec, err := row.decode()
		if err != nil {
			bad = append(bad, err)
		} else {
			records = append(records, rec)
		}
		return len(records) < limit
	})
	if err != nil {
		return nil, err
	}
	return records, errors.Join(bad...)
}

// rows passes each row to see, until that returns false.
func (l *Ledger) rows(ctx context.Context, statement string, args []any, see func(*actionRow) bool) (err error) {
	rows, err := l.db.sql.QueryContext(ctx, statement, args...)
	if err != nil {
		return fmt.Errorf("query the ledger: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for more := true; more && rows.Next(); {
		var row actionRow
		err := rows.Scan(row.columns()...)
		if err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		more = see(&row)
	}
	if rows.Err() != nil {
		return fmt.Errorf("read the ledger: %w", rows.Err())
	}
	return nil
}

func loadRecord(ctx context.Context, q querier, id investigation.ID) (investigation.Record, error) {
	var row actionRow
	err := q.QueryRowContext(ctx, selectRows+"WHERE tenant_id = ? AND action_id = ?",
		id.TenantID, id.ActionID).Scan(row.columns()...)
	if errors.Is(err, sql.ErrNoRows) {
		return investigation.Record{}, investigation.ErrUnknownAction
	}
	if err != nil {
		return investigation.Record{}, err
	}
	return row.decode()
}

// loadHead returns the zero head for a chain without manifests, and an error that wraps
// investigation.ErrBadRecord for a damaged head.
func loadHead(ctx context.Context, q querier, tenantID string) (investigation.Head, error) {
	var head investigation.Head
	err := q.QueryRowContext(ctx, `SELECT iif(typeof(sequence) = 'integer', sequence, -1), digest
		FROM chains WHERE tenant_id = ?`, tenantID).Scan(&head.Sequence, &head.Digest)
	if err == nil {
		err = head.Validate()
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return head, err
	}
	var sealed int // a chain that lost its head must not restart at number 1
	err = q.QueryRowContext(ctx, `SELECT count(*) FROM actions
		WHERE tenant_id = ? AND
			CASE WHEN json_valid(record) THEN record ->> '$.seal.sequence' END > 0`, tenantID).Scan(&sealed)
	if err == nil && sealed > 0 {
		err = fmt.Errorf("%w: the chain lost its head, but %d records have a place in it",
			investigation.ErrBadRecord, sealed)
	}
	return investigation.Head{}, err
}

func saveHead(ctx context.Context, tx *sql.Tx, tenantID string, head investigation.Head) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO chains (tenant_id, sequence, digest) VALUES (?, ?, ?)
		ON CONFLICT (tenant_id) DO UPDATE SET
			sequence = excluded.sequence, digest = excluded.digest`,
		tenantID, head.Sequence, head.Digest)
	return err
}
