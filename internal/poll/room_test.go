package poll_test

import (
	"testing"
	"time"

	"packhorse/internal/poll"
)

// TestRoom checks the pacing rule for two slots and the handovers of the last minute.
func TestRoom(t *testing.T) {
	now := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	in := func(s float64) time.Time { return now.Add(time.Duration(s * float64(time.Second))) }
	never := time.Time{}
	tests := []struct {
		name    string
		freeAt  []time.Time
		handed  []time.Time
		allowed int
		next    time.Time
	}{
		{"nothing known", nil, nil, 0, never},
		{"both free", []time.Time{in(-9), in(-1)}, nil, 2, never},
		{"one frees within the lead", []time.Time{in(1.5), in(40)}, nil, 1, in(38.5)},
		{"one frees just after it", []time.Time{in(1.6), in(40)}, nil, 0, in(0.1)},
		{"both handed over, neither leased yet", []time.Time{in(-1), in(-1)},
			[]time.Time{in(-1), in(-1)}, 0, in(59)},
		{"both handed over, one leased", []time.Time{in(-1), in(88)},
			[]time.Time{in(-2), in(-2)}, 0, in(58)},
		{"both handed over, both leased", []time.Time{in(88), in(89)},
			[]time.Time{in(-2), in(-2)}, 0, in(86.5)},
		{"both handed over and answered long ago", []time.Time{in(1), in(1)},
			[]time.Time{in(-59.3), in(-59.3)}, 2, never},
		{"a slot leased before the handover does not belong to it", []time.Time{in(-1), in(30)},
			[]time.Time{in(-1)}, 0, in(28.5)},
		{"one handed over, the other slot is free", []time.Time{in(-1), in(-1)},
			[]time.Time{in(-1)}, 1, never},
		{"more handed over than slots", []time.Time{in(-1), in(-1)},
			[]time.Time{in(-1), in(-2), in(-3)}, 0, in(57)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			allowed, next := poll.Room(tt.freeAt, tt.handed, now)
			if allowed != tt.allowed || !next.Equal(tt.next) {
				t.Errorf("got %d, next %v; want %d, next %v",
					allowed, next.Sub(now), tt.allowed, tt.next.Sub(now))
			}
		})
	}
}
