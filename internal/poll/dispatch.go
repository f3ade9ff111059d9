package poll

import (
	"context"
	"fmt"
	"slices"
	"time"

	"packhorse/internal/investigation"
)

const (
	// lead is how long before a slot frees an action is handed over: about as long as it takes from an
	// event to a fetcher that is ready to call. The fetcher waits for the rest.
	lead = 1500 * time.Millisecond

	// remembered is how long a handover counts as under way. A lost event delays its action by this
	// much.
	remembered = time.Minute

	// slotHeld is the least time that a leased slot stays taken: a slot that frees at least this long
	// after a handover may have been leased for it.
	slotHeld = time.Minute
)

// dispatch hands over as many ready actions, in order, as will get a slot. It returns when to look
// again, or the zero time if there is nothing to hand over within the horizon.
func (p *Poller) dispatch(ctx context.Context, due []investigation.Record, did *Answer) (time.Time, error) {
	now := p.now()
	ready, next := p.dispatchable(due, now)
	if len(ready) == 0 {
		return next, nil
	}
	freeAt, err := p.budget.FreeAt(ctx)
	if err != nil {
		return next, fmt.Errorf("read the budget: %w", err)
	}
	allowed, nextSlot := room(freeAt, p.handed.readyAt(), now)
	if len(ready) > allowed {
		next = soonest(next, nextSlot)
		ready = ready[:allowed]
	}
	if len(ready) == 0 {
		return next, nil
	}
	ids := idsOf(ready)
	taken, err := p.bus.Ready(ctx, ids)
	did.HandedOver += len(taken)
	p.handed.remember(taken, ready, now)
	if err != nil {
		return next, fmt.Errorf("hand over %d of %d ready actions: %w", len(ids)-len(taken), len(ids), err)
	}
	return next, nil
}

// dispatchable returns the records that can be handed over now, and when the next of the others
// can. While a fetcher works on a record, the record is due at the end of the lease.
func (p *Poller) dispatchable(due []investigation.Record, now time.Time) (
	ready []investigation.Record, next time.Time,
) {
	for _, rec := range due {
		at, underWay := p.handed.at(rec)
		switch {
		case rec.State.Decided():
		case !rec.Claimable(now):
			next = soonest(next, rec.DueAt)
		case underWay:
			next = soonest(next, at.Add(remembered))
		default:
			ready = append(ready, rec)
		}
	}
	return ready, next
}

// room is the pacing rule, as a pure function. Given when each slot frees (ascending) and when the
// handovers of the last minute were made, it returns how many actions can be handed over now, and when to
// ask again if more are ready than that (the zero time if no slot is known).
//
// A handover whose lease does not show in a slot yet will still take one. room cannot know which slot was
// leased for which handover, so it matches them wherever the times allow it. That errs toward handing
// over too much, which costs a denied fetcher, but never a call.
func room(freeAt, handedAt []time.Time, now time.Time) (allowed int, next time.Time) {
	waiting := slices.SortedFunc(slices.Values(handedAt), time.Time.Compare)
	for _, free := range freeAt {
		if len(waiting) > 0 && !free.Before(waiting[0].Add(slotHeld)) {
			waiting = waiting[1:]
		}
		if free.After(now.Add(lead)) {
			next = soonest(next, free.Add(-lead))
		} else {
			allowed++
		}
	}
	if allowed <= len(waiting) {
		if allowed > 0 { // the free slots are taken: look again when the oldest handover is forgotten
			next = soonest(next, waiting[0].Add(remembered))
		}
		return 0, next
	}
	return allowed - len(waiting), next
}

// soonest returns the earlier of two instants. The zero time means "never".
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
