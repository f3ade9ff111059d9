package tenant_test

import (
	"testing"
	"time"

	"packhorse/internal/tenant"
)

// TestHealth: the first failure and the first success are stored at once, everything else once a heartbeat.
func TestHealth(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	well := tenant.Health{}.Succeeded(now)
	ill := well.Failed(now.Add(time.Second), "refused")
	for name, c := range map[string]struct {
		next, stored tenant.Health
		want         bool
	}{
		"first sweep":           {well, tenant.Health{}, true},
		"next sweep":            {well.Succeeded(now.Add(tenant.Heartbeat - 1)), well, false},
		"heartbeat":             {well.Succeeded(now.Add(tenant.Heartbeat)), well, true},
		"first failure":         {ill, well, true},
		"next failure":          {ill.Failed(now.Add(10*time.Second), "refused"), ill, false},
		"another failure":       {ill.Failed(now.Add(10*time.Second), "refused, number 7"), ill, false},
		"failing on":            {ill.Failed(now.Add(tenant.Heartbeat+time.Second), "down"), ill, true},
		"recovery":              {ill.Succeeded(now.Add(2 * time.Second)), ill, true},
		"failed from the start": {tenant.Health{}.Failed(now, "refused"), tenant.Health{}, true},
	} {
		if got := c.next.Worth(c.stored); got != c.want {
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
