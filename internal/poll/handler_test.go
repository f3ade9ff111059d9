package poll_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/memory"
	"packhorse/internal/poll"
)

const tenantID = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"

// heartbeat is that of a single tenant.
const heartbeat = 55 * time.Second

// world is a tenant with actions, a bus that takes everything and a budget that is always free.
type world struct {
	actions []investigation.Action
	second  []investigation.Action // listed from the second time on, unless nil
	fails   error
	listed  int
	ready   int
	decided int
	ledger  *memory.Ledger
}

func (w *world) List(_ context.Context, at investigation.Listing,
	see func([]investigation.Action, []error) bool,
) (investigation.Listing, error) {
	w.listed++
	time.Sleep(250 * time.Millisecond)
	if w.listed == 2 && w.second != nil {
		w.actions = w.second
	}
	at.Done = w.fails == nil && see(slices.Clone(w.actions), nil)
	return at, w.fails
}

func (w *world) Ready(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	w.ready += len(ids)
	return ids, nil
}

// Decided concludes the actions, as the fetch function does.
func (w *world) Decided(ctx context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	w.decided += len(ids)
	for _, id := range ids {
		_, err := w.ledger.Seal(ctx, id, investigation.Unchanged(), sealer{})
		if err != nil {
			return nil, err
		}
		_, err = w.ledger.Change(ctx, id, investigation.Announce(investigation.Conclusion{At: time.Now()}))
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func (w *world) FreeAt(context.Context) ([]time.Time, error) {
	return []time.Time{time.Now(), time.Now()}, nil
}

// handle runs one invocation with limit as the function's timeout.
func handle(t *testing.T, w *world, limit time.Duration) (poll.Answer, time.Duration, string, error) {
	t.Helper()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	w.ledger = memory.NewLedger()
	poller := poll.New(poll.Config{
		Defender:   w,
		Ledger:     w.ledger,
		Health:     w.ledger,
		Bus:        w,
		Budget:     w,
		TenantID:   tenantID,
		Cases:      investigation.DefaultCases(),
		Lookback:   168 * time.Hour,
		SweepEvery: 10 * time.Second,
		Heartbeat:  heartbeat,
		Now:        time.Now,
		Logger:     logger,
	})
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	answer, err := poll.NewHandler(fleetOf(logger, poller), time.Now, logger).Handle(ctx, poll.Shard{})
	return answer, time.Since(began), log.String(), err
}

// fleetOf returns a fleet of these pollers.
func fleetOf(logger *slog.Logger, pollers ...*poll.Poller) *poll.Fleet {
	var members []poll.Member
	for i, p := range pollers {
		members = append(members, poll.Member{
			ID: fmt.Sprint("tenant ", i), Open: func() (*poll.Poller, error) { return p, nil },
		})
	}
	return poll.NewFleet(poll.FleetConfig{
		Members: func(context.Context) ([]poll.Member, error) { return members, nil }, Now: time.Now, Logger: logger,
	})
}

// untilDefender moves a bubble's clock, which starts in 2000, to a year in which Defender exists.
func untilDefender() { time.Sleep(26 * 366 * 24 * time.Hour) }

func someAction(status investigation.Status, age time.Duration) investigation.Action {
	created := time.Now().Add(-age)
	return investigation.Action{
		ID: investigation.ID{TenantID: tenantID, ActionID: strings.Repeat("a", 40)}, Status: status,
		MachineID: strings.Repeat("b", 40), CreatedAt: created, LastUpdatedAt: created.Add(time.Minute),
	}
}

// A tick lasts as long as something may become ready, but ends before the platform would kill it.
func TestTickLength(t *testing.T) {
	for name, test := range map[string]struct {
		status   investigation.Status
		limit    time.Duration
		min, max time.Duration
	}{
		"nothing young":     {"Failed", 90 * time.Second, 0, 11 * time.Second},
		"young":             {"Pending", 90 * time.Second, 50 * time.Second, 62 * time.Second},
		"young, short time": {"Pending", 30 * time.Second, 9 * time.Second, 21 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				untilDefender()
				w := &world{actions: []investigation.Action{someAction(test.status, 5*time.Minute)}}
				_, took, log, err := handle(t, w, test.limit)
				if err != nil || took < test.min || took > test.max {
					t.Errorf("it took %v, %v; logged %s", took, err, log)
				}
			})
		})
	}
}

// A tick counts its results: the metrics and the alarm on the oldest package depend on them.
func TestTickCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		untilDefender()
		failed, late := someAction("Failed", time.Hour), someAction("Pending", time.Minute)
		failed.ActionID, late.ActionID = strings.Repeat("c", 40), strings.Repeat("d", 40)
		w := &world{actions: []investigation.Action{someAction("Succeeded", 2*time.Hour), failed, late}}
		w.second = slices.Clone(w.actions)
		w.second[2].Status = investigation.StatusSucceeded
		answer, _, log, err := handle(t, w, 90*time.Second)
		if err != nil || answer.Due != 2 || answer.OldestReadySeconds < 7140 {
			t.Errorf("got %+v, %v; logged %s", answer, err, log)
		}
		answer.OldestReadySeconds = 0
		want := poll.Answer{Sweeps: w.listed, Completed: w.listed, LongestSweepSeconds: 0.25, Seen: 3, Ready: 2, NotCollected: 1,
			HandedOver: w.ready, Decided: w.decided, Tenants: 1, Due: 2}
		if answer != want || w.ready < 2 || w.decided != 1 || w.listed < 2 {
			t.Errorf("got %+v, want %+v", answer, want)
		}
	})
}

// A failure is returned as the invocation's error, so that the platform counts it, and logged in one
// line.
func TestTickFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{fails: errors.New("outage")}
		_, _, log, err := handle(t, w, 90*time.Second)
		if !errors.Is(err, w.fails) || strings.Count(log, "level=ERROR") != 1 {
			t.Errorf("got %v; logged %s", err, log)
		}
	})
}
