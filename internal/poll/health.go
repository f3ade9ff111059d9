package poll

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

const (
	// healthTimeout bounds how long storing a health may take: it must not delay the next handover for long.
	healthTimeout = 5 * time.Second

	// healthBytesMax bounds the message of a health, so that its item stays below one write unit.
	healthBytesMax = 500
)

// health is the health of the tenant as this process knows it.
type health struct {
	known  bool // the stored health was read
	now    tenant.Health
	stored tenant.Health
}

// judge says whether a sweep completed a listing, and stores what that means for the tenant's health. It MUST
// be called before other parts of the step add their failures to s.
//
// A sweep that leaves the rest of the listing to the next one, for lack of time or of budget, changes nothing.
// Neither does one that was interrupted, because the process was asked to stop.
func (p *Poller) judge(ctx context.Context, s *step, err error) (swept bool) {
	failure := errors.Join(err, s.failed.join())
	swept = failure == nil && p.listing.Done
	switch {
	case errors.Is(ctx.Err(), context.Canceled), errors.Is(err, investigation.ErrBudgetSpent):
	case failure != nil:
		text := brief(failure)
		p.tell(ctx, func(h tenant.Health) tenant.Health { return h.Failed(p.now(), text) })
	case swept:
		p.tell(ctx, func(h tenant.Health) tenant.Health { return h.Succeeded(p.now()) })
	}
	return swept
}

// tell stores the next health if it is worth that. A failure is logged and does not fail the step: the next
// sweep tries again.
func (p *Poller) tell(ctx context.Context, next func(tenant.Health) tenant.Health) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
	defer cancel()
	var err error
	if !p.health.known {
		p.health.stored, err = p.healths.Health(ctx, p.tenantID)
		p.health.known = err == nil || errors.Is(err, investigation.ErrBadRecord) // which is replaced
		p.health.now = p.health.stored
	}
	if p.health.known {
		p.health.now = next(p.health.now)
		if !p.health.now.Worth(p.health.stored, p.heartbeat) {
			return
		}
		err = p.healths.SetHealth(ctx, p.tenantID, p.health.now)
	}
	if err != nil {
		p.logger.WarnContext(ctx, "could not store how well the sweeps work; the next sweep tries again",
			slog.String("error", brief(err)))
		return
	}
	p.health.stored = p.health.now
}

// NoteFailure stores that the tenant could not even be listed, for a process that fails before it has a Poller.
func NoteFailure(ctx context.Context, store HealthStore, tenantID string, now time.Time, failure error) error {
	stored, err := store.Health(ctx, tenantID)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return err
	}
	next := stored.Failed(now, brief(failure))
	if !next.Worth(stored, tenant.Heartbeat(1)) {
		return nil
	}
	return store.SetHealth(ctx, tenantID, next)
}

// brief returns the error as one line of bounded length, without links and tokens.
func brief(err error) string {
	line := strings.Join(strings.Fields(investigation.Redact(err.Error())), " ")
	if len(line) <= healthBytesMax {
		return line
	}
	return strings.ToValidUTF8(line[:healthBytesMax], "") + "…"
}
