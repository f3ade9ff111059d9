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
	"packhorse/internal/registry"
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

// TestStackOfMany: an overview of 120 registered tenants and the stack's own costs one scan of the registry, one of the
// index of due work, two reads of healths, and what the one tenant with work has.
func TestStackOfMany(t *testing.T) {
	t.Parallel()
	now := time.Now()
	client := dynamotest.Client(dynamotest.Direct)
	s := &stack.Stack{
		Name: "packhorse",
		Outputs: map[string]string{
			stack.OutputLedger:  dynamotest.Table(t, ledgertables.Ledger("ledger-"+rand.Text())),
			stack.OutputBudget:  dynamotest.Table(t, ledgertables.Budget("budget-"+rand.Text())),
			stack.OutputTenants: dynamotest.Table(t, ledgertables.Budget("tenants-"+rand.Text())),
		},
		Parameters: map[string]string{"DefenderTenantId": one, "DefenderClientId": two, "PackageUriPerMinute": "2", "PackageUriPerHour": "120"},
	}
	records, tenants := ledger.New(client, s.Outputs[stack.OutputLedger]), registry.New(client, s.Outputs[stack.OutputTenants])
	healthy := func(id string) {
		if err := records.SetHealth(t.Context(), id, tenant.Health{}.Succeeded(now.Add(-43*time.Second))); err != nil {
			t.Fatal(err)
		}
	}
	healthy(one)
	id := func(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }
	for n := range 120 {
		entry := tenant.New(tenant.Tenant{ID: id(n), Name: fmt.Sprintf("Customer %d", n), PerMinute: 1}, now)
		if n == 5 {
			entry = entry.Suspended(now)
		}
		if _, err := tenants.Put(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
		healthy(id(n))
	}
	a := investigation.Action{
		ID: investigation.ID{TenantID: id(7), ActionID: strings.Repeat("a", 40)}, MachineID: strings.Repeat("c", 40),
		Status: "Succeeded", CreatedAt: now.Add(-time.Hour), LastUpdatedAt: now.Add(-time.Minute),
	}
	if _, err := records.Change(t.Context(), a.ID, investigation.Observe(a, now)); err != nil {
		t.Fatal(err)
	}
	var wire dynamotest.Wire
	d, err := desk.OfStack(dynamotest.Client(&wire), s, desk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wire.Reset()
		got, err := d.Read(t.Context(), now, false)
		if err != nil || len(got.Tenants) != 1 || got.Tenants[0].Name != "Customer 7" || len(got.Tenants[0].Queue) != 1 ||
			len(got.Tenants[0].Budget.FreeAt) != 1 || got.Idle != 119 || got.Suspended != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		want := map[string]int{"Scan": 2, "BatchGetItem": 2 + 1, "Query": 1, "GetItem": 2} // of the tenant: health and budget
		if calls := wire.Calls(); fmt.Sprint(calls) != fmt.Sprint(want) {
			t.Errorf("the calls are %v, want %v", calls, want)
		}
	}
	if all, err := read(t, d, now); err != nil || len(all) != 121 || !all[120].Suspended {
		t.Errorf("in full: %d, %v", len(all), err)
	}
	d, err = desk.OfStack(dynamotest.Client(&wire), s, desk.Options{TenantID: id(5)})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.Read(t.Context(), now, false); err != nil || len(got.Tenants) != 1 || got.Tenants[0].Name != "Customer 5" ||
		!got.Tenants[0].Suspended {
		t.Errorf("one: %+v, %v", got, err)
	}
}
