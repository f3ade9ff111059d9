package poll

import (
	"context"
	"fmt"

	"packhorse/internal/investigation"
)

// concludedAtOnce is how many actions are concluded at a time, unless [Config] says otherwise. They all take their
// places in one chain, one after another, so more of them would mostly contend. After a mass collection that fails,
// this concludes about sixty actions a minute.
const concludedAtOnce = 10

// conclude hands over the actions whose outcome is decided but not announced yet: those that Defender
// ended without a package, and those whose fetcher died or failed after deciding. It skips records whose
// fetcher may still be at work: they are not due until the lease would have run out.
func (p *Poller) conclude(ctx context.Context, due []investigation.Record, did *Answer) error {
	now := p.now()
	p.handed.forget(now)
	var waiting, owed []investigation.Record
	for _, rec := range due {
		if !rec.State.Decided() || !rec.Due(now) {
			continue
		}
		owed = append(owed, rec)
		if _, underWay := p.handed.at(rec); !underWay {
			waiting = append(waiting, rec)
		}
	}
	underWay := p.handed.keepDecided(owed)
	waiting = waiting[:min(len(waiting), max(0, p.concludeAtOnce-underWay))]
	if len(waiting) == 0 {
		return nil
	}
	taken, err := p.bus.Decided(ctx, idsOf(waiting))
	did.Decided += len(taken)
	p.handed.remember(taken, waiting, now)
	if err != nil {
		return fmt.Errorf("hand over %d of %d decided actions: %w", len(waiting)-len(taken),
			len(waiting), err)
	}
	return nil
}
