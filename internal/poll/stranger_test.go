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
	"packhorse/internal/memory"
	"packhorse/internal/poll"
)

// faulty is a ledger that fails for some actions.
type faulty struct {
	*memory.Ledger
	fails func(investigation.ID) error
}

func (f faulty) Change(ctx context.Context, id investigation.ID, c investigation.Change) (
	investigation.Record, error,
) {
	if err := f.fails(id); err != nil {
		return investigation.Record{}, c.Explain(id, err)
	}
	return f.Ledger.Change(ctx, id, c)
}

type tenantOf []investigation.Action

func (d tenantOf) List(_ context.Context, at investigation.Listing,
	see func([]investigation.Action, []error) bool,
) (investigation.Listing, error) {
	at.Done = see(d, nil)
	return at, nil
}

// free is an unspent budget, and a bus that takes everything.
type free struct{ handed []investigation.ID }

func (*free) FreeAt(context.Context) ([]time.Time, error) { return make([]time.Time, 2), nil }

func (f *free) Ready(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	f.handed = append(f.handed, ids...)
	return ids, nil
}

func (*free) Decided(context.Context, []investigation.ID) ([]investigation.ID, error) {
	return nil, nil
}

// threeReady is a tenant with three packages.
func threeReady(now time.Time) tenantOf {
	var tenant tenantOf
	for i := range 3 {
		tenant = append(tenant, investigation.Action{
			ID:        investigation.ID{TenantID: tenantID, ActionID: fmt.Sprintf("%040x", i)},
			MachineID: fmt.Sprintf("%040x", i), Status: investigation.StatusSucceeded,
			CreatedAt: now.Add(-time.Hour),
		})
	}
	return tenant
}

// If one action fails, the step's error names it, and the actions around it are handed over as if it did
// not exist. A step says so if invalid actions and records were its only failures.
func TestOneActionDoesNotStopTheOthers(t *testing.T) {
	now := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	errThrottled := errors.New("the table is throttled")
	fine := func(investigation.ID) error { return nil }
	for name, test := range map[string]struct {
		spoil  func(*investigation.Action)            // what Defender reports
		before func(*memory.Ledger, investigation.ID) // the step
		fails  func(investigation.ID) error
		want   error
		bad    bool
	}{
		"the ledger's record is damaged": {before: func(m *memory.Ledger, id investigation.ID) {
			m.Damage(id, func(r *investigation.Record) {
				r.ID, r.State, r.Lane = id, "nonsense", investigation.LaneLive
			})
		}, want: investigation.ErrBadRecord, bad: true},
		"no ledger can keep what Defender says": {spoil: func(a *investigation.Action) {
			a.LastUpdatedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
		}, want: investigation.ErrBadAction, bad: true},
		"the ledger fails": {fails: func(id investigation.ID) error {
			if id.ActionID == fmt.Sprintf("%040x", 1) {
				return fmt.Errorf("write %s: %w", id.ActionID, errThrottled)
			}
			return nil
		}, want: errThrottled},
	} {
		tenant, others := threeReady(now), &free{}
		ledger := faulty{memory.NewLedger(), fine}
		if test.fails != nil {
			ledger.fails = test.fails
		}
		if test.spoil != nil {
			test.spoil(&tenant[1])
		}
		if test.before != nil {
			test.before(ledger.Ledger, tenant[1].ID)
		}
		p := poll.New(poll.Config{
			Defender:   tenant,
			Ledger:     ledger,
			Health:     memory.NewLedger(),
			Bus:        others,
			Budget:     others,
			TenantID:   tenantID,
			Cases:      investigation.DefaultCases(),
			Lookback:   168 * time.Hour,
			SweepEvery: 10 * time.Second,
			Heartbeat:  heartbeat,
			Now:        func() time.Time { return now },
			Logger:     slog.New(slog.DiscardHandler),
		})
		progress, err := p.Step(t.Context())
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), tenant[1].ActionID) {
			t.Errorf("%s: got %v", name, err)
		}
		if progress.Bad != test.bad || progress.Swept != test.bad {
			t.Errorf("%s: got %+v", name, progress)
		}
		if want := []investigation.ID{tenant[0].ID, tenant[2].ID}; !slices.Equal(others.handed, want) {
			t.Errorf("%s: handed over %v, want %v", name, others.handed, want)
		}
	}
}
