package embedded_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/investigation"
	health "packhorse/internal/tenant"
)

// TestManyTenants: the healths that are stored, and the tenants that have something to fetch or to record.
func TestManyTenants(t *testing.T) {
	t.Parallel()
	db, err := embedded.OpenDB(t.Context(), filepath.Join(t.TempDir(), "packhorse.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	l := embedded.NewLedger(db)
	id := func(n int) string { return fmt.Sprintf("%040x", n) }
	for n, status := range []investigation.Status{"Succeeded", "Pending", "Failed"} {
		a := investigation.Action{
			ID: investigation.ID{TenantID: id(n), ActionID: id(9)}, MachineID: id(8), Status: status, CreatedAt: now, LastUpdatedAt: now,
		}
		if _, err := l.Change(t.Context(), a.ID, investigation.Observe(a, now)); err != nil {
			t.Fatal(err)
		}
	}
	want := health.Health{}.Succeeded(now)
	if err := l.SetHealth(t.Context(), id(1), want); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Healths(t.Context(), []string{id(0), id(1)}); err != nil || len(got) != 1 || got[id(1)] != want {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := l.Busy(t.Context()); err != nil || len(got) != 2 || !got[id(0)] || !got[id(2)] {
		t.Errorf("got %v, %v", got, err)
	}
}
