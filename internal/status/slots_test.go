package status_test

import (
	"testing"
	"time"

	"packhorse/internal/ratelimit"
	"packhorse/internal/status"
)

// TestSlots: calls take turns on the slots, each turn a window, the guard and an exchange later.
func TestSlots(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	budget := ratelimit.Budget{Name: "links", PerMinute: 2, PerHour: 120}
	freeAt := []time.Time{{}, now.Add(20 * time.Second)}
	const turn = time.Minute + ratelimit.Guard + time.Second
	for n, want := range map[int]time.Duration{
		0: 0, 1: 0, 2: 20 * time.Second, 3: turn, 4: turn + 20*time.Second, 37: 18 * turn,
	} {
		if got := status.Slots(budget.Hold(), freeAt, now, n).Sub(now); got != want {
			t.Errorf("call %d: after %v, want %v", n, got, want)
		}
	}
	if got := status.Slots(budget.Hold(), nil, now, 1); !got.IsZero() {
		t.Errorf("without a budget: %v", got)
	}
}
