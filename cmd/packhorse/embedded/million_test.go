package embedded_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/embedded/ledgertest"
	"packhorse/internal/investigation"
)

// ofTenant is how many actions the tenant has whose list BenchmarkListOfTenant measures.
const ofTenant = 100

// smallTenant returns the ledger in a file in which another tenant has that many actions and a small one has few.
func smallTenant(tb testing.TB, others int) *embedded.Ledger {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "packhorse.db")
	now := time.Now()
	if others > 0 {
		ledgertest.Fill(tb, path, "99999999-2222-4333-8444-555555555555", others, now)
	}
	db, err := embedded.OpenDB(tb.Context(), path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	ledger := embedded.NewLedger(db)
	for i := range ofTenant {
		created := now.Add(-time.Duration(i) * time.Hour).UTC().Truncate(time.Second)
		a := investigation.Action{
			ID: investigation.ID{TenantID: tenant, ActionID: fmt.Sprintf("%040x", i)}, Status: investigation.StatusFailed,
			MachineID: fmt.Sprintf("%040x", i), ComputerDNSName: "host.contoso.com", CreatedAt: created, LastUpdatedAt: created,
		}
		if _, err := ledger.Change(tb.Context(), a.ID, investigation.Observe(a, now)); err != nil {
			tb.Fatal(err)
		}
	}
	return ledger
}

// TestListReadsOneTenant: the list of a tenant visits the rows of that tenant alone, whatever others have.
func TestListReadsOneTenant(t *testing.T) {
	ledger := smallTenant(t, 5_000)
	for _, f := range []investigation.Filter{{}, {Limit: 10}, {Since: time.Now().Add(-24 * time.Hour)}, {State: "failed"}, {Machine: "host.contoso.com"}} {
		f.TenantID = tenant
		for _, step := range ledger.Plan(t, f) {
			if strings.Contains(step, "actions") && !strings.Contains(step, "(tenant_id=?") && !strings.Contains(step, "(rowid=?)") {
				t.Errorf("%+v: %s", f, step)
			}
		}
	}
	got, visited, err := ledger.Visited(t, investigation.Filter{TenantID: tenant})
	if err != nil || got != ofTenant || visited != ofTenant {
		t.Errorf("listed %d by visiting %d rows, %v", got, visited, err)
	}
}

// BenchmarkListOfTenant lists a tenant with 100 actions, alone in the ledger and beside another tenant's million.
// PACKHORSE_RECORDS is another number for the latter.
func BenchmarkListOfTenant(b *testing.B) {
	most := 1_000_000
	if text := os.Getenv("PACKHORSE_RECORDS"); text != "" {
		var err error
		most, err = strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
	}
	for _, others := range []int{0, most} {
		b.Run(fmt.Sprint(others), func(b *testing.B) {
			ledger := smallTenant(b, others)
			for b.Loop() {
				records, err := ledger.Find(b.Context(), investigation.Filter{TenantID: tenant})
				if err != nil || len(records) != ofTenant {
					b.Fatalf("%d records, %v", len(records), err)
				}
			}
		})
	}
}
