package ratelimit

import (
	"slices"
	"time"
)

// Slot is room for one call in a budget.
type Slot struct {
	FreeAt time.Time // the slot can be leased from here on
	Owner  string    // who leased it last
}

// State is everything that is kept about a budget. The zero State is an unspent budget. Its methods are
// pure: they do not change the State, but return the new one.
//
// # Why it holds
//
// The server counts a call at some instant S between its sending and its answer. The next call on the
// same slot is leased no earlier than answer + window + Guard, so the server counts it more than a window
// after S, even if both clocks are off by half a Guard in opposite directions. Of any N+1 calls two share
// a slot, so no window holds more than N. A call without an answer counts as answered at its deadline,
// which the [Transport] enforces.
type State struct {
	Slots         []Slot
	CooldownUntil time.Time
}

// Decision is the answer to a request to make a call.
type Decision struct {
	Allowed bool
	Slot    int       // the leased slot; set if Allowed
	SendBy  time.Time // the request MUST be sent and answered by then; set if Allowed
	RetryAt time.Time // the first instant a lease may succeed; set if not Allowed
}

// Lease takes a slot for owner, which MUST be a name that no other call ever uses. Asking again with the
// same owner, because the earlier answer was lost, gives the same decision and takes no other slot.
//
// If the budget has become smaller, Lease first waits for the surplus slots to free.
func (s State) Lease(b Budget, owner string, now time.Time) (State, Decision) {
	if owner == "" {
		panic("ratelimit: lease without an owner")
	}
	for i, slot := range s.Slots {
		if slot.Owner == owner {
			return s, Decision{Allowed: true, Slot: i, SendBy: slot.FreeAt.Add(-b.Hold())}
		}
	}
	if first := s.FreeAt(b)[0]; first.After(now) {
		return s, Decision{RetryAt: first}
	}
	next := s.grown(b.Slots())
	i := slices.IndexFunc(next.Slots, func(slot Slot) bool { return !slot.FreeAt.After(now) })
	sendBy := roundUp(now).Add(MaxCall)
	next.Slots[i] = Slot{FreeAt: sendBy.Add(b.Hold()), Owner: owner}
	return next, Decision{Allowed: true, Slot: i, SendBy: sendBy}
}

// Settle records that owner's call on the slot was answered at answeredAt, which frees the slot sooner
// than its deadline would. It does nothing if owner no longer holds the slot.
//
// If answeredAt is before the lease, because the clock was set back, the time of the lease counts.
func (s State) Settle(b Budget, owner string, slot int, answeredAt time.Time) State {
	if slot < 0 || slot >= len(s.Slots) || s.Slots[slot].Owner != owner {
		return s
	}
	leasedAt := s.Slots[slot].FreeAt.Add(-b.Hold() - MaxCall)
	if answeredAt.Before(leasedAt) {
		answeredAt = leasedAt
	}
	next := s.grown(len(s.Slots))
	next.Slots[slot].FreeAt = roundUp(answeredAt).Add(b.Hold())
	return next
}

// CoolDown stops all leases until the given instant. It only ever lengthens a cooldown.
func (s State) CoolDown(until time.Time) State {
	if until = roundUp(until); until.After(s.CooldownUntil) {
		s.CooldownUntil = until
	}
	return s
}

// FreeAt returns when each slot of the budget can be leased, in ascending order. The zero time is a slot
// that was never used. A cooldown delays every slot.
func (s State) FreeAt(b Budget) []time.Time {
	free := make([]time.Time, 0, max(len(s.Slots), b.Slots()))
	for _, slot := range s.grown(b.Slots()).Slots {
		if slot.FreeAt.Before(s.CooldownUntil) {
			slot.FreeAt = s.CooldownUntil
		}
		free = append(free, slot.FreeAt)
	}
	slices.SortFunc(free, time.Time.Compare)
	// If the budget has become smaller, the slots that free first are surplus: skip them.
	return free[len(free)-b.Slots():]
}

// Hold returns how long a slot stays spent after its answer.
func (b Budget) Hold() time.Duration { return b.Window() + Guard }

// grown returns a copy of s with at least n slots.
func (s State) grown(n int) State {
	s.Slots = append(slices.Clone(s.Slots), make([]Slot, max(0, n-len(s.Slots)))...)
	return s
}

// roundUp rounds up to the millisecond, the precision that every store keeps: storing a slot must not
// free it earlier.
func roundUp(t time.Time) time.Time {
	down := t.Truncate(time.Millisecond)
	if down.Before(t) {
		return down.Add(time.Millisecond)
	}
	return down
}
