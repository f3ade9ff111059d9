package status

import (
	"cmp"
	"slices"
	"time"

	"packhorse/internal/investigation"
)

// Transfer is how long it is assumed to take from a package's link to the package in the archive. The costs in
// docs/operations.md assume the same.
const Transfer = 5 * time.Second

// Queued is a package that can be fetched, now or at its DueAt.
type Queued struct {
	investigation.Record
	Position int       // from 1, in the order in which links will be requested
	LinkAt   time.Time // when its link will be requested; zero if the budget is not known
	StoredAt time.Time // when it will be stored; likewise
}

// Later reports whether the package was postponed.
func (q Queued) Later(now time.Time) bool { return q.DueAt.After(now) }

// queue returns the packages to be fetched, in the order in which the poller hands them over: whenever a slot
// frees, it takes the package that has been due longest, from the live lane before the backlog. A postponed
// package joins when it is due. Packages that somebody fetches now are not in the queue; they have their link, or
// are about to.
func queue(open []investigation.Record, budget Budget, now time.Time) []Queued {
	var live, backlog []investigation.Record
	for _, rec := range open {
		abandoned := rec.State == investigation.StateFetching && rec.Due(now)
		switch {
		case rec.State != investigation.StateReady && !abandoned:
		case rec.Lane == investigation.LaneBacklog:
			backlog = append(backlog, rec)
		default:
			live = append(live, rec)
		}
	}
	slices.SortFunc(live, byDueTime)
	slices.SortFunc(backlog, byDueTime)
	known := len(budget.FreeAt) > 0
	slots := slotsOf(budget, now)
	queued := make([]Queued, 0, len(live)+len(backlog))
	for len(live)+len(backlog) > 0 {
		at := now
		if known {
			at = slots.next()
		}
		lane := &live
		if backlogFirst(live, backlog, at) {
			lane = &backlog
		}
		q := Queued{Record: (*lane)[0], Position: len(queued) + 1}
		*lane = (*lane)[1:]
		if known {
			if q.DueAt.After(at) { // the slot stays free until then
				at = q.DueAt
			}
			slots.take(at)
			q.LinkAt, q.StoredAt = at, at.Add(Transfer)
		}
		queued = append(queued, q)
	}
	return queued
}

func byDueTime(a, b investigation.Record) int {
	return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.ActionID, b.ActionID))
}

// backlogFirst reports whether the next package of the backlog gets the slot that frees at that time: nothing in the
// live lane is due by then, or is due earlier than it.
func backlogFirst(live, backlog []investigation.Record, at time.Time) bool {
	switch {
	case len(backlog) == 0:
		return false
	case len(live) == 0:
		return true
	default:
		return live[0].DueAt.After(at) && backlog[0].DueAt.Before(live[0].DueAt)
	}
}
