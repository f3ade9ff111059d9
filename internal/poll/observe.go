package poll

import (
	"context"
	"errors"
	"fmt"
	"time"

	"packhorse/internal/investigation"
)

// sighting is what the ledger was last told of an action, and what it made of it.
type sighting struct {
	status      investigation.Status
	lastUpdated time.Time
	name        string // of the host; it can be missing at first
	state       investigation.State
}

// unchanged reports whether the ledger need not hear of a again.
func (s sighting) unchanged(a investigation.Action) bool {
	return s.status == a.Status && s.name == a.ComputerDNSName &&
		s.lastUpdated.Equal(a.LastUpdatedAt)
}

// observe tells the ledger of every action that is new or changed since the last sweep. What the
// Poller does not remember is read from the ledger first, in one batch, because a read costs less
// than a write that changes nothing. Whatever one action fails with, the others are observed.
func (p *Poller) observe(ctx context.Context, actions []investigation.Action, now time.Time,
	t *trouble,
) {
	var changed []investigation.Action
	var forgotten []investigation.ID
	for _, a := range actions {
		seen, remembered := p.known[a.ActionID]
		if remembered && seen.unchanged(a) {
			continue
		}
		changed = append(changed, a)
		if !remembered {
			forgotten = append(forgotten, a.ID)
		}
	}
	loaded, err := p.load(ctx, forgotten)
	if err != nil {
		t.add(err)
		return
	}
	for _, a := range changed {
		if ctx.Err() != nil {
			t.add(fmt.Errorf("observe action %s: %w", a.ActionID, context.Cause(ctx)))
			return
		}
		rec, found := loaded[a.ID]
		before := max(rec.State, p.known[a.ActionID].state) // one of them is nothing
		_, differs := rec.Observe(a, now)
		if !found || differs {
			rec, err = p.ledger.Observe(ctx, a, now)
			if err != nil {
				t.add(fmt.Errorf("observe action %s: %w", a.ActionID, err))
				continue
			}
		}
		p.answer.observed(before, rec.State)
		p.known[a.ActionID] = sighting{
			status: a.Status, lastUpdated: a.LastUpdatedAt, name: a.ComputerDNSName, state: rec.State,
		}
	}
}

// load leaves out records that make no sense: to observe such an action is an error of its own.
func (p *Poller) load(ctx context.Context, ids []investigation.ID) (
	map[investigation.ID]investigation.Record, error,
) {
	loaded := make(map[investigation.ID]investigation.Record, len(ids))
	if len(ids) == 0 {
		return loaded, nil
	}
	records, err := p.ledger.Load(ctx, ids)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return nil, fmt.Errorf("load the known states of %d actions: %w", len(ids), err)
	}
	for _, rec := range records {
		loaded[rec.ID] = rec
	}
	return loaded, nil
}
