package fetch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"packhorse/internal/investigation"
	"packhorse/internal/pause"
)

// renewalsPerLease is how often a lease is renewed before it would run out: one write that fails or is
// slow does not lose it.
const renewalsPerLease = 3

// keep renews the record's lease until stop is called. The context it returns ends, with
// investigation.ErrLeaseLost as its cause, when the lease is lost or could not be renewed in time: from
// then on somebody else may be working on the action. stop waits for a renewal under way and may be called
// more than once.
func (f *Fetcher) keep(ctx context.Context, rec investigation.Record) (
	leased context.Context, stop func(),
) {
	leased, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		until := rec.LeaseUntil
		for pause.For(leased, f.lease/renewalsPerLease) == nil {
			next := f.now().Add(f.lease)
			_, err := f.ledger.Change(leased, rec.ID, investigation.Renew(rec.Owner, next))
			switch {
			case err == nil:
				until = next
			case leased.Err() != nil:
				return
			case errors.Is(err, investigation.ErrLeaseLost), !f.now().Before(until):
				cancel(fmt.Errorf("%w: %w", investigation.ErrLeaseLost, err))
			default:
				f.logger.WarnContext(leased, "could not renew the lease, will try again",
					slog.String("tenantId", rec.TenantID), slog.String("actionId", rec.ActionID), slog.String("error", err.Error()))
			}
		}
	}()
	return leased, func() {
		cancel(context.Canceled)
		<-done
	}
}

// lost returns the cause if leased ended because the lease was lost, else nil.
func lost(leased context.Context) error {
	cause := context.Cause(leased)
	if errors.Is(cause, investigation.ErrLeaseLost) {
		return cause
	}
	return nil
}
