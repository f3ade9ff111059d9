package tenant_test

import (
	"testing"
	"time"

	"packhorse/internal/tenant"
)

// TestHealth: the first failure and the first success are stored at once, everything else once a heartbeat.
func TestHealth(t *testing.T) {
	t.Parallel()
	heartbeat, now := tenant.Heartbeat(1), time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	well := tenant.Health{}.Succeeded(now)
	ill := well.Failed(now.Add(time.Second), "refused")
	for name, c := range map[string]struct {
		next, stored tenant.Health
		want         bool
	}{
		"first sweep":           {well, tenant.Health{}, true},
		"next sweep":            {well.Succeeded(now.Add(heartbeat - 1)), well, false},
		"heartbeat":             {well.Succeeded(now.Add(heartbeat)), well, true},
		"first failure":         {ill, well, true},
		"next failure":          {ill.Failed(now.Add(10*time.Second), "refused"), ill, false},
		"another failure":       {ill.Failed(now.Add(10*time.Second), "refused, number 7"), ill, false},
		"failing on":            {ill.Failed(now.Add(heartbeat+time.Second), "down"), ill, true},
		"recovery":              {ill.Succeeded(now.Add(2 * time.Second)), ill, true},
		"failed from the start": {tenant.Health{}.Failed(now, "refused"), tenant.Health{}, true},
	} {
		if got := c.next.Worth(c.stored, heartbeat); got != c.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	later := now.Add(time.Hour)
	want := tenant.Health{SweptAt: now, FailingSince: now.Add(time.Second), TriedAt: later, Message: "down"}
	if again := ill.Failed(later.Add(999), "down"); again != want {
		t.Errorf("a second failure: %+v, want %+v", again, want)
	}
	if again := ill.Succeeded(later); again != (tenant.Health{SweptAt: later, TriedAt: later}) {
		t.Errorf("after it: %+v", again)
	}
}

// TestHeartbeat: a thousand tenants write every half hour, a single one with every sweep.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	for tenants, want := range map[int]time.Duration{0: 55 * time.Second, 1: 55 * time.Second, 1000: 2000 * time.Second} {
		if got := tenant.Heartbeat(tenants); got != want {
			t.Errorf("%d tenants: %v", tenants, got)
		}
	}
}

// Sweeps that go on never seem to have stopped, however rarely a health is stored.
func TestSweepAge(t *testing.T) {
	t.Parallel()
	for tenants := range 5000 {
		if age := tenant.SweepAge(tenants); age < 5*time.Minute || age < tenant.Heartbeat(tenants)+2*time.Minute {
			t.Fatalf("%d tenants: %v", tenants, age)
		}
	}
}
