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
	// loadMax is how many records are read from the ledger at a time: DynamoDB's limit for one read. More
	// would only cost memory, because each record can hold a comment of 4 KiB.
	loadMax = 100

	// failuresInARow is how many actions in a row the ledger may fail for before the poller blames the
	// ledger instead of the actions.
	failuresInARow = 5
)

// observation tells the ledger about the actions that one sweep sees.
type observation struct {
	poller *Poller
	now    time.Time
	until  time.Time // when to stop

	step   *step
	inARow int  // failures since the last success
	broken bool // the ledger fails for every action
}

// observe tells the ledger about every action in the batch that is new or has changed since it was last
// seen. It first reads the actions that the Poller does not remember, a hundred at a time, because a read
// costs less than a write that changes nothing.
//
// A failure for one action does not affect the others. observe returns false if it did not finish the
// batch: the time is up, or the ledger fails for every action.
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

// one tells the ledger about one action, unless that is known to change nothing.
func (o *observation) one(ctx context.Context, a investigation.Action,
	loaded map[investigation.ID]investigation.Record,
) {
	p := o.poller
	before, _, changed := p.memory.recall(a)
	after := before
	if changed {
		a.CaseID = p.cases.Find(a.RequestorComment)
		rec, found := loaded[a.ID]
		before = max(rec.State, before) // at most one of them is known
		observe := investigation.Observe(a, o.now)
		next, err := observe.Apply(rec)
		if err != nil || !found || next != rec {
			rec, err = p.ledger.Change(ctx, a.ID, observe)
			if err != nil {
				o.failed(err)
				return
			}
			o.inARow = 0
			p.quietUntil = time.Time{}
		}
		after = rec.State
		o.step.did.observed(before, after)
		p.memory.remember(a, after)
	}
	p.follow.saw(a, after)
	if after == investigation.StateWaiting && o.now.Sub(a.CreatedAt) < YoungFor {
		p.listedNew = true
	}
}

// failed notes that the ledger failed for an action. An invalid record does not count against the
// ledger.
func (o *observation) failed(err error) {
	o.step.add(err)
	if !errors.Is(err, investigation.ErrBadRecord) {
		o.inARow++
	}
}

// load returns the ledger's records of the actions that the Poller does not remember. It leaves out
// invalid records: observing such an action returns the error.
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
		return nil, fmt.Errorf("load the records of %d actions: %w", len(forgotten), err)
	}
	for _, rec := range records {
		loaded[rec.ID] = rec
	}
	return loaded, nil
}
