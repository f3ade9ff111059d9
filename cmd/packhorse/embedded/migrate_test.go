package embedded_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/investigation"
	"packhorse/internal/memory"
	"packhorse/internal/ratelimit"
)

// versionOne is the schema of version 1 of the program, verbatim.
const versionOne = `
CREATE TABLE actions (
	tenant_id TEXT NOT NULL,
	action_id TEXT NOT NULL,
	lane      TEXT NOT NULL, -- empty: nothing to be done
	due_at    INTEGER NOT NULL, -- milliseconds since 1970
	record    TEXT NOT NULL, -- JSON
	PRIMARY KEY (tenant_id, action_id)
) WITHOUT ROWID;
CREATE INDEX due ON actions (tenant_id, lane, due_at, action_id) WHERE lane <> '';
CREATE TABLE budgets (
	name  TEXT PRIMARY KEY,
	state TEXT NOT NULL -- JSON
) WITHOUT ROWID;
PRAGMA user_version = 1;
`

// oldFacts is an action's JSON as version 1 wrote it.
const oldFacts = `"tenantId":"11111111-1111-4111-8111-111111111111","actionId":%q,
	"machineId":"3333333333333333333333333333333333333333","status":%q,
	"createdAt":"2026-11-03T08:00:00Z","lastUpdatedAt":"2026-11-03T08:30:00Z",
	"completedAt":"2026-11-03T08:30:00Z","observedAt":"2026-11-03T09:00:00Z"`

// oldFile makes a file of version 1 with an archived action, a failed one, one that is being
// fetched, and a budget.
func oldFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "packhorse.db")
	old, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := old.ExecContext(t.Context(), statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(versionOne)
	for digit, of := range map[string]struct{ status, rest string }{
		"1": {"Succeeded", `"state":"archived","attempts":1,"manifestKey":"k.json",
			"receipt":{"bucket":"b","key":"k.zip","size":7,"sha256":"s","crc":"c"},
			"archivedAt":"2026-11-03T09:00:00Z"`},
		"2": {"Failed", `"state":"notCollected","reason":"Failed"`},
		"3": {"Succeeded", `"state":"fetching","attempts":2,"owner":"ada",
			"leaseUntil":"2026-11-03T09:00:00.123Z"`},
	} {
		id := someAction(digit, now).ActionID
		exec("INSERT INTO actions VALUES (?, ?, 'live', ?, ?)", tenant, id, now.UnixMilli(),
			fmt.Sprintf("{"+oldFacts+`,"dueAt":"2026-11-03T09:00:00.123Z","lane":"live",%s}`, id, of.status, of.rest))
	}
	exec("INSERT INTO budgets VALUES ('b', '{}')")
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// The records of version 1 are kept, continue, and get their places in a chain.
func TestFileOfVersionOne(t *testing.T) {
	path := oldFile(t)
	var all sync.WaitGroup // concurrent opens migrate only once
	for range 4 {
		all.Go(func() {
			db, err := embedded.OpenDB(t.Context(), path)
			if err != nil {
				t.Error(err)
			} else if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	db := openDB(t, path)
	if got, err := db.Pragma(t.Context(), "user_version"); err != nil || got != "2" {
		t.Errorf("got version %q, %v", got, err)
	}
	if got, err := db.Text(t.Context(), "SELECT name FROM budgets"); err != nil || got != "b" {
		t.Errorf("got the budget %q, %v", got, err)
	}
	ledger := embedded.NewLedger(db)
	later := now.Add(time.Hour)
	due, err := ledger.Due(t.Context(), tenant, investigation.LaneLive, later, 10)
	if err != nil || len(due) != 3 {
		t.Fatalf("got %+v, %v", due, err)
	}
	held, err := ledger.Change(t.Context(), due[2].ID, investigation.Claim("bob", later, later.Add(time.Minute)))
	if err != nil || held.Attempts != 3 {
		t.Errorf("got %+v, %v", held, err)
	}
	for i, rec := range due[:2] {
		sealed, err := ledger.Seal(t.Context(), rec.ID, investigation.Unchanged(), &memory.Sealer{})
		if err != nil || sealed.Seal.Sequence != int64(i+1) || sealed.Receipt != rec.Receipt {
			t.Errorf("got %+v, %v", sealed, err)
		}
		if _, err := ledger.Change(t.Context(), rec.ID, investigation.Announce(investigation.Conclusion{At: later})); err != nil {
			t.Error(err)
		}
	}
	budget := ratelimit.Budget{Name: "b", PerMinute: 2, PerHour: 120}
	if d, err := embedded.NewCounter(db).Lease(t.Context(), budget, "ada", now); err != nil || !d.Allowed {
		t.Errorf("got %+v, %v", d, err)
	}
}

// An interrupted migration leaves the file unchanged.
func TestMigrationIsAllOrNothing(t *testing.T) {
	path := oldFile(t)
	old, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	// An index with the new table's name: the table cannot be created.
	_, err = old.ExecContext(t.Context(), "CREATE INDEX chains ON actions (lane)")
	if err == nil {
		err = old.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	db, err := embedded.OpenDB(t.Context(), path)
	if err == nil {
		t.Fatalf("it was opened (%v)", db.Close())
	}
	old, err = sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := old.Close(); err != nil {
			t.Error(err)
		}
	}()
	var version, actions int
	err = old.QueryRowContext(t.Context(), `SELECT (SELECT user_version FROM pragma_user_version),
		(SELECT count(*) FROM actions)`).Scan(&version, &actions)
	if err != nil || version != 1 || actions != 3 {
		t.Errorf("got version %d with %d actions, %v", version, actions, err)
	}
}
