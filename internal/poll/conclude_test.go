package poll_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/memory"
	"packhorse/internal/poll"
)

// decidedBus records the actions handed over for conclusion, and takes as many as the test says.
type decidedBus struct {
	free
	decided [][]investigation.ID
	takes   int // of each handover
	fails   error
}

func (b *decidedBus) Decided(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	b.decided = append(b.decided, slices.Clone(ids))
	return ids[:min(len(ids), b.takes)], b.fails
}

// sealer makes placeholder manifests.
type sealer struct{}

func (sealer) Bucket() string { return "b" }

func (sealer) Outcome(investigation.Record, investigation.Head) ([]byte, error) {
	return []byte("{}"), nil
}

func (sealer) Quarantined(investigation.Record, investigation.Head) ([]byte, error) {
	return []byte("{}"), nil
}

// bench is a poller with a fake clock, over actions that all failed.
type bench struct {
	t      *testing.T
	now    time.Time
	ledger *memory.Ledger
	bus    *decidedBus
	poller *poll.Poller
}

func newBench(t *testing.T, failed int) *bench {
	b := &bench{
		t: t, now: time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC), ledger: memory.NewLedger(),
		bus: &decidedBus{takes: 100},
	}
	var tenant tenantOf
	for i := range failed {
		tenant = append(tenant, investigation.Action{
			ID: investigation.ID{
				TenantID: tenantID, ActionID: fmt.Sprintf("%040x", i),
			},
			MachineID: fmt.Sprintf("%040x", i), Status: investigation.StatusFailed,
			RequestorComment: "for INC-7", CreatedAt: b.now.Add(-time.Hour),
		})
	}
	b.poller = poll.New(poll.Config{
		Defender:   tenant,
		Ledger:     b.ledger,
		Health:     b.ledger,
		Bus:        b.bus,
		Budget:     b.bus,
		TenantID:   tenantID,
		Cases:      investigation.DefaultCases(),
		Lookback:   168 * time.Hour,
		SweepEvery: 10 * time.Second,
		Heartbeat:  heartbeat,
		Now:        func() time.Time { return b.now },
		Logger:     slog.New(slog.DiscardHandler),
	})
	return b
}

// step takes one step after the given time and returns the actions it handed over.
func (b *bench) step(after time.Duration) []investigation.ID {
	b.t.Helper()
	b.now = b.now.Add(after)
	before := len(b.bus.decided)
	_, err := b.poller.Step(b.t.Context())
	if !errors.Is(err, b.bus.fails) {
		b.t.Fatal(err)
	}
	return slices.Concat(b.bus.decided[before:]...)
}

func (b *bench) conclude(ids ...investigation.ID) {
	b.t.Helper()
	for _, id := range ids {
		_, err := b.ledger.Seal(b.t.Context(), id, investigation.Unchanged(), sealer{})
		if err == nil {
			_, err = b.ledger.Change(b.t.Context(), id, investigation.Announce(investigation.Conclusion{At: b.now}))
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

// The poller has ten actions concluded at a time. A concluded action makes room for the next, and one
// whose event is lost is handed over again after a minute.
func TestDecidedAtOnce(t *testing.T) {
	b := newBench(t, 13)
	first := b.step(0)
	if len(first) != 10 {
		t.Fatalf("handed over %d", len(first))
	}
	if again := b.step(10 * time.Second); len(again) != 0 {
		t.Errorf("handed over %v a second time", again)
	}
	b.conclude(first[:2]...)
	second := b.step(10 * time.Second)
	if len(second) != 2 || slices.Contains(first, second[0]) {
		t.Errorf("after two were done: %v", second)
	}
	if lost := b.step(45 * time.Second); len(lost) != 8 || !slices.Contains(first, lost[0]) {
		t.Errorf("after a minute: %v", lost)
	}
	b.conclude(append(first[2:], second...)...)
	if last := b.step(10 * time.Second); len(last) != 1 {
		t.Errorf("the last: %v", last)
	}
}

// An action that the bus does not take is offered again in the next step.
func TestDecidedRefused(t *testing.T) {
	b := newBench(t, 3)
	b.bus.takes, b.bus.fails = 1, errors.New("the bus is full")
	first := b.step(0)
	if second := b.step(time.Second); len(first) != 3 || len(second) != 2 || slices.Contains(second, first[0]) {
		t.Errorf("offered %v, then %v", first, second)
	}
}

// A backlog of days does not hold up decided actions.
func TestDecidedBesideBacklog(t *testing.T) {
	const backlog = 1000
	b := newBench(t, 0)
	for i := range backlog + 1 {
		action := investigation.Action{
			ID:        investigation.ID{TenantID: tenantID, ActionID: fmt.Sprintf("%040x", i)},
			MachineID: fmt.Sprintf("%040x", i), Status: investigation.StatusSucceeded,
			CreatedAt: b.now.Add(-time.Hour),
		}
		if i == backlog {
			action.Status = investigation.StatusFailed // the last to be seen
		}
		observe := investigation.Observe(action, b.now.Add(time.Duration(i)*time.Millisecond))
		if _, err := b.ledger.Change(t.Context(), action.ID, observe); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.step(time.Minute); len(got) != 1 || got[0].ActionID != fmt.Sprintf("%040x", backlog) {
		t.Errorf("handed over %v", got)
	}
}

// An action that its fetcher decided is not handed over before the fetcher's lease would have run out.
func TestDecidedUnderLease(t *testing.T) {
	b := newBench(t, 0)
	action := investigation.Action{
		ID: investigation.ID{
			TenantID: tenantID, ActionID: fmt.Sprintf("%040x", 1),
		},
		MachineID: fmt.Sprintf("%040x", 1), Status: investigation.StatusSucceeded, CreatedAt: b.now,
	}
	ctx := t.Context()
	_, err := b.ledger.Change(ctx, action.ID, investigation.Observe(action, b.now))
	if err == nil {
		_, err = b.ledger.Change(ctx, action.ID, investigation.Claim("ada", b.now, b.now.Add(30*time.Second)))
	}
	if err == nil {
		_, err = b.ledger.Seal(ctx, action.ID, investigation.Archive("ada", investigation.Arrival{
			At: b.now, Receipt: investigation.Receipt{Bucket: "b", Key: "packages/x.zip"},
		}), sealer{})
	}
	if err != nil {
		t.Fatal(err)
	}
	if early := b.step(20 * time.Second); len(early) != 0 {
		t.Errorf("handed over %v while its fetcher may be at work", early)
	}
	if late := b.step(15 * time.Second); len(late) != 1 || late[0] != action.ID {
		t.Errorf("handed over %v after its lease", late)
	}
}

// The poller finds the case id when it first sees the action, and the record keeps it.
func TestCaseIsObserved(t *testing.T) {
	b := newBench(t, 1)
	id := b.step(0)[0]
	records, err := b.ledger.Load(t.Context(), []investigation.ID{id})
	if err != nil || len(records) != 1 || records[0].CaseID != "INC-7" {
		t.Errorf("got %+v, %v", records, err)
	}
}
