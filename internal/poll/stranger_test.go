package poll_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/ledger/ledgertest"
	"packhorse/internal/poll"
)

// strange is a ledger in which one action's item makes no sense.
type strange struct {
	*ledgertest.Memory
	id investigation.ID
}

func (s strange) bad() error { return fmt.Errorf("%w: item %q", investigation.ErrBadRecord, s.id) }

func (s strange) Load(ctx context.Context, ids []investigation.ID) ([]investigation.Record, error) {
	records, err := s.Memory.Load(ctx, ids)
	if slices.Contains(ids, s.id) {
		err = errors.Join(err, s.bad())
	}
	return records, err
}

func (s strange) Observe(ctx context.Context, a investigation.Action, now time.Time) (
	investigation.Record, error,
) {
	if a.ID == s.id {
		return investigation.Record{}, s.bad()
	}
	return s.Memory.Observe(ctx, a, now)
}

func (s strange) Due(ctx context.Context, tenantID string, lane investigation.Lane, now time.Time,
	limit int,
) ([]investigation.Record, error) {
	records, err := s.Memory.Due(ctx, tenantID, lane, now, limit)
	return records, errors.Join(err, s.bad())
}

type tenantOf []investigation.Action

func (d tenantOf) List(_ context.Context, at investigation.Listing,
	see func([]investigation.Action, []error) bool,
) (investigation.Listing, error) {
	at.Done = see(d, nil)
	return at, nil
}

// free is a budget of which nothing is spent, and a bus that takes everything.
type free struct{ handed []investigation.ID }

func (*free) FreeAt(context.Context) ([]time.Time, error) { return make([]time.Time, 2), nil }

func (f *free) Ready(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	f.handed = append(f.handed, ids...)
	return ids, nil
}

func (*free) Settled(context.Context, []investigation.ID) ([]investigation.ID, error) {
	return nil, nil
}

// An item of the ledger that makes no sense is named in the step's error, and the actions around it
// are handed over as if it was not there.
func TestOneBadRecordDoesNotStopTheOthers(t *testing.T) {
	now := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	var tenant tenantOf
	for i := range 3 {
		tenant = append(tenant, investigation.Action{
			ID: investigation.ID{TenantID: "t", ActionID: fmt.Sprint("action ", i)}, MachineID: "m",
			Status: investigation.StatusSucceeded, CreatedAt: now.Add(-time.Hour),
		})
	}
	ledger := strange{ledgertest.NewMemory(), tenant[1].ID}
	others := &free{}
	p := poll.New(tenant, ledger, others, others, "t", cases(t), 168*time.Hour, 10*time.Second,
		func() time.Time { return now }, slog.New(slog.DiscardHandler))
	_, err := p.Step(t.Context())
	if !errors.Is(err, investigation.ErrBadRecord) || !strings.Contains(err.Error(), "action 1") {
		t.Errorf("got %v", err)
	}
	if want := []investigation.ID{tenant[0].ID, tenant[2].ID}; !slices.Equal(others.handed, want) {
		t.Errorf("handed over %v, want %v", others.handed, want)
	}
}
