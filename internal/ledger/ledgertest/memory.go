package ledgertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"packhorse/internal/investigation"
)

// Memory is a ledger in memory, for tests. It is strict: it panics before it keeps a record that
// [CheckChange] finds fault with. It is safe for concurrent use.
type Memory struct {
	mu      sync.Mutex // guards what follows
	records map[investigation.ID]investigation.Record
	heads   map[string]investigation.Head // by tenant
}

// NewMemory returns a ledger that has seen nothing.
func NewMemory() *Memory {
	return &Memory{
		records: map[investigation.ID]investigation.Record{}, heads: map[string]investigation.Head{},
	}
}

// Load implements poll.Ledger.
func (m *Memory) Load(ctx context.Context, ids []investigation.ID) ([]investigation.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("load %d actions: %w", len(ids), err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []investigation.Record
	seen := map[investigation.ID]bool{}
	for _, id := range ids {
		if rec, known := m.records[id]; known && !seen[id] {
			found = append(found, rec)
		}
		seen[id] = true
	}
	return found, nil
}

// Observe implements poll.Ledger.
func (m *Memory) Observe(ctx context.Context, a investigation.Action, now time.Time) (
	investigation.Record, error,
) {
	if err := ctx.Err(); err != nil {
		return investigation.Record{}, fmt.Errorf("observe action %s: %w", a.ActionID, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	next, changed := m.records[a.ID].Observe(a, now)
	if changed {
		m.keep(a.ID, next)
	}
	return next, nil
}

// Due implements poll.Ledger.
func (m *Memory) Due(ctx context.Context, tenantID string, lane investigation.Lane, now time.Time,
	limit int,
) ([]investigation.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("query lane %s: %w", lane, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []investigation.Record
	for _, rec := range m.records {
		if rec.TenantID == tenantID && rec.Lane == lane && rec.Due(now) {
			due = append(due, rec)
		}
	}
	slices.SortFunc(due, func(a, b investigation.Record) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.ActionID, b.ActionID))
	})
	return due[:min(limit, len(due))], nil
}

// Claim implements fetch.Ledger.
func (m *Memory) Claim(ctx context.Context, id investigation.ID, owner string,
	now, leaseUntil time.Time,
) (investigation.Record, error) {
	return m.change(ctx, id, func(r investigation.Record) (investigation.Record, error) {
		return r.Claim(owner, now, leaseUntil)
	})
}

// Renew implements fetch.Ledger.
func (m *Memory) Renew(ctx context.Context, id investigation.ID, owner string,
	leaseUntil time.Time,
) (investigation.Record, error) {
	return m.change(ctx, id, func(r investigation.Record) (investigation.Record, error) {
		return r.Renew(owner, leaseUntil)
	})
}

// Release implements fetch.Ledger.
func (m *Memory) Release(ctx context.Context, id investigation.ID, owner string,
	rel investigation.Release,
) (investigation.Record, error) {
	return m.change(ctx, id, func(r investigation.Record) (investigation.Record, error) {
		return r.Release(owner, rel)
	})
}

// Archived implements fetch.Ledger.
func (m *Memory) Archived(ctx context.Context, id investigation.ID, owner string,
	a investigation.Arrival, by investigation.Sealer,
) (investigation.Record, error) {
	return m.seal(ctx, id, by, func(r investigation.Record) (investigation.Record, error) {
		return r.Archived(owner, a)
	})
}

// NotCollected implements fetch.Ledger.
func (m *Memory) NotCollected(ctx context.Context, id investigation.ID, owner string,
	c investigation.Closing, by investigation.Sealer,
) (investigation.Record, error) {
	return m.seal(ctx, id, by, func(r investigation.Record) (investigation.Record, error) {
		return r.NotCollected(owner, c)
	})
}

// Seal implements fetch.Ledger.
func (m *Memory) Seal(ctx context.Context, id investigation.ID, by investigation.Sealer) (
	investigation.Record, error,
) {
	return m.seal(ctx, id, by, func(r investigation.Record) (investigation.Record, error) {
		return r, nil
	})
}

// Announced implements fetch.Ledger.
func (m *Memory) Announced(ctx context.Context, id investigation.ID, c investigation.Conclusion) (
	investigation.Record, error,
) {
	return m.change(ctx, id, func(r investigation.Record) (investigation.Record, error) {
		return r.Announced(c)
	})
}

// Head returns the end of the tenant's chain.
func (m *Memory) Head(ctx context.Context, tenantID string) (investigation.Head, error) {
	if err := ctx.Err(); err != nil {
		return investigation.Head{}, fmt.Errorf("read the head: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heads[tenantID], nil
}

// Records returns everything the ledger knows of the tenant, in the order of creation.
func (m *Memory) Records(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list the records: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []investigation.Record
	for _, rec := range m.records {
		if rec.TenantID == tenantID {
			all = append(all, rec)
		}
	}
	slices.SortFunc(all, investigation.ByCreation)
	return all, nil
}

func (m *Memory) change(ctx context.Context, id investigation.ID,
	transition func(investigation.Record) (investigation.Record, error),
) (investigation.Record, error) {
	if err := ctx.Err(); err != nil {
		return investigation.Record{}, fmt.Errorf("change action %s: %w", id.ActionID, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.records[id]
	if !ok {
		return investigation.Record{}, fmt.Errorf("action %s: %w", id.ActionID,
			investigation.ErrUnknownAction)
	}
	next, err := transition(known)
	if err != nil {
		return investigation.Record{}, err
	}
	m.keep(id, next)
	return next, nil
}

// seal applies a transition, and what Record.Sealed makes of its result.
func (m *Memory) seal(ctx context.Context, id investigation.ID, by investigation.Sealer,
	transition func(investigation.Record) (investigation.Record, error),
) (investigation.Record, error) {
	return m.change(ctx, id, func(r investigation.Record) (investigation.Record, error) {
		next, err := transition(r)
		if err != nil {
			return next, err
		}
		next, head, err := next.Sealed(m.heads[id.TenantID], by)
		if err == nil {
			m.heads[id.TenantID] = head
		}
		return next, err
	})
}

// keep stores next under id. m.mu MUST be held.
func (m *Memory) keep(id investigation.ID, next investigation.Record) {
	err := CheckChange(m.records[id], next)
	if err == nil && next.ID != id {
		err = errors.New("it has another id")
	}
	if err != nil {
		panic(fmt.Sprintf("ledgertest: the record of action %s is not to be kept: %v", id.ActionID, err))
	}
	m.records[id] = next
}
