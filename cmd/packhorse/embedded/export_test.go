package embedded

import (
	"context"
	"fmt"
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
