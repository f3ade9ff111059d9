package embedded

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"packhorse/internal/ratelimit"
)

// Counter is the ratelimit.Counter of one machine: it holds for all processes on one file, and
// outlives them.
type Counter struct{ db *DB }

// NewCounter returns the counter kept in db.
func NewCounter(db *DB) *Counter { return &Counter{db: db} }

// Lease implements ratelimit.Counter.
func (c *Counter) Lease(ctx context.Context, b ratelimit.Budget, owner string, now time.Time) (
	ratelimit.Decision, error,
) {
	var d ratelimit.Decision
	err := c.apply(ctx, b, func(s ratelimit.State) ratelimit.State {
		s, d = s.Lease(b, owner, now)
		return s
	})
	return d, err
}

// Settle implements ratelimit.Counter.
func (c *Counter) Settle(ctx context.Context, b ratelimit.Budget, owner string, slot int,
	answeredAt time.Time,
) error {
	return c.apply(ctx, b, func(s ratelimit.State) ratelimit.State {
		return s.Settle(b, owner, slot, answeredAt)
	})
}

// CoolDown implements ratelimit.Counter.
func (c *Counter) CoolDown(ctx context.Context, b ratelimit.Budget, until time.Time) error {
	return c.apply(ctx, b, func(s ratelimit.State) ratelimit.State { return s.CoolDown(until) })
}

// Peek implements ratelimit.Counter.
func (c *Counter) Peek(ctx context.Context, b ratelimit.Budget) (ratelimit.State, error) {
	s, err := loadBudget(ctx, c.db.sql, b)
	if err != nil {
		return ratelimit.State{}, fmt.Errorf("read budget %s: %w", b.Name, err)
	}
	return s, nil
}

func (c *Counter) apply(ctx context.Context, b ratelimit.Budget,
	change func(ratelimit.State) ratelimit.State,
) error {
	err := b.Validate()
	if err != nil {
		return err
	}
	err = c.db.write(ctx, func(tx *sql.Tx) error {
		s, err := loadBudget(ctx, tx, b)
		if err != nil {
			return err
		}
		return saveBudget(ctx, tx, b, change(s))
	})
	if err != nil {
		return fmt.Errorf("write budget %s: %w", b.Name, err)
	}
	return nil
}

// budgetRow is a ratelimit.State as it is written: instants in milliseconds since 1970.
type budgetRow struct {
	Slots         []slotRow `json:"slots"`
	CooldownUntil int64     `json:"cooldownUntil"`
}

type slotRow struct {
	FreeAt int64  `json:"freeAt"`
	Owner  string `json:"owner"`
}

func loadBudget(ctx context.Context, q querier, b ratelimit.Budget) (ratelimit.State, error) {
	var text string
	err := q.QueryRowContext(ctx, "SELECT state FROM budgets WHERE name = ?", b.Name).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return ratelimit.State{}, nil
	}
	if err != nil {
		return ratelimit.State{}, err
	}
	var row budgetRow
	err = json.Unmarshal([]byte(text), &row)
	if err != nil {
		return ratelimit.State{}, fmt.Errorf("understand the state: %w", err)
	}
	s := ratelimit.State{CooldownUntil: fromMillis(row.CooldownUntil)}
	for _, slot := range row.Slots {
		s.Slots = append(s.Slots, ratelimit.Slot{FreeAt: fromMillis(slot.FreeAt), Owner: slot.Owner})
	}
	return s, nil
}

func saveBudget(ctx context.Context, tx *sql.Tx, b ratelimit.Budget, s ratelimit.State) error {
	row := budgetRow{CooldownUntil: toMillis(s.CooldownUntil)}
	for _, slot := range s.Slots {
		row.Slots = append(row.Slots, slotRow{FreeAt: toMillis(slot.FreeAt), Owner: slot.Owner})
	}
	text, err := json.Marshal(row)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO budgets (name, state) VALUES (?, ?)
		ON CONFLICT (name) DO UPDATE SET state = excluded.state`, b.Name, string(text))
	return err
}

// querier is what a database and a transaction have in common.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// toMillis writes the zero time as 0.
func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
