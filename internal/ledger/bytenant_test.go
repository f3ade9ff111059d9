package ledger_test

import (
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud/dynamotest"
)

// filled observes n actions of the tenant, one a minute.
func filled(t *testing.T, table, tenantID string, n int) {
	t.Helper()
	l := newLedger(table, &dynamotest.Wire{})
	for i := range n {
		a := action(i, "Succeeded")
		a.TenantID, a.CreatedAt = tenantID, t0.Add(time.Duration(i)*time.Minute)
		a.LastUpdatedAt = a.CreatedAt.Add(time.Second)
		a.CaseID = fmt.Sprint("INC-", i%3)
		if _, err := l.Change(t.Context(), a.ID, investigation.Observe(a, t0.Add(time.Hour))); err != nil {
			t.Fatal(err)
		}
	}
}

const otherTenant = "99999999-2222-4333-8444-555555555555"

// TestFind: the index answers as the filter would, newest first, and reads only the tenant's actions.
func TestFind(t *testing.T) {
	table := newTable(t)
	filled(t, table, tenant, 12)
	filled(t, table, otherTenant, 250)
	all, err := newLedger(table, &dynamotest.Wire{}).Records(t.Context(), tenant)
	if err != nil || len(all) != 12 || !slices.IsSortedFunc(all, investigation.ByCreation) {
		t.Fatalf("%d records, %v", len(all), err)
	}
	for name, f := range map[string]investigation.Filter{
		"all": {}, "newest": {Limit: 3}, "case": {Case: "inc-1"}, "case, newest": {Case: "inc-1", Limit: 2},
		"since": {Since: t0.Add(5 * time.Minute)}, "until": {Until: t0.Add(5 * time.Minute)},
		"both": {Since: t0.Add(2 * time.Minute), Until: t0.Add(7 * time.Minute)}, "nothing": {Machine: "nowhere"},
	} {
		f.TenantID = tenant
		w := &dynamotest.Wire{}
		got, err := newLedger(table, w).Find(t.Context(), f)
		if want := f.Select(all); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %d records, %v, want %d", name, len(got), err, len(want))
		}
		if w.Count("Scan") > 0 || w.Count("Query") != 1 || w.Count("BatchGetItem") > 1 {
			t.Errorf("%s: %d scans, %d queries, %d batches", name, w.Count("Scan"), w.Count("Query"), w.Count("BatchGetItem"))
		}
	}
}

// TestUpgrade: a table of an older release can be listed before it has the index, and DynamoDB fills the index
// from the items that are there.
func TestUpgrade(t *testing.T) {
	name := "ledger-" + rand.Text()
	table := dynamotest.Table(t, ledgertables.OldLedger(name))
	filled(t, table, tenant, 5)
	w := &dynamotest.Wire{}
	before, err := newLedger(table, w).Records(t.Context(), tenant)
	if err != nil || len(before) != 5 || w.Count("Scan") != 1 {
		t.Fatalf("before: %d records by %d scans, %v", len(before), w.Count("Scan"), err)
	}
	dynamotest.AddIndex(t, ledgertables.Upgrade(name))
	w = &dynamotest.Wire{}
	after, err := newLedger(table, w).Records(t.Context(), tenant)
	if err != nil || !slices.Equal(after, before) || w.Count("Scan") != 0 {
		t.Errorf("after: %d records by %d scans, %v", len(after), w.Count("Scan"), err)
	}
}
