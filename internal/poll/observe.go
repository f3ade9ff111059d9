package poll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
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

	// writesMax is how many actions are written at the same time. At ten milliseconds for a read and a write,
	// this takes 20,000 actions in ten seconds. A sweep begins with failuresInARow and doubles with every
	// success, so that a ledger that is down or throttles is not sent more than it takes to notice.
	writesMax = 20

	// handOverEvery is how often a sweep that has much to write hands over in between.
	handOverEvery = 5 * time.Second
)

// observation tells the ledger about the actions that one sweep sees.
type observation struct {
	poller *Poller
	now    time.Time
	until  time.Time // when to stop

	step   *step
	atOnce int  // how many actions to write at the same time
	inARow int  // failures since the last success
	broken bool // the ledger fails for every action

	handsOver    bool // hand over in between what can be fetched
	handedOverAt time.Time
}

// observe tells the ledger about every action in the batch that is new or has changed since it was last
// seen, starting with those whose packages can be fetched. It first reads the actions that the Poller does not
// remember, a hundred at a time, because a read costs less than a write that changes nothing.
//
// A failure for one action does not affect the others. observe returns false if it did not finish the
// batch: the time is up, or the ledger fails for every action.
func (o *observation) observe(ctx context.Context, batch []investigation.Action) bool {
	return o.those(ctx, batch, true) && o.those(ctx, batch, false)
}

// those tells the ledger about the actions of the batch whose packages can be fetched, or about the others.
func (o *observation) those(ctx context.Context, batch []investigation.Action, ready bool) bool {
	some := make([]investigation.Action, 0, min(len(batch), loadMax))
	for _, a := range batch {
		if (a.Status == investigation.StatusSucceeded) != ready {
			continue
		}
		some = append(some, a)
		if len(some) == loadMax {
			if !o.some(ctx, some) {
				return false
			}
			some = some[:0]
		}
	}
	return o.some(ctx, some)
}

// some tells the ledger about a few actions. It returns the same as observe.
func (o *observation) some(ctx context.Context, actions []investigation.Action) bool {
	loaded, err := o.load(ctx, actions)
	if err != nil {
		o.step.add(err)
		o.broken = true
		return false
	}
	for len(actions) > 0 {
		if o.poller.now().After(o.until) {
			return false
		}
		var news []sight
		news, actions = o.next(actions, loaded)
		o.write(ctx, news)
		if o.inARow >= failuresInARow || ctx.Err() != nil {
			o.broken = true
			return false
		}
	}
	o.handOver(ctx)
	return true
}

// sight is an action that the ledger has to be told about.
type sight struct {
	action investigation.Action
	known  investigation.Record // the zero Record if the ledger has none
	before investigation.State

	after investigation.Record
	err   error
}

// next returns the first actions that are news to the ledger, as many as it is told about at the same time, and
// the actions after them. An action that repeats ends the news: it may say something else the second time.
func (o *observation) next(actions []investigation.Action, loaded map[investigation.ID]investigation.Record) (
	news []sight, rest []investigation.Action,
) {
	p := o.poller
	for i, a := range actions {
		repeats := slices.ContainsFunc(news, func(s sight) bool { return s.action.ID == a.ID })
		if len(news) == o.atOnce || repeats {
			return news, actions[i:]
		}
		before, _, changed := p.memory.recall(a)
		if !changed {
			o.saw(a, before)
			continue
		}
		a.CaseID = p.cases.Find(a.RequestorComment)
		rec := loaded[a.ID]
		news = append(news, sight{action: a, known: rec, before: max(rec.State, before)}) // at most one state is known
	}
	return news, nil
}

// write tells the ledger about all the news at the same time, unless they are known to change nothing.
func (o *observation) write(ctx context.Context, news []sight) {
	var writes sync.WaitGroup
	for i := range news {
		s := &news[i]
		observe := investigation.Observe(s.action, o.now)
		s.after, s.err = observe.Apply(s.known)
		if s.err == nil && s.after == s.known {
			continue
		}
		writes.Go(func() { s.after, s.err = o.poller.ledger.Change(ctx, s.action.ID, observe) })
	}
	writes.Wait()
	failed := false
	for _, s := range news {
		failed = o.note(s) || failed
	}
	o.atOnce = min(2*o.atOnce, writesMax)
	if failed {
		o.atOnce = failuresInARow
	}
}

// note notes what the ledger said about one action, and reports whether it failed. What the ledger failed for is
// not remembered, and so is news to the next sweep that shows it.
func (o *observation) note(s sight) (failed bool) {
	p := o.poller
	if s.err != nil {
		return o.failed(s)
	}
	if s.after != s.known { // written
		o.inARow = 0
	}
	p.quietUntil = time.Time{} // even if it was another poller that told the ledger
	o.step.did.observed(s.before, s.after.State)
	p.memory.remember(s.action, s.after.State)
	o.saw(s.action, s.after.State)
	return false
}

// saw notes the state that the ledger has an action in.
func (o *observation) saw(a investigation.Action, state investigation.State) {
	p := o.poller
	p.follow.saw(a, state)
	if state == investigation.StateWaiting && o.now.Sub(a.CreatedAt) < YoungFor {
		p.listedNew = true
	}
}

// handOver hands over what the sweep has found so far, once in a while: a package must not wait for the listing of
// the others.
func (o *observation) handOver(ctx context.Context) {
	if now := o.poller.now(); o.handsOver && now.Sub(o.handedOverAt) >= handOverEvery {
		o.handedOverAt = now
		o.poller.handOver(ctx, &o.step.early, &o.step.did)
	}
}

// failed notes that the ledger failed for an action, and reports whether that counts against the ledger: an
// invalid record does not, and is not tried again before the next whole listing.
func (o *observation) failed(s sight) bool {
	o.step.add(s.err)
	if errors.Is(s.err, investigation.ErrBadRecord) {
		return false
	}
	o.inARow++
	o.poller.follow.miss(s.action)
	return true
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
