package poll

import (
	"context"
	"fmt"

	"packhorse/internal/investigation"
)

// settledAtOnce is how many actions are being concluded at a time: they all take their place in one
// chain, one after the other, so that a crowd would mostly get into its own way. After a mass
// collection that fails it is some sixty a minute.
const settledAtOnce = 10

// settle hands over the actions whose outcome is decided but not announced yet: those that Defender
// ended without a package, and those whose fetcher died or failed after it had decided. A fetcher at
// work shows as a record that is not due: its lease is kept.
func (p *Poller) settle(ctx context.Context, due []investigation.Record) error {
	now := p.now()
	owed := map[investigation.ID]bool{}
	var waiting []investigation.ID
	for _, rec := range due {
		if !rec.State.Settled() || !rec.Due(now) {
			continue
		}
		owed[rec.ID] = true
		if at, underWay := p.settled[rec.ID]; !underWay || now.Sub(at) >= remembered {
			waiting = append(waiting, rec.ID)
		}
	}
	underWay := 0
	for id, at := range p.settled {
		switch {
		case !owed[id] || now.Sub(at) >= remembered:
			delete(p.settled, id)
		default:
			underWay++
		}
	}
	waiting = waiting[:min(len(waiting), max(0, settledAtOnce-underWay))]
	if len(waiting) == 0 {
		return nil
	}
	taken, err := p.bus.Settled(ctx, waiting)
	p.answer.Settled += len(taken)
	for _, id := range taken {
		p.settled[id] = now
	}
	if err != nil {
		return fmt.Errorf("hand over %d of %d settled actions: %w", len(waiting)-len(taken),
			len(waiting), err)
	}
	return nil
}
