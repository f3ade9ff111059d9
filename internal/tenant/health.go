// Package tenant describes a tenant: its entry in the registry, how its app proves who it is, and how well its
// sweeps work.
package tenant

import "time"

// Health is how well the sweeps of a tenant work. The zero Health is a tenant that was never swept. Its times
// are UTC and cut to milliseconds, the precision that every store keeps.
type Health struct {
	SweptAt      time.Time // the last successful sweep; zero if there was none
	TriedAt      time.Time // the last sweep, successful or not
	FailingSince time.Time // the first failed sweep since then; zero if the last one succeeded
	Message      string    // why the last sweep failed; free of links and tokens
}

// Heartbeat returns how often a Health is stored again while nothing changes, so that readers see that sweeps go
// on. For a single tenant it is a little less than a minute, so that a poller that sweeps once a minute stores
// every sweep. It grows with the number of tenants, because each write costs money: all of them together make
// at most one write every two seconds.
func Heartbeat(tenants int) time.Duration {
	return max(55*time.Second, time.Duration(tenants)*2*time.Second)
}

// SweepAge returns how old the last sweep in a stored Health may be before sweeps seem to have stopped: an idle tenant
// is swept once a minute, but its health is stored less often the more tenants there are.
func SweepAge(tenants int) time.Duration {
	return max(5*time.Minute, 2*Heartbeat(tenants))
}

// Succeeded returns the health after a successful sweep.
func (Health) Succeeded(now time.Time) Health {
	now = cut(now)
	return Health{SweptAt: now, TriedAt: now}
}

// Failed returns the health after a failed sweep.
func (h Health) Failed(now time.Time, message string) Health {
	h.TriedAt, h.Message = cut(now), message
	if h.FailingSince.IsZero() {
		h.FailingSince = h.TriedAt
	}
	return h
}

// Worth reports whether h is worth storing over stored: the tenant began or stopped failing, or the heartbeat
// is due. Another message alone is not, because some services put a new number into every answer.
func (h Health) Worth(stored Health, heartbeat time.Duration) bool {
	return h.FailingSince != stored.FailingSince || h.TriedAt.Sub(stored.TriedAt) >= heartbeat
}

func cut(t time.Time) time.Time { return t.Round(0).UTC().Truncate(time.Millisecond) }
