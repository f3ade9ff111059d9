// Package status works out where every package of a tenant stands: what waits, what is queued, when each
// queued package's link can be requested, what is done, and what a person must mend.
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
	if len(freeAt) == 0 {
		return time.Time{}
	}
	slots := slices.Clone(freeAt)
	for i, at := range slots {
		if at.Before(now) {
			slots[i] = now
		}
	}
	slices.SortFunc(slots, time.Time.Compare)
	before := max(n, 1) - 1
	turns := before / len(slots)
	return slots[before%len(slots)].Add(time.Duration(turns) * (hold + exchange))
}
