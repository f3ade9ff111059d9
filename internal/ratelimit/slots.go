package ratelimit

import (
	"slices"
	"time"
)

// Slot is one call's worth of a budget.
type Slot struct {
	FreeAt time.Time // the slot can be leased from here on
	Owner  string    // who leased it last
}

// State is all that is known of a budget. The zero State is a budget of which nothing is spent.
// Its methods are pure: they change nothing and return the State to be kept.
//
// # Why it holds
//
// The server counts call k at some instant S between its sending and its answer. The next call on
// the same slot is leased no earlier than answer + window + Guard, so the server counts it more
// than a window after S, even if the two clocks differ by half a Guard either way. Of any N+1 calls
// two share a slot; so no window holds more than N. A call without an answer counts as answered at
// its deadline, which the [Transport] enforces.
type State struct {
	Slots         []Slot
	CooldownUntil time.Time
}

// Decision is the answer to a wish to make a call.
type Decision struct {
	Allowed bool
	Slot    int       // which slot was leased; meaningful if Allowed
	SendBy  time.Time // the request MUST have left and be answered by then; meaningful if Allowed
	RetryAt time.Time // the first instant a lease may succeed; meaningful if not Allowed
}

// Lease takes a slot for owner, which MUST be a name no other call ever has. Asking again with the
// same owner (the earlier answer was lost) gives the same decision and takes nothing more.
//
// If the budget was made smaller since, all slots of the larger one are waited for.
func (s State) Lease(b Budget, owner string, now time.Time) (State, Decision) {
	if owner == "" {
		panic("ratelimit: a lease without an owner")
	}
	for i, slot := range s.Slots {
		if slot.Owner == owner {
			return s, Decision{Allowed: true, Slot: i, SendBy: slot.FreeAt.Add(-b.hold())}
		}
	}
	if first := s.FreeAt(b)[0]; first.After(now) {
		return s, Decision{RetryAt: first}
	}
	next := s.grown(b.Slots())
	i := slices.IndexFunc(next.Slots, func(slot Slot) bool { return !slot.FreeAt.After(now) })
	sendBy := roundUp(now).Add(MaxCall)
	next.Slots[i] = Slot{FreeAt: sendBy.Add(b.hold()), Owner: owner}
	return next, Decision{Allowed: true, Slot: i, SendBy: sendBy}
}

// Settle notes that owner's call on the slot was answered at answeredAt, which frees the slot
// sooner than its deadline would. It changes nothing if the slot is no longer owner's.
//
// An answeredAt before the lease (the clock was set back) counts as the lease.
func (s State) Settle(b Budget, owner string, slot int, answeredAt time.Time) State {
	if slot < 0 || slot >= len(s.Slots) || s.Slots[slot].Owner != owner {
		return s
	}
	leasedAt := s.Slots[slot].FreeAt.Add(-b.hold() - MaxCall)
	if answeredAt.Before(leasedAt) {
		answeredAt = leasedAt
	}
	next := s.grown(len(s.Slots))
	next.Slots[slot].FreeAt = roundUp(answeredAt).Add(b.hold())
	return next
}

// CoolDown stops all leases until the given instant. It only ever lengthens a cooldown.
func (s State) CoolDown(until time.Time) State {
	if until = roundUp(until); until.After(s.CooldownUntil) {
		s.CooldownUntil = until
	}
	return s
}

// FreeAt returns for each slot of the budget the instant it can be leased, in ascending order. The
// zero time is a slot never used. A cooldown shows in every slot.
func (s State) FreeAt(b Budget) []time.Time {
	free := make([]time.Time, 0, max(len(s.Slots), b.Slots()))
	for _, slot := range s.grown(b.Slots()).Slots {
		if slot.FreeAt.Before(s.CooldownUntil) {
			slot.FreeAt = s.CooldownUntil
		}
		free = append(free, slot.FreeAt)
	}
	slices.SortFunc(free, time.Time.Compare)
	// Of more slots than the budget now has, the first to free are waited for in vain.
	return free[len(free)-b.Slots():]
}

// hold is how long a slot stays spent after its answer.
func (b Budget) hold() time.Duration { return b.Window() + Guard }

// grown returns a copy of s with at least n slots.
func (s State) grown(n int) State {
	s.Slots = append(slices.Clone(s.Slots), make([]Slot, max(0, n-len(s.Slots)))...)
	return s
}

// roundUp rounds up to the millisecond, the precision every store keeps: a slot must not become
// free earlier by being written down.
func roundUp(t time.Time) time.Time {
	down := t.Truncate(time.Millisecond)
	if down.Before(t) {
		return down.Add(time.Millisecond)
	}
	return down
}
