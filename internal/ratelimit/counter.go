package ratelimit

import (
	"context"
	"sync"
	"time"
)

// Counter keeps the State of budgets where all workers that share them can reach it.
//
// Every method is linearizable across processes: it applies the [State] method of the same name in one
// conditional write, and the result is durable when it returns. After an error the outcome is unknown,
// and the caller MUST treat a lease as spent. Repeating a call with the same arguments is harmless.
//
// An implementation MUST NOT let a budget expire: forgetting a budget resets it. Budgets with different
// names are independent. internal/conformance/counter checks all of this.
type Counter interface {
	// Lease takes a slot, or says when to ask again. A denial is not an error.
	Lease(ctx context.Context, b Budget, owner string, now time.Time) (Decision, error)

	// Settle frees the slot one window after answeredAt.
	Settle(ctx context.Context, b Budget, owner string, slot int, answeredAt time.Time) error

	// CoolDown stops all leases until the given instant. It never shortens a cooldown.
	CoolDown(ctx context.Context, b Budget, until time.Time) error

	// Peek returns the State without changing it. It MAY lag behind.
	Peek(ctx context.Context, b Budget) (State, error)
}

// Memory is a Counter for a single process, and is lost with it. Use it in tests, and for a budget that
// only one process uses and that is far above its need.
type Memory struct {
	mu     sync.Mutex // guards states
	states map[string]State
}

// NewMemory returns a Memory with unspent budgets.
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

// NewGauge returns a Gauge for the budget.
func NewGauge(counter Counter, budget Budget) Gauge { return Gauge{counter, budget} }

// FreeAt returns when each slot can be leased, in ascending order.
func (g Gauge) FreeAt(ctx context.Context) ([]time.Time, error) {
	s, err := g.counter.Peek(ctx, g.budget)
	if err != nil {
		return nil, err
	}
	return s.FreeAt(g.budget), nil
}

// Hold returns how long a slot stays spent after its answer.
func (g Gauge) Hold() time.Duration { return g.budget.Hold() }
