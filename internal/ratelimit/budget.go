// Package ratelimit keeps the calls of many workers within a remote API's budget, exactly: it never
// exceeds the limit in any window, and uses nearly all of it.
//
// A budget of N calls a minute is N slots. A call leases a slot before it is sent and settles it when
// the answer arrives; one window later the slot is free again. docs/rate-budget.md explains why nothing
// simpler is correct when N is 2.
//
// Use a [Transport]: it counts every request that goes through it. The arithmetic is in [State], which
// uses neither a clock nor a store; a [Counter] keeps a State where all workers can reach it.
//
// The package never waits, and never refunds a call: if the outcome is unknown, the call counts.
package ratelimit

import (
	"errors"
	"fmt"
	"time"
)

const (
	// MaxCall is the hard deadline of one call, counted from its lease. If a worker dies between lease
	// and settle, its slot stays taken as if the call had lasted this long. Defender answers within
	// seconds; the margin is for a slow proxy.
	MaxCall = 30 * time.Second

	// Guard is added to every window. It covers twice the clock skew between workers (±100 ms was
	// simulated) and the drift within a window.
	Guard = 250 * time.Millisecond

	// CooldownMin is how long nothing is sent after a 429: the server's whole window. A 429 means that
	// somebody else spends the same budget, and we cannot know how much of it.
	CooldownMin = time.Minute

	// CooldownMax bounds the effect of a Retry-After: no documented limit has a window longer than an
	// hour, and a misread date must not stop the work forever.
	CooldownMax = 2 * time.Hour
)

// Budget is the limit of one API for one application in one tenant.
type Budget struct {
	Name      string // "<tenantId>#<clientId>#<api>"; workers with the same name share the calls
	PerMinute int
	PerHour   int
}

// ErrBadBudget is wrapped by the errors of [Budget.Validate].
var ErrBadBudget = errors.New("invalid budget")

// Validate reports whether the budget has a name and allows at least one call an hour.
func (b Budget) Validate() error {
	if b.Name == "" || b.PerMinute < 1 || b.PerHour < 1 {
		return fmt.Errorf("%w: name %q, %d calls a minute, %d an hour; want a name and at least 1 each",
			ErrBadBudget, b.Name, b.PerMinute, b.PerHour)
	}
	return nil
}

// Slots returns how many calls fit into one [Budget.Window]: the limit per minute or, if that is less, a
// sixtieth of the limit per hour, because N calls in any minute are at most 60 N in any hour.
func (b Budget) Slots() int { return max(1, min(b.PerMinute, b.PerHour/60)) }

// Window returns how long a slot stays spent: a minute, or longer if the limit per hour is less than one
// call a minute.
func (b Budget) Window() time.Duration {
	if b.PerHour < 60 {
		return time.Hour / time.Duration(b.PerHour)
	}
	return time.Minute
}
