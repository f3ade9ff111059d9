package poll

import (
	"context"
	"fmt"

	"packhorse/internal/investigation"
)

// concludedAtOnce is how many actions are being concluded at a time: they all take their place in one
// chain, one after the other, so a crowd would mostly get in its own way. After a mass collection that
// fails it is about sixty a minute.
const concludedAtOnce = 10

// conclude hands over the actions whose outcome is decided but not announced yet: those that Defender
// ended without a package, and those whose fetcher died or failed after it had decided. A fetcher at
// work shows as a record that is not due: its lease is kept.
func (p *Poller) conclude(ctx context.Context, due []investigation.Record, did *Answer) error {
	now := p.now()
	p.handed.forget(now)
	var waiting, owed []investigation.Record
	for _, rec := range due {
		if !rec.State.Settled() || !rec.Due(now) {
			continue
		}
		owed = append(owed, rec)
		if _, underWay := p.handed.at(rec); !underWay {
			waiting = append(waiting, rec)
		}
	}
	underWay := p.handed.keepDecided(owed)
	waiting = waiting[:min(len(waiting), max(0, concludedAtOnce-underWay))]
	if len(waiting) == 0 {
		return nil
	}
	taken, err := p.bus.Settled(ctx, idsOf(waiting))
	did.Settled += len(taken)
	p.handed.remember(taken, waiting, now)
	if err != nil {
		return fmt.Errorf("hand over %d of %d decided actions: %w", len(waiting)-len(taken),
			len(waiting), err)
	}
	return nil
}
