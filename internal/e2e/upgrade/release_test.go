package upgrade_test

import (
	"context"
	"fmt"
	"time"

	"packhorse/internal/event"
	"packhorse/internal/fetch"
	"packhorse/internal/poll"
	"packhorse/internal/ratelimit"
	"packhorse/internal/roster"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

// release is the program of this release: both functions. This is the only file that differs in another release.
type release struct {
	tick   func(ctx context.Context) error
	handle func(ctx context.Context, e event.Envelope) (fetch.Answer, error)
}

// start starts the functions with a registry of tenants, or nil. They are wired as functions/ does it, but for the
// clock.
func (w *world) start(environ map[string]string, registry roster.Registry) *release {
	w.t.Helper()
	all, err := roster.New(settings.FetchBase(environ), registry)
	if err != nil {
		w.t.Fatal(err)
	}
	fleet := poll.NewFleet(poll.FleetConfig{
		Members: func(ctx context.Context) ([]poll.Member, error) { return w.members(ctx, all) },
		Now:     w.now, Logger: w.logger(),
	})
	tenants := fetch.NewTenants(func(ctx context.Context, id string) (fetch.Member, error) {
		one, err := all.Get(ctx, id)
		return fetch.Member{
			Version: one.Version,
			Open:    func() (*fetch.Fetcher, error) { return w.fetcher(one.Settings), nil },
		}, err
	}, w.now)
	handler := fetch.NewHandler(tenants, w.logger())
	return &release{
		tick: func(ctx context.Context) error {
			_, err := fleet.Tick(ctx, w.now(), poll.Shard{})
			return err
		},
		handle: handler.Handle,
	}
}

func (w *world) members(ctx context.Context, all *roster.Roster) ([]poll.Member, error) {
	served, err := all.All(ctx)
	if err != nil {
		return nil, err
	}
	if len(served) != 1 {
		return nil, fmt.Errorf("%d tenants are served", len(served))
	}
	one := served[0]
	return []poll.Member{{
		ID: one.Settings.TenantID, Version: one.Version,
		Open: func() (*poll.Poller, error) { return w.poller(one.Settings, tenant.Heartbeat(1)), nil },
	}}, nil
}

func (w *world) poller(s settings.Settings, heartbeat time.Duration) *poll.Poller {
	return poll.New(poll.Config{
		Defender: w.defender(s), Ledger: w.ledger, Health: w.ledger, Bus: busPort{w},
		Budget: ratelimit.NewGauge(w.counter, budgetOf(s)), TenantID: s.TenantID, Cases: s.CasePattern,
		Lookback: s.Lookback, SweepEvery: s.SweepInterval, Heartbeat: heartbeat, Now: w.now, Logger: w.logger(),
	})
}
