// Package embedded holds what one machine uses in place of AWS: SQLite twins of the ledger and of
// the budget counter, and an S3 server that keeps objects as plain files.
package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// schemaVersion is written into the file. A file of a later version is refused rather than
// misread.
const schemaVersion = 1

// busyTimeout is how long a statement waits for another process, in milliseconds. Transactions here
// take well under one.
const busyTimeout = "15000"

const schema = `
CREATE TABLE IF NOT EXISTS actions (
	tenant_id TEXT NOT NULL,
	action_id TEXT NOT NULL,
	lane      TEXT NOT NULL, -- empty: nothing to be done
	due_at    INTEGER NOT NULL, -- milliseconds since 1970
	record    TEXT NOT NULL, -- JSON
	PRIMARY KEY (tenant_id, action_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS due ON actions (tenant_id, lane, due_at) WHERE lane <> '';
CREATE TABLE IF NOT EXISTS budgets (
	name  TEXT PRIMARY KEY,
	state TEXT NOT NULL -- JSON
) WITHOUT ROWID;
`

// DB is the file that keeps ledger and budget. Several processes may have it open at once.
type DB struct{ sql *sql.DB }

// OpenDB opens the file, and makes it (readable by its owner only) if it is not there. It MUST be
// closed.
//
// Every commit reaches the disk (synchronous=FULL): a budget that a power cut takes back would be
// spent twice. Transactions that write take the file's write lock when they begin, so that what
// they read is still true when they write.
func OpenDB(ctx context.Context, path string) (*DB, error) {
	db, err := openDB(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open the ledger file %s: %w", path, err)
	}
	return db, nil
}

func openDB(ctx context.Context, path string) (*DB, error) {
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = file.Close()
	if err != nil {
		return nil, err
	}
	query := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(" + busyTimeout + ")", "journal_mode(WAL)", "synchronous(FULL)"},
	}
	pool, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return nil, err
	}
	db := &DB{sql: pool}
	err = db.migrate(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return db, nil
}

// Close closes the file.
func (db *DB) Close() error { return db.sql.Close() }

func (db *DB) migrate(ctx context.Context) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		var version int
		err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
		if err != nil {
			return err
		}
		if version > schemaVersion {
			return fmt.Errorf("it has schema version %d and this program knows %d: use a newer one",
				version, schemaVersion)
		}
		_, err = tx.ExecContext(ctx, schema)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
		return err
	})
}

// write runs f in one transaction that holds the write lock from its beginning.
func (db *DB) write(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := db.sql.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	err = f(tx)
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
