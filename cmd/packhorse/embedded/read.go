package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
)

// Version reads the schema version of a file, and returns the one that this program knows. It changes nothing:
// [OpenDB] upgrades the file. The error wraps [ErrNotOurs] if it is not a ledger. A later version is not an error.
func Version(ctx context.Context, path string) (version, known int, err error) {
	err = readOnly(path, func(db *DB) error {
		var all, ours int
		var err error
		version, all, ours, err = schemaOf(ctx, db.sql)
		if err != nil || version > schemaVersion {
			return err
		}
		if version < 0 || ours != tables()[version] || version == 0 && all > 0 {
			return fmt.Errorf("%w: another program's database", ErrNotOurs)
		}
		return nil
	})
	return version, schemaVersion, err
}

// ErrOtherVersion says that a database is of another version, which only [OpenDB] can upgrade.
var ErrOtherVersion = errors.New("the database is of another version")

// Read calls f with the ledger and the counter of a database, which cannot be written through them. It does not
// upgrade an earlier version, but returns [ErrOtherVersion]. If the file is opened by others meanwhile, f may be
// called a second time.
func Read(ctx context.Context, path string, f func(*Ledger, *Counter) error) error {
	return readCurrent(ctx, path, func(db *DB) error { return f(NewLedger(db), NewCounter(db)) })
}

// ReadRegistry is like [Read] for the registry of tenants.
func ReadRegistry(ctx context.Context, path string, f func(*Registry) error) error {
	return readCurrent(ctx, path, func(db *DB) error { return f(NewRegistry(db)) })
}

// readCurrent opens a database that has this program's version, only to read it.
func readCurrent(ctx context.Context, path string, f func(*DB) error) error {
	return readOnly(path, func(db *DB) error {
		version, _, _, err := schemaOf(ctx, db.sql)
		if err != nil {
			return err
		}
		if version != schemaVersion {
			return fmt.Errorf("%w: it has schema version %d, this program's is %d", ErrOtherVersion, version, schemaVersion)
		}
		return f(db)
	})
}

// readOnly opens the database and calls f. Without a write-ahead log nobody has the file open, and SQLite is told
// that it does not change: otherwise it would create the files of the log. If a log appears meanwhile, what was
// read may be half of a change, and f is called again with the log.
func readOnly(path string, f func(*DB) error) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	logged := exists(path + "-wal")
	err = readOnce(path, !logged, f)
	if !logged && exists(path+"-wal") {
		err = readOnce(path, false, f)
	}
	if err != nil {
		return fmt.Errorf("read the ledger file %s: %w", path, explain(err))
	}
	return nil
}

func readOnce(path string, immutable bool, f func(*DB) error) (err error) {
	file, err := os.Open(path) //nolint:gosec // the user chooses the data folder
	if err != nil {
		return err
	}
	err = errors.Join(checkMagic(file), file.Close())
	if err != nil {
		return err
	}
	query := url.Values{"mode": {"ro"}, "_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())}}
	if immutable {
		query.Set("immutable", "1")
	}
	pool, err := sql.Open("sqlite", dsnOf(path, query))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	pool.SetMaxOpenConns(1)
	return f(&DB{sql: pool})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// aliveByte is where every connection to a database with a write-ahead log holds a shared lock on the file beside
// it while it is open (UNIX_SHM_DMS in SQLite's os_unix.c). A crash releases it.
const aliveByte = 128

// OpenElsewhere returns the id of a process that has the database open, or 0. It MUST NOT be called while this
// process has the database open: closing the file would release this process's own locks on it.
func OpenElsewhere(path string) (pid int, err error) {
	file, err := os.Open(path + "-shm") //nolint:gosec // the user chooses the data folder
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("see whether another process has the ledger open: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: aliveByte, Len: 1}
	err = syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &lock)
	if err != nil {
		return 0, fmt.Errorf("see whether another process has the ledger open: %w", err)
	}
	if lock.Type == syscall.F_UNLCK {
		return 0, nil
	}
	return int(lock.Pid), nil
}
