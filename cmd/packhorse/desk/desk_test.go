package desk_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/desk"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/embedded/ledgertest"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/internal/defender"
	"packhorse/internal/tenant"
)

const (
	one = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"
	two = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c12"
)

var limits = defender.Limits{PerMinute: 2, PerHour: 120}

// TestFolder: every tenant that has actions or was swept, with its own budget.
func TestFolder(t *testing.T) {
	t.Parallel()
	data, now := t.TempDir(), time.Now()
	ledgertest.Fill(t, filepath.Join(data, datafolder.Database), one, 50, now)
	db, err := embedded.OpenDB(t.Context(), filepath.Join(data, datafolder.Database))
	if err != nil {
		t.Fatal(err)
	}
	if err := embedded.NewLedger(db).SetHealth(t.Context(), two, tenant.Health{}.Succeeded(now)); err != nil {
		t.Fatal(err)
	}
	counter := embedded.NewCounter(db)
	for client, at := range map[string]time.Time{"old": now.Add(-time.Hour), "new": now, "": now.Add(-2 * time.Hour)} {
		if _, err := counter.Lease(t.Context(), defender.LinkBudget(one, client, limits), "o", at); err != nil {
			t.Fatal(err)
		}
	}
	lists := defender.LinkBudget(one, "new", limits)
	lists.Name = strings.Replace(lists.Name, defender.LinkAPI, "machineactions", 1)
	for _, owner := range []string{"a", "b"} {
		if _, err := counter.Lease(t.Context(), lists, owner, now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for only, want := range map[string]int{"": 2, two: 1} {
		d, err := desk.Open(t.Context(), desk.Options{Data: data, TenantID: only, Limits: limits})
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(t, d, now)
		if err != nil || len(got) != want {
			t.Errorf("%q: got %d tenants, %v", only, len(got), err)
		}
		for _, each := range got {
			queue, free, problems := ledgertest.Ready, 1, 1 // nobody sweeps it
			if each.TenantID == two {
				queue, free, problems = 0, 2, 0
			}
			if len(each.Queue) != queue || each.Budget.Free(now) != free || len(each.Budget.FreeAt) != 2 ||
				len(each.Problems) != problems {
				t.Errorf("%s: %d queued, budget %+v, problems %+v", each.TenantID, len(each.Queue), each.Budget, each.Problems)
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestNoFolder: nothing is created.
func TestNoFolder(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	_, err := desk.Open(t.Context(), desk.Options{Data: data, Limits: limits})
	if _, ok := errors.AsType[*evidence.NoLedgerError](err); !ok {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder exists: %v", err)
	}
}
