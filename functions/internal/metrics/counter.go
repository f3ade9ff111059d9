package metrics

import (
	"context"
	"errors"
	"time"

	"packhorse/internal/ratelimit"
	"packhorse/internal/ratelimit/dynamocounter"
)

// counter is a ratelimit.Counter that records metrics.
type counter struct {
	ratelimit.Counter
	meter *Meter
}

// Counter wraps inner and counts its decisions.
func (m *Meter) Counter(inner ratelimit.Counter) ratelimit.Counter {
	return counter{Counter: inner, meter: m}
}

func (c counter) Lease(ctx context.Context, b ratelimit.Budget, owner string, now time.Time) (
	ratelimit.Decision, error,
) {
	decision, err := c.Counter.Lease(ctx, b, owner, now)
	switch {
	case err != nil:
		c.skewed(err)
	case decision.Allowed:
		c.meter.add(BudgetLeased, 1)
	default:
		c.meter.add(BudgetDenied, 1)
	}
	return decision, err
}

func (c counter) Settle(ctx context.Context, b ratelimit.Budget, owner string, slot int,
	answeredAt time.Time,
) error {
	err := c.Counter.Settle(ctx, b, owner, slot, answeredAt)
	c.skewed(err)
	return err
}

// CoolDown counts the 429 even if recording the cooldown fails.
func (c counter) CoolDown(ctx context.Context, b ratelimit.Budget, until time.Time) error {
	c.meter.add(BudgetCooldowns, 1)
	return c.Counter.CoolDown(ctx, b, until)
}

// skewed keeps an invocation's largest clock skew.
func (c counter) skewed(err error) {
	if skew, ok := errors.AsType[*dynamocounter.SkewError](err); ok {
		c.meter.raise(ClockSkew, float64(skew.Skew.Abs().Milliseconds()))
	}
}
