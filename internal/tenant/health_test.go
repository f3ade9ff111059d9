package tenant_test

import (
	"testing"
	"time"

	"packhorse/internal/tenant"
)

// TestHealth: a change is stored at once, an unchanged health once a heartbeat.
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
		"same failure":          {ill.Failed(now.Add(time.Hour), "refused"), ill, false},
		"another failure":       {ill.Failed(now.Add(time.Hour), "down"), ill, true},
		"recovery":              {ill.Succeeded(now.Add(2 * time.Second)), ill, true},
		"failed from the start": {tenant.Health{}.Failed(now, "refused"), tenant.Health{}, true},
	} {
		if got := c.next.Worth(c.stored); got != c.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	if again := ill.Failed(now.Add(time.Hour), "down"); again.FailingSince != now.Add(time.Second) || again.SweptAt != now {
		t.Errorf("a second failure: %+v", again)
	}
}
