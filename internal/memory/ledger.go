package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// Ledger is a ledger in memory, for tests. It is strict: like every ledger it refuses an invalid record, and
// it panics instead of keeping a change that fails [CheckChange]. It is safe for concurrent use.
type Ledger struct {
	mu      sync.Mutex // guards what follows
	records map[investigation.ID]investigation.Record
	heads   map[string]investigation.Head // by tenant
	healths map[string]tenant.Health
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{
		records: map[investigation.ID]investigation.Record{}, heads: map[string]investigation.Head{},
		healths: map[string]tenant.Health{},
	}
}

// Load implements poll.Ledger.
func (m *Ledger) Load(ctx context.Context, ids []investigation.ID) ([]investigation.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("load %d actions: %w", len(ids), err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	asked := make(map[investigation.ID]investigation.Record, len(ids))
	for _, id := range ids {
		if rec, ok := m.records[id]; ok {
			asked[id] = rec
		}
	}
	return validIn(maps.All(asked))
}

// find returns the valid records that match, and an error that names each invalid one.
func (m *Ledger) find(matches func(investigation.ID, investigation.Record) bool) (
	[]investigation.Record, error,
) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return validIn(func(yield func(investigation.ID, investigation.Record) bool) {
		for id, rec := range m.records {
			if matches(id, rec) && !yield(id, rec) {
				return
			}
		}
	})
}

// validIn returns the valid records, and an error that names each invalid one.
func validIn(records iter.Seq2[investigation.ID, investigation.Record]) ([]investigation.Record, error) {
	var found []investigation.Record
	var bad []error
	for id, rec := range records {
		if err := valid(id, rec); err != nil {
			bad = append(bad, err)
			continue
		}
		found = append(found, rec)
	}
	return found, errors.Join(bad...)
}

// valid reports whether rec can be kept under id.
func valid(id investigation.ID, rec investigation.Record) error {
	err := rec.Validate()
	if err == nil && rec.ID != id {
		err = fmt.Errorf("%w: stored with the id %s", investigation.ErrBadRecord, rec.ID)
	}
	if err != nil {
		return fmt.Errorf("record of action %s: %w", id, err)
	}
	return nil
}

// Damage changes the record of an action without any check, as if by somebody else.
func (m *Ledger) Damage(id investigation.ID, change func(*investigation.Record)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rec := m.records[id]
	change(&rec)
	m.records[id] = rec
}

// Due implements poll.Ledger.
func (m *Ledger) Due(ctx context.Context, tenantID string, lane investigation.Lane, now time.Time,
	limit int,
) ([]investigation.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("query lane %s: %w", lane, err)
	}
	due, err := m.find(func(id investigation.ID, rec investigation.Record) bool {
		return id.TenantID == tenantID && rec.Lane == lane && rec.Due(now)
	})
	slices.SortFunc(due, func(a, b investigation.Record) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.ActionID, b.ActionID))
	})
	return due[:min(limit, len(due))], err
}

// Change implements poll.Ledger and fetch.Ledger.
func (m *Ledger) Change(ctx context.Context, id investigation.ID, c investigation.Change) (
	investigation.Record, error,
) {
	return m.change(ctx, id, c, func(r investigation.Record, head investigation.Head) (
		investigation.Record, investigation.Head, error,
	) {
		next, err := c.Apply(r)
		return next, head, err
	})
}

// Seal implements fetch.Ledger.
func (m *Ledger) Seal(ctx context.Context, id investigation.ID, c investigation.Change,
	by investigation.Sealer,
) (investigation.Record, error) {
	return m.change(ctx, id, c, func(r investigation.Record, head investigation.Head) (
		investigation.Record, investigation.Head, error,
	) {
		decided, err := c.Apply(r)
		if err != nil {
			return investigation.Record{}, head, err
		}
		return decided.Sealed(head, by)
	})
}

// Head returns the end of the tenant's chain.
func (m *Ledger) Head(ctx context.Context, tenantID string) (investigation.Head, error) {
	if err := ctx.Err(); err != nil {
		return investigation.Head{}, fmt.Errorf("read the head: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heads[tenantID], nil
}

// Health implements poll.HealthStore.
func (m *Ledger) Health(ctx context.Context, tenantID string) (tenant.Health, error) {
	if err := ctx.Err(); err != nil {
		return tenant.Health{}, fmt.Errorf("read the health: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.healths[tenantID], nil
}

// SetHealth implements poll.HealthStore.
func (m *Ledger) SetHealth(ctx context.Context, tenantID string, h tenant.Health) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write the health: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.healths[tenantID] = h
	return nil
}

// Records returns all records of the tenant in the order of [investigation.ByCreation].
func (m *Ledger) Records(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list the records: %w", err)
	}
	all, err := m.find(func(id investigation.ID, _ investigation.Record) bool {
		return id.TenantID == tenantID
	})
	slices.SortFunc(all, investigation.ByCreation)
	return all, err
}

// Open returns the tenant's records that are not done, in the order of [investigation.ByCreation].
func (m *Ledger) Open(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list the open records: %w", err)
	}
	open, err := m.find(func(id investigation.ID, rec investigation.Record) bool {
		return id.TenantID == tenantID && rec.State != investigation.StateDone
	})
	slices.SortFunc(open, investigation.ByCreation)
	return open, err
}

// change keeps the record and the head that decide returns, or neither.
func (m *Ledger) change(ctx context.Context, id investigation.ID, c investigation.Change,
	decide func(investigation.Record, investigation.Head) (investigation.Record, investigation.Head, error),
) (investigation.Record, error) {
	if err := ctx.Err(); err != nil {
		return investigation.Record{}, c.Explain(id, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.records[id]
	if ok {
		if err := valid(id, known); err != nil {
			return investigation.Record{}, c.Explain(id, err)
		}
	}
	next, head, err := decide(known, m.heads[id.TenantID])
	if err == nil && next != known {
		err = m.keep(id, next)
	}
	if err != nil {
		return investigation.Record{}, c.Explain(id, err)
	}
	m.heads[id.TenantID] = head
	return next, nil
}

// keep stores next under id. m.mu MUST be held.
func (m *Ledger) keep(id investigation.ID, next investigation.Record) error {
	err := valid(id, next)
	if err != nil {
		return err
	}
	err = CheckChange(m.records[id], next)
	if err != nil {
		panic(fmt.Sprintf("memory: bad change to action %s: %v", id.ActionID, err))
	}
	m.records[id] = next
	return nil
}
