package poll_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/memory"
	"packhorse/internal/poll"
	"packhorse/internal/tenant"
)

// healths counts how often a health is read and written.
type healths struct {
	*memory.Ledger
	reads, writes int
	fails         error
}

func (h *healths) Health(ctx context.Context, tenantID string) (tenant.Health, error) {
	h.reads++
	if h.fails != nil {
		return tenant.Health{}, h.fails
	}
	return h.Ledger.Health(ctx, tenantID)
}

func (h *healths) SetHealth(ctx context.Context, tenantID string, health tenant.Health) error {
	h.writes++
	if h.fails != nil {
		return h.fails
	}
	return h.Ledger.SetHealth(ctx, tenantID, health)
}

// patient is a poller of a tenant with one young action, so that it sweeps every ten seconds.
func patient(w *world, store *healths, log *strings.Builder) *poll.Poller {
	w.ledger = store.Ledger
	w.actions = []investigation.Action{someAction("Pending", time.Second)}
	return poll.New(poll.Config{
		Defender: w, Ledger: store.Ledger, Health: store, Bus: w, Budget: w, TenantID: tenantID,
		Cases: investigation.DefaultCases(), Lookback: 168 * time.Hour, SweepEvery: 10 * time.Second, Heartbeat: heartbeat,
		Now: time.Now, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
}

// sweep takes steps for that long, and returns how the health is stored afterwards.
func (h *healths) sweep(t *testing.T, p *poll.Poller, length time.Duration) (tenant.Health, error) {
	t.Helper()
	var last error
	for end := time.Now().Add(length); time.Now().Before(end); {
		progress, err := p.Step(t.Context())
		last = err
		time.Sleep(time.Until(progress.Next))
	}
	health, err := h.Ledger.Health(t.Context(), tenantID)
	if err != nil {
		t.Fatal(err)
	}
	return health, last
}

// A health is stored when it changes and otherwise about once a minute, is read once per process, and tells
// since when sweeps fail even after a new process took over.
func TestHealthIsStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, w, log := &healths{Ledger: memory.NewLedger()}, &world{}, &strings.Builder{}
		p := patient(w, store, log)
		well, err := store.sweep(t, p, 5*time.Minute)
		if err != nil || store.writes < 5 || store.writes > 6 || store.reads != 1 || w.listed < 29 {
			t.Errorf("%d writes and %d reads in %d sweeps, %v", store.writes, store.reads, w.listed, err)
		}
		if age := time.Since(well.SweptAt); age > time.Minute || !well.FailingSince.IsZero() || well.Message != "" {
			t.Errorf("swept %v ago: %+v", age, well)
		}

		store.writes = 0
		w.fails = errors.New("get a token: Entra ID refused https://login.test/x?secret=hunter2hunter2: " + strings.Repeat("why ", 1000))
		began := time.Now()
		ill, err := store.sweep(t, p, 5*time.Minute)
		if err == nil || store.writes < 5 || store.writes > 7 {
			t.Errorf("%d writes in five minutes of failures, %v", store.writes, err)
		}
		if since := ill.FailingSince.Sub(began); since < 0 || since > 11*time.Second || time.Since(ill.SweptAt) < 5*time.Minute ||
			!strings.Contains(ill.Message, "Entra ID refused") || strings.Contains(ill.Message, "hunter2") ||
			strings.Contains(ill.Message, "login.test") || len(ill.Message) > 510 {
			t.Errorf("failing since %v: %+v", since, ill)
		}

		p = patient(w, store, log)
		if on, _ := store.sweep(t, p, 5*time.Minute); on.FailingSince != ill.FailingSince || on.SweptAt != ill.SweptAt {
			t.Errorf("a new process forgot since when: %+v", on)
		}
		w.fails, store.writes = nil, 0
		if again, err := store.sweep(t, p, 15*time.Second); err != nil || !again.FailingSince.IsZero() || store.writes != 1 {
			t.Errorf("after a success: %+v, %d writes, %v", again, store.writes, err)
		}
		if log.Len() > 0 {
			t.Errorf("logged %s", log)
		}
	})
}

// A store that fails does not fail a step. It is logged, and tried again.
func TestHealthCannotBeStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, w, log := &healths{Ledger: memory.NewLedger(), fails: errLedger}, &world{}, &strings.Builder{}
		p := patient(w, store, log)
		if _, err := store.sweep(t, p, time.Minute); err != nil || !strings.Contains(log.String(), errLedger.Error()) {
			t.Errorf("got %v, logged %s", err, log)
		}
		store.fails = fmt.Errorf("%w: a time is not a number", investigation.ErrBadRecord)
		if _, err := store.sweep(t, p, time.Minute); err != nil || store.writes == 0 {
			t.Errorf("a malformed health: %v, %d writes", err, store.writes)
		}
		store.fails = nil
		if health, err := store.sweep(t, p, 15*time.Second); err != nil || health.SweptAt.IsZero() {
			t.Errorf("got %+v, %v", health, err)
		}
	})
}

// What says nothing about the tenant changes nothing: a sweep that ran out of budget or of time, or was stopped.
func TestHealthOfOtherSweeps(t *testing.T) {
	for name, w := range map[string]*world{
		"budget":  {fails: &investigation.PostponedError{RetryAt: time.Now(), Err: investigation.ErrBudgetSpent}},
		"stopped": {fails: context.Canceled},
	} {
		bubble(t, func(t *testing.T) {
			store := &healths{Ledger: memory.NewLedger()}
			p := patient(w, store, &strings.Builder{})
			ctx, cancel := context.WithCancel(t.Context())
			if name == "stopped" {
				cancel()
			}
			_, _ = p.Step(ctx)
			cancel()
			if store.reads+store.writes > 0 {
				t.Errorf("%s: %d reads, %d writes", name, store.reads, store.writes)
			}
		})
	}
	bubble(t, func(t *testing.T) {
		tenant, store := &long{pages: waiting(3, 4)}, &healths{Ledger: memory.NewLedger()}
		p := poll.New(poll.Config{
			Defender: tenant, Ledger: store.Ledger, Health: store, Bus: &free{}, Budget: &free{}, TenantID: tenantID,
			Lookback: 168 * time.Hour, SweepEvery: 10 * time.Second, Heartbeat: heartbeat, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		})
		for sweep, want := range []int{0, 0, 1} {
			if err := p.Sweep(t.Context()); err != nil || store.writes != want {
				t.Errorf("sweep %d of a listing of three: %d writes, %v", sweep, store.writes, err)
			}
		}
	})
}
