package ratelimit

import (
	"context"
	"sync"
	"time"
)

// Counter keeps the State of budgets where all that share them can reach it.
//
// Every method is linearizable over all processes: it applies the [State] method of its name in one
// conditional write, and what it did is durable when it returns. An error means that the outcome is
// not known; the caller MUST then take a lease for spent. Repeating a call with the same arguments
// is harmless.
//
// An implementation MUST NOT let a budget expire: a budget that is forgotten is a budget reset.
// Budgets of different names are independent. internal/conformance/counter checks all of this.
type Counter interface {
	// Lease takes a slot, or says when to ask again. A denial is no error.
	Lease(ctx context.Context, b Budget, owner string, now time.Time) (Decision, error)

	// Settle frees the slot one window after answeredAt.
	Settle(ctx context.Context, b Budget, owner string, slot int, answeredAt time.Time) error

	// CoolDown stops all leases until the given instant, or a later one that was set before.
	CoolDown(ctx context.Context, b Budget, until time.Time) error

	// Peek returns the State without changing it. It MAY lag behind.
	Peek(ctx context.Context, b Budget) (State, error)
}

// Memory is the Counter of a single process. It forgets with the process: use it where one process
// alone has the budget and its limit is far above its need, and in tests.
type Memory struct {
	mu     sync.Mutex // guards states
	states map[string]State
}

// NewMemory returns a Counter that has spent nothing.
func NewMemory() *Memory { return &Memory{states: map[string]State{}} }

// Lease implements [Counter].
func (m *Memory) Lease(ctx context.Context, b Budget, owner string, now time.Time) (
	Decision, error,
) {
	var d Decision
	err := m.apply(ctx, b, func(s State) State {
		s, d = s.Lease(b, owner, now)
		return s
	})
	return d, err
}

// Settle implements [Counter].
func (m *Memory) Settle(ctx context.Context, b Budget, owner string, slot int,
	answeredAt time.Time,
) error {
	return m.apply(ctx, b, func(s State) State { return s.Settle(b, owner, slot, answeredAt) })
}

// CoolDown implements [Counter].
func (m *Memory) CoolDown(ctx context.Context, b Budget, until time.Time) error {
	return m.apply(ctx, b, func(s State) State { return s.CoolDown(until) })
}

// Peek implements [Counter].
func (m *Memory) Peek(ctx context.Context, b Budget) (State, error) {
	var seen State
	err := m.apply(ctx, b, func(s State) State {
		seen = s
		return s
	})
	return seen, err
}

func (m *Memory) apply(ctx context.Context, b Budget, change func(State) State) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.Validate(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.states[b.Name] = change(m.states[b.Name])
	return nil
}

// Gauge reads one budget of a Counter.
type Gauge struct {
	counter Counter
	budget  Budget
}

// NewGauge returns the gauge of a budget.
func NewGauge(counter Counter, budget Budget) Gauge { return Gauge{counter, budget} }

// FreeAt returns for each slot the instant it can be leased, in ascending order.
func (g Gauge) FreeAt(ctx context.Context) ([]time.Time, error) {
	s, err := g.counter.Peek(ctx, g.budget)
	if err != nil {
		return nil, err
	}
	return s.FreeAt(g.budget), nil
}
