package embedded_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/investigation"
	"packhorse/internal/memory"
	"packhorse/internal/ratelimit"
)

// versionOne has the statements with which version 1 of the program made its file, verbatim.
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

// oldFacts is an action as version 1 wrote it.
const oldFacts = `"tenantId":"11111111-1111-4111-8111-111111111111","actionId":%q,
	"machineId":"3333333333333333333333333333333333333333","status":%q,
	"createdAt":"2026-11-03T08:00:00Z","lastUpdatedAt":"2026-11-03T08:30:00Z",
	"completedAt":"2026-11-03T08:30:00Z","observedAt":"2026-11-03T09:00:00Z"`

// oldFile makes a file of version 1 with an action that is archived, one that failed, one that is
// being fetched, and a budget.
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

// TestVersionOneIsMigrated: its actions and budget are kept, work on them goes on, and each outcome gets
// its place in a chain.
func TestVersionOneIsMigrated(t *testing.T) {
	path := oldFile(t)
	var all sync.WaitGroup // and not even two at once do it twice
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
	if got, err := db.Pragma(t.Context(), "user_version"); err != nil || got != "5" {
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

// TestMigrationIsAllOrNothing: a migration that fails halfway leaves the file as it was.
func TestMigrationIsAllOrNothing(t *testing.T) {
	path := oldFile(t)
	old, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	// The new table cannot be made, because an index has its name.
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

// versionTwo has the statements with which version 2 upgraded a file of version 1, verbatim.
const versionTwo = `
CREATE TABLE chains (
	tenant_id TEXT PRIMARY KEY,
	sequence  INTEGER NOT NULL, -- of the last manifest; the first has 1
	digest    TEXT NOT NULL -- SHA-256 of its bytes, lower-case hexadecimal
) WITHOUT ROWID;
PRAGMA user_version = 2;
`

// raw opens the file without migrating it, as another program would.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// dump returns every row of version 2, with the types of its values.
func dump(t *testing.T, db *sql.DB) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT quote(tenant_id) || quote(action_id) || quote(lane) ||
		quote(due_at) || quote(record) FROM actions ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}()
	var all []string
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
	return all
}

// TestVersionTwoIsMigrated: every row is kept byte for byte, malformed ones and those with strange types
// included; the records are found by index, the malformed rows named, and nothing is in the way of work.
func TestVersionTwoIsMigrated(t *testing.T) {
	path := oldFile(t)
	old := raw(t, path)
	statements := []string{versionTwo}
	for i := range 1200 { // more than two batches
		id := fmt.Sprintf("%040x", i)
		statements = append(statements, fmt.Sprintf(`INSERT INTO actions VALUES ('%s', '%s', '', 0, '{`+oldFacts+
			`,"computerDnsName":"Fin-%d.contoso.test","state":"waiting"}')`, tenant, id, id, "Pending", i%7))
	}
	bad := []string{"9a", "9b", "9c", "9d", "9e"}
	for i, values := range []string{
		"'%s', '%s', '', 0, 'x'", "'%s', '%s', '', 0, x'00ff'", "'%s', '%s', 'live', 'soon', '{}'",
		"'%s', x'%s', '', 0, '{}'", "'%s', '%s', 7, 0.5, 'null'",
	} {
		statements = append(statements, fmt.Sprintf("INSERT INTO actions VALUES ("+values+")", tenant, bad[i]))
	}
	for _, statement := range statements {
		if _, err := old.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%v: %.300s", err, statement)
		}
	}
	before := dump(t, old)

	db := openDB(t, path)
	ledger := embedded.NewLedger(db)
	if after := dump(t, old); !slices.Equal(before, after) || len(after) != 1208 {
		t.Errorf("%d rows became %d, or they differ", len(before), len(after))
	}
	found, err := ledger.Find(t.Context(), investigation.Filter{Machine: "fin-3", TenantID: tenant})
	if len(found) != 171 || !errors.Is(err, investigation.ErrBadRecord) ||
		strings.Count(err.Error(), "the row of action") != len(bad) {
		t.Errorf("found %d, %v", len(found), err)
	}
	for _, column := range []string{"state", "created_at", "host"} {
		if got, err := db.Text(t.Context(), "SELECT count(*) FROM actions WHERE "+column+" = ''"); got != "5" {
			t.Errorf("%s is empty in %s rows, %v", column, got, err)
		}
	}
	open, _ := ledger.Open(t.Context(), tenant)
	counts, _ := ledger.Counts(t.Context(), "", now)
	if len(open) != 1203 || counts.ByState[investigation.StateWaiting] != 1200 {
		t.Errorf("%d open, %+v", len(open), counts)
	}
	// A process of version 2 that still has the file open cannot leave columns that contradict the record.
	_, err = old.ExecContext(t.Context(), `INSERT INTO actions (tenant_id, action_id, lane, due_at, record)
		VALUES (?, ?, '', 0, '{}') ON CONFLICT (tenant_id, action_id) DO UPDATE SET
			lane = excluded.lane, due_at = excluded.due_at, record = excluded.record`, tenant, found[0].ActionID)
	if err == nil {
		t.Error("the statement of version 2 was accepted")
	}
	if after := dump(t, old); !slices.Equal(before, after) {
		t.Error("a refused statement changed a row")
	}
}

// TestVersionFourIsMigrated: it lacks the registry of tenants; everything else stays, and an earlier program no
// longer opens the file.
func TestVersionFourIsMigrated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "packhorse.db")
	db, err := embedded.OpenDB(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := embedded.NewLedger(db).Change(t.Context(), someAction("1", now).ID,
		investigation.Observe(someAction("1", now), now))
	if err == nil {
		err = errors.Join(db.Exec(t.Context(), "DROP TABLE tenants"), db.Exec(t.Context(), "PRAGMA user_version = 4"),
			db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	db = openDB(t, path)
	if got, err := db.Pragma(t.Context(), "user_version"); err != nil || got != "5" {
		t.Errorf("got version %q, %v", got, err)
	}
	if all, err := embedded.NewLedger(db).Records(t.Context(), tenant); err != nil || !slices.Equal(all, []investigation.Record{rec}) {
		t.Errorf("got %+v, %v", all, err)
	}
	if all, err := embedded.NewRegistry(db).List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("got %+v, %v", all, err)
	}
}
