package desk_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/desk"
	"packhorse/cmd/packhorse/stack"
	"packhorse/internal/defender"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/ratelimit/dynamocounter"
	"packhorse/internal/status"
	"packhorse/internal/tenant"
)

func TestMain(m *testing.M) { os.Exit(dynamotest.Main(m)) }

// read returns the status of all tenants in full.
func read(t *testing.T, d *desk.Desk, now time.Time) ([]status.Tenant, error) {
	t.Helper()
	o, err := d.Read(t.Context(), now, true)
	return o.Tenants, err
}

// TestStack: the records, the health and the budget of the stack's tenant, by one scan of the ledger for each reading.
func TestStack(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ledgerTable := dynamotest.Table(t, ledgertables.Ledger("ledger-"+rand.Text()))
	budgetTable := dynamotest.Table(t, ledgertables.Budget("budget-"+rand.Text()))
	client := dynamotest.Client(dynamotest.Direct)
	records := ledger.New(client, ledgerTable)
	for n, status := range []investigation.Status{"Succeeded", "Pending", "Succeeded"} {
		a := investigation.Action{
			ID: investigation.ID{TenantID: one, ActionID: fmt.Sprintf("%040x", n)}, MachineID: strings.Repeat("c", 40),
			Status: status, CreatedAt: now.Add(-time.Hour), LastUpdatedAt: now.Add(-time.Minute),
		}
		if _, err := records.Change(t.Context(), a.ID, investigation.Observe(a, now.Add(-time.Minute))); err != nil {
			t.Fatal(err)
		}
	}
	if err := records.SetHealth(t.Context(), one, tenant.Health{}.Succeeded(now)); err != nil {
		t.Fatal(err)
	}
	limits := defender.Limits{PerMinute: 2, PerHour: 120}
	counter := dynamocounter.New(client, budgetTable, time.Now)
	if _, err := counter.Lease(context.Background(), defender.LinkBudget(one, two, limits), "o", now); err != nil {
		t.Fatal(err)
	}

	var wire dynamotest.Wire
	s := &stack.Stack{
		Name: "packhorse", Outputs: map[string]string{stack.OutputLedger: ledgerTable, stack.OutputBudget: budgetTable},
		Parameters: map[string]string{"DefenderTenantId": one, "DefenderClientId": two, "PackageUriPerMinute": "2",
			"PackageUriPerHour": "120"},
	}
	d, err := desk.OfStack(dynamotest.Client(&wire), s, desk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for reading := range 2 {
		wire.Reset()
		got, err := read(t, d, now)
		if err != nil || len(got) != 1 || len(got[0].Queue) != 2 || len(got[0].Offline) != 1 || len(got[0].Problems) > 0 ||
			got[0].Budget.Free(now) != 1 || got[0].Health.SweptAt.IsZero() {
			t.Errorf("reading %d: got %+v, %v", reading, got, err)
		}
		if scans, gets := wire.Count("Scan"), wire.Count("GetItem"); scans > 0 || wire.Count("Query") != 1 || gets != 2 {
			t.Errorf("reading %d: %d scans and %d gets, want none, one query, and 2", reading, scans, gets)
		}
		if wire.Count("UpdateItem") > 0 {
			t.Error("it wrote")
		}
	}
	d, err = desk.OfStack(client, s, desk.Options{TenantID: two})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, d, now); err != nil || len(got) != 1 || len(got[0].Budget.FreeAt) != 0 || len(got[0].Queue) != 0 {
		t.Errorf("another tenant: %+v, %v", got, err)
	}
	s.Parameters["PackageUriPerHour"] = "many"
	if _, err := desk.OfStack(client, s, desk.Options{}); err == nil || !strings.Contains(err.Error(), "PackageUriPerHour") {
		t.Errorf("got %v", err)
	}
}
