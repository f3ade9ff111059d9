package roster_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	conformance "packhorse/internal/conformance/registry"
	"packhorse/internal/memory"
	"packhorse/internal/roster"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

var now = time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)

// counted counts the reads of a registry, and fails them if it is down.
type counted struct {
	*memory.Registry
	gets, lists int
	down        error
}

func (c *counted) Get(ctx context.Context, id string) (tenant.Tenant, error) {
	c.gets++
	if c.down != nil {
		return tenant.Tenant{}, c.down
	}
	return c.Registry.Get(ctx, id)
}

func (c *counted) List(ctx context.Context) ([]tenant.Tenant, error) {
	c.lists++
	if c.down != nil {
		return nil, c.down
	}
	return c.Registry.List(ctx)
}

// world is a roster with a clock.
type world struct {
	registry *counted
	roster   *roster.Roster
	now      time.Time
}

func variables(pairs ...string) map[string]string {
	environ := map[string]string{
		"DEFENDER_CLIENT_ID": conformance.ID(0xc), "DEFENDER_SECRET_ID": "shared", "LEDGER_TABLE": "ledger",
		"BUDGET_TABLE": "budget", "EVENT_BUS": "bus", "TENANTS_TABLE": "tenants", "PACKAGE_URI_PER_HOUR": "100",
	}
	for i := 0; i < len(pairs); i += 2 {
		environ[pairs[i]] = pairs[i+1]
	}
	return environ
}

func newWorld(t *testing.T, environ map[string]string) *world {
	t.Helper()
	w := &world{registry: &counted{Registry: memory.NewRegistry()}, now: now}
	var err error
	w.roster, err = roster.New(settings.PollBase(environ), w.registry)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) add(t *testing.T, e tenant.Tenant) tenant.Tenant {
	t.Helper()
	if e.Name == "" {
		e.Name = "customer"
	}
	stored, err := w.registry.Put(t.Context(), tenant.New(e, w.now))
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func (w *world) suspend(t *testing.T, e tenant.Tenant) tenant.Tenant {
	t.Helper()
	stored, err := w.registry.Put(t.Context(), e.Suspended(w.now))
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func ids(members []roster.Member) (all []string) {
	for _, m := range members {
		all = append(all, m.Settings.TenantID)
	}
	return all
}

// TestAll: the own tenant and every active one of the registry, each with its settings. What cannot be used is named,
// and hides no other.
func TestAll(t *testing.T) {
	w := newWorld(t, variables("DEFENDER_TENANT_ID", strings.ToUpper(conformance.ID(0xf))))
	w.add(t, tenant.Tenant{ID: conformance.ID(1), PerHour: 50, Name: "one"})
	w.suspend(t, w.add(t, tenant.Tenant{ID: conformance.ID(2)}))
	w.add(t, tenant.Tenant{ID: conformance.ID(3), PerHour: 121})
	w.add(t, tenant.Tenant{ID: conformance.ID(4)})
	w.add(t, tenant.Tenant{ID: conformance.ID(0xf), PerHour: 7, Name: "the own one, again"})
	w.add(t, tenant.Tenant{ID: conformance.ID(5)})
	w.registry.Spoil(conformance.ID(5), tenant.FieldState, "asleep")

	all, err := w.roster.All(t.Context())
	want := []string{conformance.ID(0xf), conformance.ID(1), conformance.ID(4)}
	if !slices.Equal(ids(all), want) {
		t.Fatalf("got %q, want %q", ids(all), want)
	}
	if !errors.Is(err, tenant.ErrInvalid) || !strings.Contains(err.Error(), conformance.ID(3)) ||
		!strings.Contains(err.Error(), "per-hour: is \"121\": want a whole number from 1 to 120") ||
		!strings.Contains(err.Error(), conformance.ID(5)) || strings.Contains(err.Error(), conformance.ID(4)) {
		t.Errorf("got %v", err)
	}
	for i, want := range []struct {
		name string
		hour int
	}{{"", 100}, {"one", 50}, {"customer", 100}} {
		if all[i].Name != want.name || all[i].Settings.PackageURIPerHour != want.hour ||
			all[i].Settings.ClientID != conformance.ID(0xc) || all[i].Settings.SecretID != "shared" {
			t.Errorf("member %d: %+v", i, all[i])
		}
	}
	if w.registry.lists != 1 || w.registry.gets != 0 {
		t.Errorf("%d lists, %d gets", w.registry.lists, w.registry.gets)
	}
}

// TestAllFollowsChanges: each call reads the registry anew.
func TestAllFollowsChanges(t *testing.T) {
	w := newWorld(t, variables())
	if all, err := w.roster.All(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("got %v, %v", ids(all), err)
	}
	entry := w.add(t, tenant.Tenant{ID: conformance.ID(1)})
	first, _ := w.roster.All(t.Context())
	entry.PerHour = 60
	entry, err := w.registry.Put(t.Context(), entry)
	if err != nil {
		t.Fatal(err)
	}
	second, _ := w.roster.All(t.Context())
	w.suspend(t, entry)
	third, _ := w.roster.All(t.Context())
	if len(first) != 1 || len(second) != 1 || len(third) != 0 || first[0].Version == second[0].Version ||
		first[0].Settings.PackageURIPerHour != 100 || second[0].Settings.PackageURIPerHour != 60 {
		t.Errorf("got %+v\n%+v\n%+v", first, second, third)
	}
}

// TestRegistryDown: the own tenant does not depend on the registry.
func TestRegistryDown(t *testing.T) {
	w := newWorld(t, variables("DEFENDER_TENANT_ID", conformance.ID(0xf)))
	w.registry.down = errors.New("the cable is out")
	all, err := w.roster.All(t.Context())
	if !errors.Is(err, w.registry.down) || !slices.Equal(ids(all), []string{conformance.ID(0xf)}) {
		t.Errorf("got %v, %v", ids(all), err)
	}
	if _, err := w.roster.Get(t.Context(), conformance.ID(0xf)); err != nil {
		t.Error(err)
	}
	if _, err := w.roster.Get(t.Context(), conformance.ID(1)); !errors.Is(err, w.registry.down) {
		t.Errorf("got %v", err)
	}
	w.registry.down = nil // a failure is not kept
	w.add(t, tenant.Tenant{ID: conformance.ID(1)})
	if _, err := w.roster.Get(t.Context(), conformance.ID(1)); err != nil {
		t.Error(err)
	}
}

// TestOwnAlone: a stack of today has no registry, and needs its variables.
func TestOwnAlone(t *testing.T) {
	environ := variables("DEFENDER_TENANT_ID", conformance.ID(0xf), "TENANTS_TABLE", "")
	r, err := roster.New(settings.PollBase(environ), nil)
	if err != nil {
		t.Fatal(err)
	}
	all, err := r.All(t.Context())
	if err != nil || !slices.Equal(ids(all), []string{conformance.ID(0xf)}) {
		t.Errorf("got %v, %v", ids(all), err)
	}
	var unknown *roster.UnknownError
	if _, err := r.Get(t.Context(), conformance.ID(1)); !errors.As(err, &unknown) {
		t.Errorf("got %v", err)
	}
	delete(environ, "DEFENDER_TENANT_ID")
	var wrong *settings.Error
	if _, err := roster.New(settings.PollBase(environ), nil); !errors.As(err, &wrong) {
		t.Errorf("got %v", err)
	}
}

// TestGet: each call reads one entry, and its error says why a tenant is not served.
func TestGet(t *testing.T) {
	w := newWorld(t, variables())
	entry := w.add(t, tenant.Tenant{ID: conformance.ID(1)})
	w.suspend(t, w.add(t, tenant.Tenant{ID: conformance.ID(2), Name: "resting"}))
	w.add(t, tenant.Tenant{ID: conformance.ID(3), Lookback: time.Hour})
	if m, err := w.roster.Get(t.Context(), entry.ID); err != nil || m.Version != entry.Version || m.Settings.TenantID != entry.ID {
		t.Errorf("got %+v, %v", m, err)
	}
	w.suspend(t, entry)
	var suspended *roster.SuspendedError
	if _, err := w.roster.Get(t.Context(), entry.ID); !errors.As(err, &suspended) || suspended.ID != entry.ID {
		t.Errorf("got %v", err)
	}
	for id, words := range map[string]string{
		conformance.ID(2): "(resting) is suspended", conformance.ID(3): "lookback: is \"1h0m0s\"",
		conformance.ID(4): "is not registered",
	} {
		if _, err := w.roster.Get(t.Context(), id); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v, want %q", id, err, words)
		}
	}
	if w.registry.gets != 5 || w.registry.lists != 0 {
		t.Errorf("%d reads, %d lists", w.registry.gets, w.registry.lists)
	}
}
