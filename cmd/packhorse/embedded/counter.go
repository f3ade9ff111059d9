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

// Counter is the ratelimit.Counter of one machine. All processes that open the file share it, and
// it outlives them.
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
	err := b.Validate()
	if err != nil {
		return ratelimit.State{}, err
	}
	s, _, err := loadBudget(ctx, c.db.sql, b)
	if err != nil {
		return ratelimit.State{}, fmt.Errorf("read budget %s: %w", b.Name, err)
	}
	return s, nil
}

// Names returns the names of the tenant's budgets that were ever used.
func (c *Counter) Names(ctx context.Context, tenantID string) ([]string, error) {
	return c.db.texts(ctx, "list the budgets", // '$' follows '#'
		"SELECT name FROM budgets WHERE name > ? || '#' AND name < ? || '$' ORDER BY name", tenantID, tenantID)
}

func (c *Counter) apply(ctx context.Context, b ratelimit.Budget,
	change func(ratelimit.State) ratelimit.State,
) error {
	err := b.Validate()
	if err != nil {
		return err
	}
	err = c.db.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		s, text, err := loadBudget(ctx, tx, b)
		if err != nil {
			return err
		}
		next, err := encodeState(change(s))
		if err != nil || next == text { // denied or unchanged: nothing to write
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO budgets (name, state) VALUES (?, ?)
			ON CONFLICT (name) DO UPDATE SET state = excluded.state`, b.Name, next)
		return err
	})
	if err != nil {
		return fmt.Errorf("write budget %s: %w", b.Name, err)
	}
	return nil
}

// budgetRow is the stored form of a ratelimit.State: times in milliseconds since 1970.
type budgetRow struct {
	Slots         []slotRow `json:"slots"`
	CooldownUntil int64     `json:"cooldownUntil"`
}

type slotRow struct {
	FreeAt int64  `json:"freeAt"`
	Owner  string `json:"owner"`
}

// loadBudget returns a budget's state and its stored text; both are zero for an unused budget.
func loadBudget(ctx context.Context, q querier, b ratelimit.Budget) (
	s ratelimit.State, text string, err error,
) {
	err = q.QueryRowContext(ctx, "SELECT state FROM budgets WHERE name = ?", b.Name).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return ratelimit.State{}, "", nil
	}
	if err != nil {
		return ratelimit.State{}, "", err
	}
	var row budgetRow
	err = json.Unmarshal([]byte(text), &row)
	if err != nil {
		return ratelimit.State{}, "", fmt.Errorf("decode the state: %w", err)
	}
	s.CooldownUntil = fromMillis(row.CooldownUntil)
	for _, slot := range row.Slots {
		s.Slots = append(s.Slots, ratelimit.Slot{FreeAt: fromMillis(slot.FreeAt), Owner: slot.Owner})
	}
	return s, text, nil
}

// encodeState is lossless: the times of a State are whole milliseconds.
func encodeState(s ratelimit.State) (string, error) {
	row := budgetRow{CooldownUntil: toMillis(s.CooldownUntil)}
	for _, slot := range s.Slots {
		row.Slots = append(row.Slots, slotRow{FreeAt: toMillis(slot.FreeAt), Owner: slot.Owner})
	}
	text, err := json.Marshal(row)
	return string(text), err
}
