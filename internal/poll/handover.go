package poll

import (
	"time"

	"packhorse/internal/investigation"
)

// handovers remembers the events of the last minute. They count as under way, so that no event is sent
// twice; a lost event delays its action by a minute.
type handovers map[event]handover

// event identifies an event on the bus: the action is ready, or it is decided.
type event struct {
	id      investigation.ID
	decided bool
}

type handover struct {
	at    time.Time
	dueAt time.Time // the record's; it changes when a package is claimed and given back
}

func eventOf(rec investigation.Record) event { return event{rec.ID, rec.State.Settled()} }

// at returns when the record, with its current due time, was handed over, and whether that handover is
// under way. The due time of a decided record never changes.
func (h handovers) at(rec investigation.Record) (time.Time, bool) {
	last, known := h[eventOf(rec)]
	return last.at, known && last.dueAt.Equal(rec.DueAt)
}

// remember notes the events for records that the bus took.
func (h handovers) remember(taken []investigation.ID, records []investigation.Record, now time.Time) {
	for _, id := range taken {
		for _, rec := range records {
			if rec.ID == id {
				h[eventOf(rec)] = handover{at: now, dueAt: rec.DueAt}
			}
		}
	}
}

// forget drops the events that no longer count as under way.
func (h handovers) forget(now time.Time) {
	for e, last := range h {
		if now.Sub(last.at) >= remembered {
			delete(h, e)
		}
	}
}

// readyAt returns when ready actions were handed over.
func (h handovers) readyAt() []time.Time {
	var at []time.Time
	for e, last := range h {
		if !e.decided {
			at = append(at, last.at)
		}
	}
	return at
}

// keepDecided drops the decided actions that are no longer owed, and returns how many are left.
func (h handovers) keepDecided(owed []investigation.Record) int {
	isOwed := map[investigation.ID]bool{}
	for _, rec := range owed {
		isOwed[rec.ID] = true
	}
	kept := 0
	for e := range h {
		switch {
		case !e.decided:
		case isOwed[e.id]:
			kept++
		default:
			delete(h, e)
		}
	}
	return kept
}

func idsOf(records []investigation.Record) []investigation.ID {
	ids := make([]investigation.ID, len(records))
	for i, rec := range records {
		ids[i] = rec.ID
	}
	return ids
}
