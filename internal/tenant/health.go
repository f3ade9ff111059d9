// Package tenant describes a tenant: whose actions are listed, and how well that works.
package tenant

import "time"

// Health is how well the sweeps of a tenant work. The zero Health is a tenant that was never swept.
type Health struct {
	SweptAt      time.Time // the last successful sweep; zero if there was none
	FailingSince time.Time // the first failed sweep since then; zero if the last one succeeded
	Message      string    // why the last sweep failed; free of links and tokens
}

// Heartbeat is how often an unchanged Health is stored again, so that readers see that sweeps go on.
const Heartbeat = time.Minute

// Succeeded returns the health after a successful sweep.
func (Health) Succeeded(now time.Time) Health { return Health{SweptAt: now} }

// Failed returns the health after a failed sweep.
func (h Health) Failed(now time.Time, message string) Health {
	h.Message = message
	if h.FailingSince.IsZero() {
		h.FailingSince = now
	}
	return h
}

// Worth reports whether h is worth storing over stored: the tenant began or stopped failing, fails for
// another reason, or the heartbeat is due.
func (h Health) Worth(stored Health) bool {
	return h.FailingSince != stored.FailingSince || h.Message != stored.Message ||
		h.SweptAt.Sub(stored.SweptAt) >= Heartbeat
}
