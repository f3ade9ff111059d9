package embedded_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/investigation"
	health "packhorse/internal/tenant"
)

// openDB opens a database for the length of a test.
func openDB(t *testing.T, path string) *embedded.DB {
	t.Helper()
	db, err := embedded.OpenDB(t.Context(), path)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func newDB(t *testing.T) *embedded.DB {
	t.Helper()
	return openDB(t, filepath.Join(t.TempDir(), "packhorse.db"))
}

// TestOpenIsDurable: a commit reaches the disk before it counts, so it survives a power cut.
func TestOpenIsDurable(t *testing.T) {
	db := newDB(t)
	for name, want := range map[string]string{
		"synchronous": "2", "journal_mode": "wal", "busy_timeout": "15000", "user_version": "5",
	} {
		got, err := db.Pragma(t.Context(), name)
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestOpenIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	db := openDB(t, filepath.Join(dir, "packhorse.db"))
	if err := db.Exec(t.Context(), "CREATE TABLE x (y)"); err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{
		"": 0o700, "packhorse.db": 0o600, "packhorse.db-wal": 0o600, "packhorse.db-shm": 0o600,
	}
	for name, mode := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Errorf("%q: %v", name, err)
		} else if got := info.Mode().Perm(); got != mode {
			t.Errorf("%q: got mode %o, want %o", name, got, mode)
		}
	}
}

// TestOpenTakesAnyFolderName: a name that looks like part of a URL is not parsed as one.
func TestOpenTakesAnyFolderName(t *testing.T) {
	for _, name := range []string{"a b", "50%25?mode=memory", "x#y", "ünï&_query_only=1", "a;b",
		"[", "case [4711]", "*", `back\\slash`} {
		path := filepath.Join(t.TempDir(), name, "packhorse.db")
		db := openDB(t, path)
		if err := db.Exec(t.Context(), "INSERT INTO budgets VALUES ('b', '{}')"); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%q: the file is not where it should be: %v", name, err)
		}
	}
}

// TestOpenRelativePathSurvivesChdir: the S3 server changes the working directory while the database is
// open.
func TestOpenRelativePathSurvivesChdir(t *testing.T) {
	t.Chdir(t.TempDir())
	db := openDB(t, "packhorse.db")
	elsewhere := t.TempDir()
	t.Chdir(elsewhere)
	// A canceled query loses its connection, so the next one has to find the file again.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Pragma(ctx, "user_version"); err == nil {
		t.Error("a cancelled query got an answer")
	}
	if got, err := db.Pragma(t.Context(), "user_version"); err != nil || got != "5" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "packhorse.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another file was made: %v", err)
	}
}

// TestOpenKeepsWhatWasWritten: the rows are there when the file is opened again.
func TestOpenKeepsWhatWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "packhorse.db")
	db, err := embedded.OpenDB(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Exec(t.Context(), "INSERT INTO budgets VALUES ('b', '{}')"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := openDB(t, path).Text(t.Context(), "SELECT name FROM budgets")
	if err != nil || got != "b" {
		t.Errorf("got %q, %v; want what was written", got, err)
	}
}

// TestOpenRefusesOtherFiles: each is refused in words that say what it is, and left as it was.
func TestOpenRefusesOtherFiles(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
		notOurs bool
		words   string
	}{
		{"a file that is no database", func(t *testing.T, path string) {
			write(t, path, strings.Repeat("no database ", 100))
		}, true, "not a database"},
		{"a short file that is no database", func(t *testing.T, path string) {
			write(t, path, "x")
		}, true, "not a database"},
		{"a later schema", func(t *testing.T, path string) {
			prepare(t, path, "PRAGMA user_version = 6")
		}, true, "schema version 6 and this program knows 5"},
		{"another program's, of the same version", func(t *testing.T, path string) {
			prepare(t, path, "DROP TABLE actions", "CREATE TABLE films (title)")
		}, true, "another program's"},
		{"another program's, without a version", func(t *testing.T, path string) {
			prepare(t, path, "DROP TABLE budgets", "PRAGMA user_version = 0")
		}, true, "another program's"},
		{"another program's, of an earlier version", func(t *testing.T, path string) {
			prepare(t, path, "DROP TABLE budgets", "DROP TABLE chains", "DROP TABLE healths", "DROP TABLE tenants",
				"PRAGMA user_version = 1")
		}, true, "another program's"},
		{"another program's, of a version below zero", func(t *testing.T, path string) {
			prepare(t, path, "PRAGMA user_version = -1")
		}, true, "another program's"},
		{"one that lost a table", func(t *testing.T, path string) {
			prepare(t, path, "DROP TABLE chains")
		}, true, "another program's"},
		{"a folder", func(t *testing.T, path string) {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, false, "is a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "packhorse.db")
			tt.prepare(t, path)
			before := content(t, path)
			db, err := embedded.OpenDB(t.Context(), path)
			if err == nil {
				t.Fatalf("got no error (%v)", db.Close())
			}
			if !strings.Contains(err.Error(), tt.words) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %q, want %q and the path in it", err, tt.words)
			}
			if got := errors.Is(err, embedded.ErrNotOurs); got != tt.notOurs {
				t.Errorf("is ErrNotOurs: got %t, want %t", got, tt.notOurs)
			}
			if content(t, path) != before {
				t.Error("the file was changed")
			}
		})
	}
}

func TestOpenFailsWhereAFileIsInTheWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	write(t, file, "x")
	_, err := embedded.OpenDB(t.Context(), filepath.Join(file, "packhorse.db"))
	if err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("got %v", err)
	}
}

// TestOpenFailsInAReadOnlyFolder: except for root, who may write anywhere.
func TestOpenFailsInAReadOnlyFolder(t *testing.T) {
	for _, existing := range []bool{false, true} {
		dir := t.TempDir()
		path := filepath.Join(dir, "packhorse.db")
		if existing {
			prepare(t, path, "PRAGMA user_version = 5")
		}
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		probe := os.WriteFile(filepath.Join(dir, "probe"), nil, 0o600)
		db, err := embedded.OpenDB(t.Context(), path)
		if (err == nil) != (probe == nil) {
			t.Errorf("existing = %t: got %v, and a file could be written: %v", existing, err, probe)
		}
		if err == nil {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("existing = %t: got %q, want the path in it", existing, err)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// prepare makes a database of ours and changes it.
func prepare(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := embedded.OpenDB(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if err := db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// content returns the bytes of a file, or nothing for a folder.
func content(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		return ""
	}
	bytes, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes)
}

// TestOpenTogetherSucceeds: when many open a new file at the same instant, one makes the tables and all
// can use them.
func TestOpenTogetherSucceeds(t *testing.T) {
	t.Parallel()
	for range 20 {
		path := filepath.Join(t.TempDir(), "packhorse.db")
		start := make(chan struct{})
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				<-start
				db, err := embedded.OpenDB(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		all.Wait()
	}
}

// TestMalformedHealth: the error names the tenant, and the next write mends the row.
func TestMalformedHealth(t *testing.T) {
	db := newDB(t)
	ledger := embedded.NewLedger(db)
	if _, err := db.Text(t.Context(), "INSERT INTO healths VALUES ('"+tenant+"', 'soon', 0, 0, '') RETURNING tenant_id"); err != nil {
		t.Fatal(err)
	}
	_, err := ledger.Health(t.Context(), tenant)
	if !errors.Is(err, investigation.ErrBadRecord) || !strings.Contains(err.Error(), tenant) {
		t.Errorf("got %v", err)
	}
	want := health.Health{}.Succeeded(now)
	if err := ledger.SetHealth(t.Context(), tenant, want); err != nil {
		t.Fatal(err)
	}
	if got, err := ledger.Health(t.Context(), tenant); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}
