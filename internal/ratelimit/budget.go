// Package ratelimit keeps the calls of many workers within a remote API's budget, exactly: never a
// call above the limit in any window, and nearly all that the limit allows.
//
// A budget of N calls a minute is N slots. A call leases a slot before it is sent and settles it
// when the answer came; a slot is free again one window after that. docs/rate-budget.md explains
// why nothing simpler is right when N is 2.
//
// Use a [Transport]: every request through it is counted, whoever makes it and why. The arithmetic
// is in [State], which knows no clock and no store; a [Counter] keeps a State where all workers
// can reach it.
//
// The package does not wait, and does not give back what was spent: an outcome nobody knows counts
// as a call.
package ratelimit

import (
	"errors"
	"fmt"
	"time"
)

const (
	// MaxCall is the hard deadline of one call, counted from its lease. A worker that dies between
	// lease and settle costs its slot this much longer than a call does. Defender answers within
	// seconds; the margin is for a slow proxy.
	MaxCall = 30 * time.Second

	// Guard is added to every window. It covers twice the clock skew between workers (±100 ms was
	// simulated) and the drift within a window.
	Guard = 250 * time.Millisecond

	// CooldownMin is how long nothing is sent after a 429: the whole window the server counts in.
	// Somebody else spends the same budget, and how much of it is not known.
	CooldownMin = time.Minute

	// CooldownMax bounds what a Retry-After can ask for: no documented limit counts longer than an
	// hour, and a misread date must not stop the work for good.
	CooldownMax = 2 * time.Hour
)

// Budget is what one API allows one application in one tenant.
type Budget struct {
	Name      string // "<tenantId>#<clientId>#<api>": those who share it share the calls
	PerMinute int
	PerHour   int
}

// ErrBadBudget is wrapped by the errors of [Budget.Validate].
var ErrBadBudget = errors.New("the budget makes no sense")

// Validate reports whether the budget has a name and allows at least one call an hour.
func (b Budget) Validate() error {
	if b.Name == "" || b.PerMinute < 1 || b.PerHour < 1 {
		return fmt.Errorf("%w: %q allows %d calls a minute, %d an hour",
			ErrBadBudget, b.Name, b.PerMinute, b.PerHour)
	}
	return nil
}

// Slots is how many calls may be made in one [Budget.Window]: the smaller of the limit a minute and
// a sixtieth of the limit an hour, because N calls in any minute are at most 60 N in any hour.
func (b Budget) Slots() int { return max(1, min(b.PerMinute, b.PerHour/60)) }

// Window is the time a spent slot stays spent: a minute, unless the hour allows less than one call
// a minute.
func (b Budget) Window() time.Duration {
	if b.PerHour < 60 {
		return time.Hour / time.Duration(b.PerHour)
	}
	return time.Minute
}
