package pipeline

import (
	"context"
	"time"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
)

// reportedLedger reports what the ledger learns.
type reportedLedger struct {
	Ledger
	reporter Reporter
}

func (l reportedLedger) Observe(ctx context.Context, a investigation.Action, now time.Time) (
	investigation.Record, error,
) {
	rec, err := l.Ledger.Observe(ctx, a, now)
	if err == nil {
		l.reporter.Observed(rec)
	}
	return rec, err
}

func (l reportedLedger) Claim(ctx context.Context, id investigation.ID, owner string,
	now, leaseUntil time.Time,
) (investigation.Record, error) {
	rec, err := l.Ledger.Claim(ctx, id, owner, now, leaseUntil)
	if err == nil {
		l.reporter.Fetching(rec)
	}
	return rec, err
}

// reportedArchive reports the bytes of every package as they pass.
type reportedArchive struct {
	fetch.Archive
	reporter Reporter
}

func (r reportedArchive) Store(ctx context.Context, place investigation.Placement,
	pkg investigation.Package,
) (investigation.Stored, error) {
	pkg.Body = r.reporter.Download(place.Action.ActionID, pkg.Size, pkg.Body)
	return r.Archive.Store(ctx, place, pkg)
}
