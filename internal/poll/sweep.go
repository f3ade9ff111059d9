package poll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"packhorse/internal/investigation"
)

const (
	// sweepMax is how long a sweep reads rows from Defender. It leaves the rest to the next sweep, so that
	// ready actions are handed over in between and the platform does not have to kill the invocation.
	sweepMax = 20 * time.Second

	// oddMax bounds the errors of invalid rows that are remembered and logged. Beyond a thousand, another
	// log line adds nothing.
	oddMax = 1000
)

// Sweep lists the tenant's actions and tells the ledger what changed. The first sweep, and one every ten
// minutes, lists the whole look-back; those in between list what is new, and what is known to be waiting. It
// costs one list call per page and one write per changed action; it also reads actions that the Poller does
// not remember from the ledger.
// If a tenant has more actions than a sweep has time or calls for, the next sweep continues where this one
// ended.
//
// An error that wraps *[investigation.PostponedError] says when Defender may be asked again. One that wraps
// [investigation.ErrBadRecord] or [investigation.ErrBadAction] names what is invalid; the sweep is done
// with all others.
func (p *Poller) Sweep(ctx context.Context) error {
	var s step
	err := p.sweep(ctx, &s, false)
	p.judge(ctx, &s, err)
	s.add(err)
	return s.err()
}

// sweep returns an error if the listing failed, and notes in s the failures of single actions. If handsOver is set
// and the ledger takes long, it hands over in between.
func (p *Poller) sweep(ctx context.Context, s *step, handsOver bool) error {
	now := p.now()
	p.sweptAt = now
	if !p.listing.UnderWay() {
		p.listing = p.follow.begin(now, p.lookback)
		p.listedNew = false
		if p.follow.whole {
			p.memory.begin()
		}
	}
	o := observation{
		poller: p, now: now, until: now.Add(sweepMax), step: s, atOnce: failuresInARow,
		handsOver: handsOver, handedOverAt: now,
	}
	at, err := p.defender.List(ctx, p.listing, func(batch []investigation.Action, odd []error) bool {
		p.report(ctx, odd)
		return o.observe(ctx, batch)
	})
	p.listing = at
	p.young = p.young || p.listedNew
	switch postponed, ok := errors.AsType[*investigation.PostponedError](err); {
	case errors.Is(err, investigation.ErrCannotAsk):
		p.follow.refuse()
		p.listing, p.sweptAt = investigation.Listing{}, time.Time{} // the next step lists everything
		p.tellCannotAsk(ctx, err)
		return nil
	case ok: // the listing continues at that time
		p.postponed = postponed.RetryAt
	case err != nil, o.broken:
		p.listing = investigation.Listing{} // start over, because new actions come first
		if err != nil && ctx.Err() == nil && p.follow.fail() {
			p.tellCannotAsk(ctx, err)
		}
	case at.Done:
		p.follow.end(p.lookback)
		if p.follow.whole {
			p.memory.end()
		}
		p.young = p.listedNew
	}
	if err != nil {
		return fmt.Errorf("list the tenant's actions: %w", err)
	}
	return nil
}

func (p *Poller) tellCannotAsk(ctx context.Context, err error) {
	p.logger.WarnContext(ctx, "Defender does not list actions by id; every sweep lists the whole look-back instead",
		slog.String("error", err.Error()))
}

// report logs the error of each invalid row once.
func (p *Poller) report(ctx context.Context, odd []error) {
	for _, row := range odd {
		text := row.Error()
		if p.odd[text] || len(p.odd) >= oddMax {
			continue
		}
		p.odd[text] = true
		p.logger.WarnContext(ctx, "ignoring an invalid action, or an invalid part of one, in Defender's list",
			slog.String("error", text))
	}
}
