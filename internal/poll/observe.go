package poll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"packhorse/internal/investigation"
)

const (
	// loadMax is how many records are read from the ledger at a time: what DynamoDB reads at once. More
	// would only take memory, because each can hold a comment of 4 KiB.
	loadMax = 100

	// failuresInARow is how many actions the ledger may fail for, one after the other, until that is
	// taken to be the ledger's fault and not theirs.
	failuresInARow = 5
)

// observation is how one sweep tells the ledger of the actions it sees.
type observation struct {
	poller *Poller
	now    time.Time
	until  time.Time // when to stop

	step   *step
	inARow int  // failures since the last success
	broken bool // the ledger fails for every action
}

// observe tells the ledger of every action of a batch that is new or has changed since it was seen last.
// What the Poller does not remember is read from the ledger first, a hundred at a time, because a
// read costs less than a write that changes nothing.
//
// An action that the ledger fails for costs no other. observe returns false if it did not come to the end
// of the batch: the time is up, or the ledger fails for everything.
func (o *observation) observe(ctx context.Context, batch []investigation.Action) bool {
	for some := range slices.Chunk(batch, loadMax) {
		loaded, err := o.load(ctx, some)
		if err != nil {
			o.step.add(err)
			o.broken = true
			return false
		}
		for _, a := range some {
			if o.poller.now().After(o.until) {
				return false
			}
			o.one(ctx, a, loaded)
			if o.inARow == failuresInARow || ctx.Err() != nil {
				o.broken = true
				return false
			}
		}
	}
	return true
}

// one tells the ledger of one action, unless that is known to change nothing.
func (o *observation) one(ctx context.Context, a investigation.Action,
	loaded map[investigation.ID]investigation.Record,
) {
	p := o.poller
	before, _, changed := p.memory.recall(a)
	after := before
	if changed {
		a.CaseID = p.cases.Find(a.RequestorComment)
		rec, found := loaded[a.ID]
		before = max(rec.State, before) // one of them is nothing
		observe := investigation.Observe(a, o.now)
		next, err := observe.Apply(rec)
		if err != nil || !found || next != rec {
			rec, err = p.ledger.Change(ctx, a.ID, observe)
			if err != nil {
				o.failed(err)
				return
			}
			o.inARow = 0
		}
		after = rec.State
		o.step.did.observed(before, after)
		p.memory.remember(a, after)
	}
	if after == investigation.StateWaiting && o.now.Sub(a.CreatedAt) < YoungFor {
		p.listedNew = true
	}
}

// failed notes that the ledger failed for an action. A record that makes no sense is that action's own
// affair.
func (o *observation) failed(err error) {
	o.step.add(err)
	if !errors.Is(err, investigation.ErrBadRecord) {
		o.inARow++
	}
}

// load returns the ledger's records of those actions that the Poller does not remember. It leaves out
// records that make no sense: to observe such an action is an error of its own.
func (o *observation) load(ctx context.Context, actions []investigation.Action) (
	map[investigation.ID]investigation.Record, error,
) {
	var forgotten []investigation.ID
	for _, a := range actions {
		if _, remembered, _ := o.poller.memory.recall(a); !remembered {
			forgotten = append(forgotten, a.ID)
		}
	}
	loaded := make(map[investigation.ID]investigation.Record, len(forgotten))
	if len(forgotten) == 0 {
		return loaded, nil
	}
	records, err := o.poller.ledger.Load(ctx, forgotten)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return nil, fmt.Errorf("load the known states of %d actions: %w", len(forgotten), err)
	}
	for _, rec := range records {
		loaded[rec.ID] = rec
	}
	return loaded, nil
}
