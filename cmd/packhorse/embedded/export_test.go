package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"testing"

	"packhorse/internal/investigation"
)

// Pragma reads a setting of the connection.
func (db *DB) Pragma(ctx context.Context, name string) (string, error) {
	var value string
	err := db.sql.QueryRowContext(ctx, fmt.Sprintf("PRAGMA %s", name)).Scan(&value)
	return value, err
}

// Exec runs a statement, for tests that need a file in a certain condition.
func (db *DB) Exec(ctx context.Context, statement string) error {
	_, err := db.sql.ExecContext(ctx, statement)
	return err
}

// Text reads one value.
func (db *DB) Text(ctx context.Context, query string) (string, error) {
	var value string
	err := db.sql.QueryRowContext(ctx, query).Scan(&value)
	return value, err
}

// Plan returns how SQLite answers [Ledger.Find], step by step.
func (l *Ledger) Plan(t *testing.T, f investigation.Filter) (steps []string) {
	t.Helper()
	statement, args := byKeys(keysOf(f.TenantID, f))
	rows, err := l.db.sql.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	return steps
}

// Write makes a change, as the ledger and the counter do.
func (db *DB) Write(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	return db.write(ctx, f)
}

// AwaitWaiting returns once n writes are waiting.
func (db *DB) AwaitWaiting(n int) {
	for {
		db.group.mu.Lock()
		waiting := len(db.group.waiting)
		db.group.mu.Unlock()
		if waiting == n {
			return
		}
		runtime.Gosched()
	}
}

// BudgetNames returns the names of all budgets.
func (db *DB) BudgetNames(t *testing.T) []string {
	t.Helper()
	names, err := db.texts(t.Context(), "list the budgets", "SELECT name FROM budgets")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Visited returns how many records a filter selects, and how many rows are read for that.
func (l *Ledger) Visited(t *testing.T, f investigation.Filter) (selected, rows int, err error) {
	t.Helper()
	found, err := l.Find(t.Context(), f)
	if err != nil {
		return 0, 0, err
	}
	statement, args := byKeys(keysOf(f.TenantID, f))
	err = l.rows(t.Context(), statement, args, func(*actionRow) bool {
		rows++
		return true
	})
	return len(found), rows, err
}
