package embedded

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"packhorse/internal/investigation"
)

// Ledger is the ledger of one machine. Each method is one transaction that reads the record,
// applies the transition of its name in package investigation, and writes the result.
type Ledger struct{ db *DB }

// NewLedger returns the ledger kept in db.
func NewLedger(db *DB) *Ledger { return &Ledger{db: db} }

// Load implements poll.Ledger.
func (l *Ledger) Load(ctx context.Context, ids []investigation.ID) ([]investigation.Record, error) {
	pairs := make([][2]string, len(ids))
	for i, id := range ids {
		pairs[i] = [2]string{id.TenantID, id.ActionID}
	}
	list, err := json.Marshal(pairs)
	if err != nil {
		return nil, fmt.Errorf("list %d actions: %w", len(ids), err)
	}
	return l.query(ctx, `SELECT record FROM actions WHERE (tenant_id, action_id) IN
		(SELECT value ->> 0, value ->> 1 FROM json_each(?))`, string(list))
}

// Observe implements poll.Ledger.
func (l *Ledger) Observe(ctx context.Context, a investigation.Action, now time.Time) (
	investigation.Record, error,
) {
	var rec investigation.Record
	err := l.db.write(ctx, func(tx *sql.Tx) error {
		known, err := loadRecord(ctx, tx, a.ID)
		if err != nil && !errors.Is(err, investigation.ErrUnknownAction) {
			return err
		}
		next, changed := known.Observe(a, now)
		rec = next
		if !changed {
			return nil
		}
		return saveRecord(ctx, tx, next)
	})
	if err != nil {
		return investigation.Record{}, fmt.Errorf("observe action %s: %w", a.ActionID, err)
	}
	return rec, nil
}

// Due implements poll.Ledger.
func (l *Ledger) Due(ctx context.Context, tenantID string, lane investigation.Lane, now time.Time,
	limit int,
) ([]investigation.Record, error) {
	return l.query(ctx, `SELECT record FROM actions
		WHERE tenant_id = ? AND lane = ? AND lane <> '' AND due_at <= ?
		ORDER BY due_at, action_id LIMIT ?`, tenantID, string(lane), toMillis(now), limit)
}

// Records returns everything the ledger knows of the tenant, in the order of creation.
func (l *Ledger) Records(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	records, err := l.query(ctx, `SELECT record FROM actions WHERE tenant_id = ?
		ORDER BY action_id`, tenantID)
	slices.SortStableFunc(records, func(a, b investigation.Record) int {
		return a.CreatedAt.Compare(b.CreatedAt)
	})
	return records, err
}

// Claim implements fetch.Ledger.
func (l *Ledger) Claim(ctx context.Context, id investigation.ID, owner string,
	now, leaseUntil time.Time,
) (investigation.Record, error) {
	return l.change(ctx, id, func(r investigation.Record) (investigation.Record, error) {
		return r.Claim(owner, now, leaseUntil)
	})
}

// Renew implements fetch.Ledger.
func (l *Ledger) Renew(ctx context.Context, id investigation.ID, owner string,
	leaseUntil time.Time,
) (investigation.Record, error) {
	return l.change(ctx, id, func(r investigation.Record) (investigation.Record, error) {
		return r.Renew(owner, leaseUntil)
	})
}

// Release implements fetch.Ledger.
func (l *Ledger) Release(ctx context.Context, id investigation.ID, owner string,
	rel investigation.Release,
) (investigation.Record, error) {
	return l.change(ctx, id, func(r investigation.Record) (investigation.Record, error) {
		return r.Release(owner, rel)
	})
}

// Archived implements fetch.Ledger.
func (l *Ledger) Archived(ctx context.Context, id investigation.ID, owner string,
	receipt investigation.Receipt, manifestKey string, now time.Time,
) (investigation.Record, error) {
	return l.change(ctx, id, func(r investigation.Record) (investigation.Record, error) {
		return r.Archived(owner, receipt, manifestKey, now)
	})
}

// NotCollected implements fetch.Ledger.
func (l *Ledger) NotCollected(ctx context.Context, id investigation.ID, owner string,
	reason investigation.Reason, message string,
) (investigation.Record, error) {
	return l.change(ctx, id, func(r investigation.Record) (investigation.Record, error) {
		return r.NotCollected(owner, reason, message)
	})
}

// Announced implements poll.Ledger and fetch.Ledger.
func (l *Ledger) Announced(ctx context.Context, id investigation.ID, now time.Time) error {
	_, err := l.change(ctx, id, func(r investigation.Record) (investigation.Record, error) {
		return r.Announced(now)
	})
	return err
}

// change applies one transition.
func (l *Ledger) change(ctx context.Context, id investigation.ID,
	transition func(investigation.Record) (investigation.Record, error),
) (investigation.Record, error) {
	var next investigation.Record
	err := l.db.write(ctx, func(tx *sql.Tx) error {
		known, err := loadRecord(ctx, tx, id)
		if err != nil {
			return err
		}
		next, err = transition(known)
		if err != nil || next == known { // a repetition: nothing to write
			return err
		}
		return saveRecord(ctx, tx, next)
	})
	if err != nil {
		return investigation.Record{}, fmt.Errorf("change the record of action %s: %w", id.ActionID, err)
	}
	return next, nil
}

func (l *Ledger) query(ctx context.Context, query string, args ...any) (
	records []investigation.Record, err error,
) {
	rows, err := l.db.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("query the ledger: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		err := rows.Scan(&text)
		if err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		rec, err := decodeRecord(text)
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
	}
	return records, rows.Err()
}

func loadRecord(ctx context.Context, q querier, id investigation.ID) (investigation.Record, error) {
	var text string
	err := q.QueryRowContext(ctx, "SELECT record FROM actions WHERE tenant_id = ? AND action_id = ?",
		id.TenantID, id.ActionID).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return investigation.Record{}, investigation.ErrUnknownAction
	}
	if err != nil {
		return investigation.Record{}, err
	}
	return decodeRecord(text)
}

func saveRecord(ctx context.Context, tx *sql.Tx, rec investigation.Record) error {
	text, err := json.Marshal(rowOf(rec))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO actions (tenant_id, action_id, lane, due_at, record) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (tenant_id, action_id) DO UPDATE SET
			lane = excluded.lane, due_at = excluded.due_at, record = excluded.record`,
		rec.TenantID, rec.ActionID, string(rec.Lane), toMillis(rec.DueAt), string(text))
	return err
}

func decodeRecord(text string) (investigation.Record, error) {
	var row recordRow
	err := json.Unmarshal([]byte(text), &row)
	if err != nil {
		return investigation.Record{}, fmt.Errorf("understand a record of the ledger: %w", err)
	}
	return row.record(), nil
}
