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
	// sweepMax is how long a sweep takes rows from Defender. The rest is for the next one: what is ready
	// is handed over in between, and the invocation is not ended from outside.
	sweepMax = 20 * time.Second

	// oddMax bounds what is remembered of senseless rows; a tenant that sends more has been heard.
	oddMax = 1000
)

// Sweep looks at the tenant and tells the ledger what changed. It costs one list call a page and one
// write an action that changed; actions the Poller does not remember are also read from the ledger. A
// tenant with more actions than a sweep has time or calls for is listed by several: each goes on where
// the one before it ended.
//
// An error that wraps *[investigation.PostponedError] names when Defender may be asked again; one that
// wraps [investigation.ErrBadRecord] or [investigation.ErrBadAction] says what makes no sense, and the
// sweep is done with all others.
func (p *Poller) Sweep(ctx context.Context) error {
	var s step
	s.add(p.sweep(ctx, &s))
	return s.err()
}

// sweep returns why the tenant could not be listed, and notes what went wrong with single actions.
func (p *Poller) sweep(ctx context.Context, s *step) error {
	now := p.now()
	p.sweptAt = now
	if !p.listing.UnderWay() {
		p.listing = investigation.NewListing(now.Add(-p.lookback))
		p.listedNew = false
		p.memory.begin()
	}
	o := observation{poller: p, now: now, until: now.Add(sweepMax), step: s}
	at, err := p.defender.List(ctx, p.listing, func(batch []investigation.Action, odd []error) bool {
		p.report(ctx, odd)
		return o.observe(ctx, batch)
	})
	p.listing = at
	p.young = p.young || p.listedNew
	switch postponed, ok := errors.AsType[*investigation.PostponedError](err); {
	case ok: // the listing goes on then
		p.postponed = postponed.RetryAt
	case err != nil, o.broken:
		p.listing = investigation.Listing{} // so that what is new, which comes first, is seen again
	case at.Done:
		p.memory.end()
		p.young = p.listedNew
	}
	if err != nil {
		return fmt.Errorf("list the tenant's actions: %w", err)
	}
	return nil
}

// report logs each row that made no sense once.
func (p *Poller) report(ctx context.Context, odd []error) {
	for _, row := range odd {
		text := row.Error()
		if p.odd[text] || len(p.odd) >= oddMax {
			continue
		}
		p.odd[text] = true
		p.logger.WarnContext(ctx, "a listed action makes no sense, in whole or in part; that is left out",
			slog.String("error", text))
	}
}
