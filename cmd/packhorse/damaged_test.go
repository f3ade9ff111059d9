package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
)

// damagedFolder creates a data folder whose ledger has a single, malformed row.
func damagedFolder(t *testing.T) (data string, id investigation.ID) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	file := filepath.Join(data, datafolder.Database)
	db, err := embedded.OpenDB(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	a := investigation.Action{
		ID:        investigation.ID{TenantID: mdesim.Defaults().TenantID, ActionID: strings.Repeat("a", 40)},
		MachineID: strings.Repeat("b", 40), Status: investigation.StatusSucceeded, CreatedAt: time.Now(),
	}
	_, err = embedded.NewLedger(db).Change(t.Context(), a.ID, investigation.Observe(a, time.Now()))
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", file)
	if err == nil {
		_, err = raw.ExecContext(t.Context(), "UPDATE actions SET record = 'x'")
	}
	if err == nil {
		err = raw.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return data, a.ID
}

// TestRunBesideADamagedRow: run archives all other packages and list shows them; both end with an error that
// names the damaged row.
func TestRunBesideADamagedRow(t *testing.T) {
	t.Parallel()
	data, id := damagedFolder(t)
	got := packhorse(t, nil, "run", "--simulate", "2", "--package-size", "1KiB", "--until-idle", "--json", "--data", data)
	events, summary := jsonLines(t, got)
	if len(of("archived", events)) != 2 || summary.Archived != 2 {
		t.Errorf("run: %s\n%s", got.stdout, got.stderr)
	}
	if got.code != exitFailed || !strings.Contains(got.stderr, id.ActionID) ||
		!strings.Contains(got.stderr, "invalid record") {
		t.Errorf("run: exit %d, %s", got.code, got.stderr)
	}
	got = packhorse(t, nil, "list", "--data", data)
	if got.code != exitFailed || !strings.Contains(got.stderr, id.ActionID) ||
		strings.Count(got.stdout, "archived") != 2 {
		t.Errorf("list: exit %d, %s\n%s", got.code, got.stdout, got.stderr)
	}
}

// TestDataFolderOfAnyName: run and verify take the folder name literally, even if it looks like a pattern.
func TestDataFolderOfAnyName(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), `case [4711] \ *?`)
	got := packhorse(t, nil, "run", "--simulate", "1", "--package-size", "1KiB", "--until-idle", "--data", data)
	if got.code != exitDone {
		t.Fatalf("run: exit %d, %s", got.code, got.stderr)
	}
	got = packhorse(t, nil, "verify", "--data", data)
	if got.code != exitDone || !strings.Contains(got.stdout, filepath.Join(data, "signing-key.pem")) {
		t.Errorf("verify: exit %d, %s\n%s", got.code, got.stdout, got.stderr)
	}
	for _, args := range [][]string{{"list"}, {"public-key"}} {
		if got := packhorse(t, nil, append(args, "--data", data)...); got.code != exitDone {
			t.Errorf("%s: exit %d, %s", args[0], got.code, got.stderr)
		}
	}
}
