// Package embedded replaces AWS on one machine: a ledger and a budget counter in SQLite, and an S3
// server that keeps objects as plain files.
package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite" // registers the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// schemaVersion is written into the file. A file of a later version is refused rather than
	// misread.
	schemaVersion = 5

	// busyTimeout is how long a transaction waits for those of other processes. One takes a few
	// milliseconds, mostly for the disk.
	busyTimeout = 15 * time.Second

	// busyPause is how long an open that found the file locked waits before it retries.
	busyPause = 20 * time.Millisecond

	// The modes are private because the ledger names hosts and people.
	folderMode = 0o700
	fileMode   = 0o600
)

// DB is the file that keeps the ledger and the budget. Several processes may open it at once, and
// it is safe for concurrent use.
type DB struct {
	sql   *sql.DB
	group group
}

// ErrNotOurs is wrapped by the error of [OpenDB] for a file of another program, or of a later
// version of this one. The file is left unchanged.
var ErrNotOurs = errors.New("the file cannot be used")

// OpenDB opens the file. If it is missing, OpenDB creates it and its folder, readable by the owner
// only. The DB MUST be closed.
//
// Every commit reaches the disk (synchronous=FULL): a budget that a power cut undoes would be spent
// twice. Transactions that write take the file's write lock when they begin, so their reads are
// still valid when they write.
func OpenDB(ctx context.Context, path string) (*DB, error) {
	db, err := openDB(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open the ledger file %s: %w", path, explain(err))
	}
	return db, nil
}

func openDB(ctx context.Context, path string) (*DB, error) {
	// Connections are opened on demand, and the S3 server changes the working directory.
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	err = create(path)
	if err != nil {
		return nil, err
	}
	pool, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return nil, err
	}
	// One connection: goroutines of this process queue fairly for it, and only processes compete
	// for the file's lock, which they do by polling.
	pool.SetMaxOpenConns(1)
	db := &DB{sql: pool}
	err = db.migratePatiently(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return db, nil
}

// migratePatiently migrates even if many processes open a new file at once. SQLite ignores the busy
// timeout for the lock that switches a file to a write-ahead log, since two waiting for each other
// would never finish (https://www.sqlite.org/c3ref/busy_handler.html).
func (db *DB) migratePatiently(ctx context.Context) error {
	patience := time.NewTimer(busyTimeout)
	defer patience.Stop()
	for {
		err := db.migrate(ctx)
		refusal, ok := errors.AsType[*sqlite.Error](err)
		if !ok || refusal.Code()&0xff != sqlite3.SQLITE_BUSY {
			return err
		}
		select {
		case <-time.After(busyPause):
		case <-patience.C:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

// create creates an empty file if it is missing. SQLite would make it readable by everybody. SQLite
// gives the files it creates beside it the same mode.
func create(path string) error {
	err := os.MkdirAll(filepath.Dir(path), folderMode)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode) //nolint:gosec // the user chooses the data folder
	if err != nil {
		return err
	}
	return errors.Join(checkMagic(file), file.Close())
}

// magic begins every database (https://www.sqlite.org/fileformat2.html, section 1.3).
const magic = "SQLite format 3\x00"

// checkMagic refuses a file with other content. SQLite does so too, except that it treats a file
// shorter than its header as empty and overwrites it.
func checkMagic(file *os.File) error {
	head := make([]byte, len(magic))
	n, err := io.ReadFull(file, head)
	switch {
	case errors.Is(err, io.EOF): // empty, so new
		return nil
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case string(head[:n]) != magic:
		return fmt.Errorf("%w: not a database (move it away, or choose another data folder)",
			ErrNotOurs)
	default:
		return nil
	}
}

// dsn returns the data source name of the file. The driver sets the busy timeout first, whatever
// the order here.
func dsn(path string) string {
	query := url.Values{
		"_txlock":       {"immediate"},
		"_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
	}
	return dsnOf(path, query)
}

func dsnOf(path string, query url.Values) string {
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + query.Encode()
}

// explain adds the meaning of an SQLite error, and advice.
func explain(err error) error {
	refusal, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch refusal.Code() & 0xff { // the rest is detail
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: not a database (move it away, or choose another data folder): %w",
			ErrNotOurs, err)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return fmt.Errorf("the file and its folder must be writable: %w", err)
	default:
		return err
	}
}

// Close closes the file.
func (db *DB) Close() error { return db.sql.Close() }

// migrate upgrades an empty file or one of an earlier version to this version, and refuses a file
// of another program.
func (db *DB) migrate(ctx context.Context) error {
	return db.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		version, all, ours, err := schemaOf(ctx, tx)
		switch {
		case err != nil:
			return err
		case version > schemaVersion:
			return fmt.Errorf("%w: it has schema version %d and this program knows %d; use a newer one",
				ErrNotOurs, version, schemaVersion)
		case version < 0, ours != tables()[version], version == 0 && all > 0:
			return fmt.Errorf("%w: another program's database (choose another data folder)",
				ErrNotOurs)
		case version == schemaVersion:
			return nil
		}
		for _, migration := range migrations()[version:] {
			err = migration(ctx, tx)
			if err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
		return err
	})
}

// schemaOf returns the version of the file's schema, and how many tables it has in all and of ours.
func schemaOf(ctx context.Context, q querier) (version, all, ours int, err error) {
	err = q.QueryRowContext(ctx, `SELECT
		(SELECT user_version FROM pragma_user_version),
		(SELECT count(*) FROM sqlite_schema WHERE type = 'table'),
		(SELECT count(*) FROM sqlite_schema
			WHERE type = 'table' AND name IN ('actions', 'budgets', 'chains', 'healths', 'tenants'))`).
		Scan(&version, &all, &ours)
	return version, all, ours, err
}

// querier is implemented by a database and a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// toMillis writes the zero time as 0.
func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis is the inverse of toMillis.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
