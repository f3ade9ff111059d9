package embedded_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"packhorse/cmd/packhorse/embedded"
)

// openFile opens a new file for writes of a test's own.
func openFile(t *testing.T) *embedded.DB {
	t.Helper()
	db, err := embedded.OpenDB(t.Context(), filepath.Join(t.TempDir(), "packhorse.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// insert returns a write of one row.
func insert(name string) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO budgets (name, state) VALUES (?, '{}')", name)
		return err
	}
}

// held makes n writes while another one holds the file, so that they come together.
func held(t *testing.T, db *embedded.DB, n int, f func(i int) func(context.Context, *sql.Tx) error) []error {
	t.Helper()
	release, holding := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		err := db.Write(t.Context(), func(context.Context, *sql.Tx) error {
			close(holding)
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-holding
	failures := make([]error, n)
	for i := range n {
		all.Go(func() { failures[i] = db.Write(t.Context(), f(i)) })
	}
	db.AwaitWaiting(n)
	close(release)
	all.Wait()
	return failures
}

// names returns the rows that are in the file.
func names(t *testing.T, db *embedded.DB) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, name := range db.BudgetNames(t) {
		found[name] = true
	}
	return found
}

var errOurs = errors.New("this write fails")

// TestWritesShareATransaction: writes that come at the same time cost one transaction, and one that fails leaves
// nothing behind and does no harm to others.
func TestWritesShareATransaction(t *testing.T) {
	db := openFile(t)
	var mu sync.Mutex
	transactions := map[*sql.Tx]bool{}
	failures := held(t, db, 40, func(i int) func(context.Context, *sql.Tx) error {
		return func(ctx context.Context, tx *sql.Tx) error {
			mu.Lock()
			transactions[tx] = true
			mu.Unlock()
			err := insert(fmt.Sprint("row ", i))(ctx, tx)
			if err == nil && i%5 == 0 {
				err = errOurs
			}
			return err
		}
	})
	found := names(t, db)
	for i, err := range failures {
		if fails := i%5 == 0; errors.Is(err, errOurs) != fails || (err == nil) == fails || found[fmt.Sprint("row ", i)] == fails {
			t.Errorf("write %d: %v; in the file: %t", i, err, found[fmt.Sprint("row ", i)])
		}
	}
	if len(transactions) != 1 {
		t.Errorf("40 writes took %d transactions", len(transactions))
	}
}

// TestALostTransaction: if SQLite gives up a transaction because of one write, as it does when the disk is full, the
// others get one each, and each is written once.
func TestALostTransaction(t *testing.T) {
	db := openFile(t)
	failures := held(t, db, 10, func(i int) func(context.Context, *sql.Tx) error {
		return func(ctx context.Context, tx *sql.Tx) error {
			err := insert(fmt.Sprint("row ", i))(ctx, tx)
			if err == nil && i == 5 {
				_, err = tx.ExecContext(ctx, "ROLLBACK")
				err = errors.Join(err, errOurs)
			}
			return err
		}
	})
	found := names(t, db)
	for i, err := range failures {
		if name := fmt.Sprint("row ", i); errors.Is(err, errOurs) != (i == 5) || (err != nil) != (i == 5) || found[name] != (i != 5) {
			t.Errorf("write %d: %v; in the file: %t", i, err, found[name])
		}
	}
	if len(found) != 9 {
		t.Errorf("the file has %v", found)
	}
	if err := db.Write(t.Context(), insert("afterwards")); err != nil || !names(t, db)["afterwards"] {
		t.Errorf("the next write: %v", err)
	}
}

// TestWithdrawnWrite: a write whose context ends before its turn is not made; one that has begun is finished.
func TestWithdrawnWrite(t *testing.T) {
	db := openFile(t)
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	begun := db.Write(ctx, func(inner context.Context, tx *sql.Tx) error {
		go func() { waited <- db.Write(ctx, insert("waits")) }()
		db.AwaitWaiting(1)
		cancel()
		if err := <-waited; !errors.Is(err, context.Canceled) {
			t.Errorf("the write that waited: %v", err)
		}
		return insert("has begun")(inner, tx)
	})
	late := db.Write(ctx, insert("late"))
	found := names(t, db)
	if begun != nil || !errors.Is(late, context.Canceled) || len(found) != 1 || !found["has begun"] {
		t.Errorf("begun %v, late %v; the file has %v", begun, late, found)
	}
}
