package pipeline

import (
	"context"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
)

// reportedLedger reports observed and claimed actions.
type reportedLedger struct {
	Ledger
	reporter Reporter
}

func (l reportedLedger) Change(ctx context.Context, id investigation.ID, c investigation.Change) (
	investigation.Record, error,
) {
	rec, err := l.Ledger.Change(ctx, id, c)
	switch {
	case err != nil:
	case c.Name == investigation.ChangeObserve:
		l.reporter.Observed(rec)
	case c.Name == investigation.ChangeClaim:
		l.reporter.Fetching(rec)
	}
	return rec, err
}

// reportedArchive reports the bytes of every package while they are stored.
type reportedArchive struct {
	fetch.Archive
	reporter Reporter
	budget   func(context.Context) // reports the budget, which the link has just changed
}

func (r reportedArchive) Store(ctx context.Context, place investigation.Placement,
	pkg investigation.Package,
) (investigation.Stored, error) {
	r.budget(ctx)
	pkg.Body = r.reporter.Download(place.Action, pkg.Size, pkg.Body)
	return r.Archive.Store(ctx, place, pkg)
}
