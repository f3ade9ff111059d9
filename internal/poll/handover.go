package poll

import (
	"time"

	"packhorse/internal/investigation"
)

// handovers remembers the events of the last minute, which are taken to be under way, so that none is
// put twice. An event that is lost costs its action that much delay.
type handovers map[event]handover

// event is what was put on the bus for an action: that it is ready, or that it is decided.
type event struct {
	id      investigation.ID
	decided bool
}

type handover struct {
	at    time.Time
	dueAt time.Time // of the record: a package that was claimed and given back since has another
}

func eventOf(rec investigation.Record) event { return event{rec.ID, rec.State.Settled()} }

// at returns when the record was handed over as it is now, and whether that is under way. A decided
// record keeps its due time.
func (h handovers) at(rec investigation.Record) (time.Time, bool) {
	last, known := h[eventOf(rec)]
	return last.at, known && last.dueAt.Equal(rec.DueAt)
}

// remember notes the events that the bus took, among those for the records.
func (h handovers) remember(taken []investigation.ID, records []investigation.Record, now time.Time) {
	for _, id := range taken {
		for _, rec := range records {
			if rec.ID == id {
				h[eventOf(rec)] = handover{at: now, dueAt: rec.DueAt}
			}
		}
	}
}

// forget drops the events that are not taken to be under way any more.
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

// keepDecided drops the decided actions that are not among the records any more, and returns how many
// are left.
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
