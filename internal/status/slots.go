// Package status works out where every package of a tenant stands: what waits, what is queued and when each
// queued package will be stored, what is done, and what a person must mend.
//
// [Read] asks the ledger and the budget, and [Of] draws the conclusions; that part is pure. The package changes
// nothing and sends nothing to Defender.
package status

import (
	"slices"
	"time"
)

// exchange is how long a call for a link is assumed to take. Its slot stays taken that much longer.
const exchange = time.Second

// Slots returns when the n-th call from now on, counting from 1, can be leased, if every slot of the budget
// is used as soon as it frees. freeAt is when each slot frees, and hold is how long a slot stays spent after
// its answer (ratelimit.State.FreeAt, ratelimit.Budget.Hold). Without slots it returns the zero time.
func Slots(hold time.Duration, freeAt []time.Time, now time.Time, n int) time.Time {
	s := slotsOf(Budget{FreeAt: freeAt, Hold: hold}, now)
	if len(s.freeAt) == 0 {
		return time.Time{}
	}
	before := max(n, 1) - 1
	turns := before / len(s.freeAt)
	return s.freeAt[before%len(s.freeAt)].Add(time.Duration(turns) * (hold + exchange))
}

// slots are the slots of a budget, as calls take them one after another.
type slots struct {
	freeAt []time.Time // ascending
	hold   time.Duration
}

func slotsOf(b Budget, now time.Time) slots {
	free := slices.Clone(b.FreeAt)
	for i, at := range free {
		if at.Before(now) {
			free[i] = now
		}
	}
	slices.SortFunc(free, time.Time.Compare)
	return slots{freeAt: free, hold: b.Hold}
}

// next returns when the next call can be leased.
func (s slots) next() time.Time { return s.freeAt[0] }

// take uses the next slot at the given time, which MUST NOT be before next.
func (s slots) take(at time.Time) {
	again := at.Add(s.hold + exchange)
	i, _ := slices.BinarySearchFunc(s.freeAt[1:], again, time.Time.Compare)
	copy(s.freeAt, s.freeAt[1:i+1])
	s.freeAt[i] = again
}
