package embedded_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/mde/mdesim"
	health "packhorse/internal/tenant"
)

// folderOf lists the files beside a database, with their sizes.
func folderOf(t *testing.T, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// TestReadChangesNothing: reading a database creates no file and changes no byte, whoever has it open.
func TestReadChangesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "packhorse.db")
	tenantID := mdesim.Defaults().TenantID
	db, err := embedded.OpenDB(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	want := health.Health{Message: "no luck"}
	read := func() (got health.Health) {
		t.Helper()
		files, bytes := folderOf(t, path), content(t, path)
		err := embedded.Read(t.Context(), path, func(ledger *embedded.Ledger, _ *embedded.Counter) (err error) {
			got, err = ledger.Health(t.Context(), tenantID)
			if writeErr := ledger.SetHealth(t.Context(), tenantID, health.Health{}); writeErr == nil {
				t.Error("it could be written")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if after := folderOf(t, path); !slices.Equal(after, files) || content(t, path) != bytes {
			t.Errorf("it left %q, before there were %q", after, files)
		}
		return got
	}
	if err := embedded.NewLedger(db).SetHealth(t.Context(), tenantID, want); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != want { // the row is only in the log
		t.Errorf("with the log it read %+v", got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != want {
		t.Errorf("without the log it read %+v", got)
	}
	if version, known, err := embedded.Version(t.Context(), path); err != nil || version != known {
		t.Errorf("got version %d of %d, %v", version, known, err)
	}
}

// TestVersion: files of other versions and of others are told apart, and stay as they are.
func TestVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	later := filepath.Join(dir, "later.db")
	prepare(t, later, "PRAGMA user_version = 99")
	version, known, err := embedded.Version(t.Context(), later)
	if err != nil || version != 99 || known >= 99 {
		t.Errorf("got version %d of %d, %v", version, known, err)
	}
	err = embedded.Read(t.Context(), later, func(*embedded.Ledger, *embedded.Counter) error { return nil })
	if !errors.Is(err, embedded.ErrOtherVersion) {
		t.Errorf("got %v", err)
	}
	foreign := filepath.Join(dir, "foreign.db")
	prepare(t, foreign, "DROP TABLE actions")
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte("Lorem ipsum dolor"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{foreign, text} {
		if _, _, err := embedded.Version(t.Context(), path); !errors.Is(err, embedded.ErrNotOurs) {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if _, _, err := embedded.Version(t.Context(), filepath.Join(dir, "none.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// opensVariable makes the test binary a process that opens the named database until its input ends.
const opensVariable = "PACKHORSE_TEST_OPENS"

// TestOpenElsewhere: only a living process that has the database open counts.
func TestOpenElsewhere(t *testing.T) {
	if path := os.Getenv(opensVariable); path != "" {
		holdOpen(t, path)
		return
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "packhorse.db")
	prepare(t, path)
	check := func(want int) {
		t.Helper()
		if pid, err := embedded.OpenElsewhere(path); err != nil || pid != want {
			t.Errorf("got process %d, %v, want %d", pid, err, want)
		}
	}
	check(0)
	ctx, kill := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestOpenElsewhere$")
	cmd.Env = append(os.Environ(), opensVariable+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it is open
		t.Fatal(err)
	}
	check(cmd.Process.Pid)
	kill() // leaves the files beside the database
	_ = cmd.Wait()
	if _, err := os.Stat(path + "-shm"); err != nil {
		t.Error(err)
	}
	check(0)
}

func holdOpen(t *testing.T, path string) {
	db, err := embedded.OpenDB(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := os.Stdout.WriteString("open\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
}
