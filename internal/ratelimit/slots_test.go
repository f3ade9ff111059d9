package ratelimit_test

import (
	"slices"
	"testing"
	"time"

	"packhorse/internal/mde/mdesim"
	"packhorse/internal/ratelimit"
)

var (
	packageURI = ratelimit.Budget{Name: "t#c#getPackageUri", PerMinute: 2, PerHour: 120}
	start      = time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
)

func TestBudgetSlots(t *testing.T) {
	tests := []struct {
		perMinute, perHour, slots int
		window                    time.Duration
	}{
		{2, 120, 2, time.Minute},
		{1, 120, 1, time.Minute},
		{2, 60, 1, time.Minute},
		{2, 119, 1, time.Minute},
		{100, 1500, 25, time.Minute},
		{2, 30, 1, 2 * time.Minute},
		{2, 1, 1, time.Hour},
	}
	for _, tt := range tests {
		b := ratelimit.Budget{Name: "x", PerMinute: tt.perMinute, PerHour: tt.perHour}
		if b.Slots() != tt.slots || b.Window() != tt.window {
			t.Errorf("%d a minute, %d an hour: got %d slots of %v, want %d of %v",
				tt.perMinute, tt.perHour, b.Slots(), b.Window(), tt.slots, tt.window)
		}
	}
}

// A day in the life of two slots, step by step.
func TestSlots(t *testing.T) {
	at := func(seconds float64) time.Time {
		return start.Add(time.Duration(seconds * float64(time.Second)))
	}
	steps := []struct {
		do      string // lease, settle, cooldown
		owner   string
		at      float64 // seconds
		slot    int
		allowed bool
		retryAt float64
	}{
		{do: "lease", owner: "a", at: 0, slot: 0, allowed: true},
		{do: "lease", owner: "b", at: 1, slot: 1, allowed: true},
		{do: "lease", owner: "c", at: 2, retryAt: 90.25},
		{do: "settle", owner: "a", at: 2.5, slot: 0},
		{do: "lease", owner: "c", at: 3, retryAt: 62.75},
		{do: "settle", owner: "b", at: 4, slot: 1},
		{do: "lease", owner: "c", at: 62.749, retryAt: 62.75},
		{do: "lease", owner: "c", at: 62.75, slot: 0, allowed: true},
		{do: "lease", owner: "d", at: 63, retryAt: 64.25},
		{do: "lease", owner: "d", at: 64.25, slot: 1, allowed: true},
		{do: "settle", owner: "a", at: 65, slot: 0}, // too late: the slot belongs to c by now
		{do: "lease", owner: "e", at: 66, retryAt: 153},
		{do: "settle", owner: "c", at: 66, slot: 0},
		{do: "cooldown", at: 200},
		{do: "cooldown", at: 150}, // does not shorten the cooldown
		{do: "lease", owner: "e", at: 199.9, retryAt: 200},
		{do: "lease", owner: "e", at: 200, slot: 0, allowed: true},
	}
	var s ratelimit.State
	for i, step := range steps {
		before := slices.Clone(s.Slots)
		old := s
		switch step.do {
		case "settle":
			s = s.Settle(packageURI, step.owner, step.slot, at(step.at))
		case "cooldown":
			s = s.CoolDown(at(step.at))
		default:
			var d ratelimit.Decision
			s, d = s.Lease(packageURI, step.owner, at(step.at))
			if d.Allowed != step.allowed || (d.Allowed && d.Slot != step.slot) ||
				(!d.Allowed && !d.RetryAt.Equal(at(step.retryAt))) {
				t.Fatalf("step %d (%+v): got %+v", i, step, d)
			}
		}
		if !slices.Equal(old.Slots, before) {
			t.Fatalf("step %d changed the state it was given", i)
		}
	}
}

func TestInstantsAreRoundedUp(t *testing.T) {
	s, d := ratelimit.State{}.Lease(packageURI, "a", start.Add(time.Nanosecond))
	s = s.Settle(packageURI, "a", d.Slot, start.Add(time.Second+time.Nanosecond))
	want := start.Add(time.Second + time.Millisecond + time.Minute + ratelimit.Guard)
	if got := s.FreeAt(packageURI)[1]; !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLeaseWithoutOwnerPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	ratelimit.State{}.Lease(packageURI, "", start)
}

// No sequence of operations leases more than the number of slots within any minute.
func FuzzSlots(f *testing.F) {
	f.Add([]byte{0, 10, 1, 3, 0, 60, 2, 9, 0, 1, 0, 200})
	f.Add([]byte{0, 0, 0, 0, 1, 0, 1, 0, 0, 61, 0, 61})
	f.Fuzz(func(t *testing.T, operations []byte) {
		type owned struct {
			owner string
			slot  int
		}
		var s ratelimit.State
		var leases []time.Time
		var open []owned
		now := start
		for i := 0; i+1 < len(operations); i += 2 {
			now = now.Add(time.Duration(operations[i+1]) * 250 * time.Millisecond)
			switch operations[i] % 3 {
			case 0:
				owner := string(rune('a'+i)) + "!"
				var d ratelimit.Decision
				s, d = s.Lease(packageURI, owner, now)
				if d.Allowed {
					leases = append(leases, now)
					open = append(open, owned{owner, d.Slot})
				} else if !d.RetryAt.After(now) {
					t.Fatalf("denied at %v until %v", now, d.RetryAt)
				}
			case 1:
				if len(open) > 0 {
					s = s.Settle(packageURI, open[0].owner, open[0].slot, now)
					open = open[1:]
				}
			case 2:
				s = s.CoolDown(now.Add(time.Duration(operations[i+1]) * time.Second))
			}
		}
		if most := mdesim.MostIn(leases, time.Minute); most > packageURI.Slots() {
			t.Fatalf("%d leases within a minute: %v", most, leases)
		}
	})
}
