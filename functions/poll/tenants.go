package main

import (
	"context"
	"log/slog"
	"time"

	"packhorse/functions/internal/wiring"
	"packhorse/internal/defender"
	"packhorse/internal/poll"
	"packhorse/internal/roster"
	"packhorse/internal/tenant"
)

// tenants makes the pollers of the tenants that the roster lists. It is not safe for concurrent use.
type tenants struct {
	parts  wiring.Parts
	logger *slog.Logger
	apps   map[string]*defender.App // of the tenants in the last list, by id
}

func newTenants(parts wiring.Parts, logger *slog.Logger) *tenants {
	return &tenants{parts: parts, logger: logger, apps: map[string]*defender.App{}}
}

// members returns the tenants to serve; see [poll.FleetConfig]. The registry is read each time, so a change of it
// has an effect with the next tick.
func (t *tenants) members(ctx context.Context) ([]poll.Member, error) {
	all, err := t.parts.Roster.All(ctx)
	heartbeat := tenant.Heartbeat(len(all))
	apps := make(map[string]*defender.App, len(all))
	members := make([]poll.Member, 0, len(all))
	for _, one := range all {
		id := one.Settings.TenantID
		if app, open := t.apps[id]; open {
			apps[id] = app
		}
		members = append(members, poll.Member{
			ID: id, Version: one.Version,
			Open: func() (*poll.Poller, error) { return t.open(one, heartbeat) },
		})
	}
	t.apps = apps
	return members, err
}

func (t *tenants) open(one roster.Member, heartbeat time.Duration) (*poll.Poller, error) {
	s := one.Settings
	app, client, err := t.parts.Defender(s)
	if err != nil {
		return nil, err
	}
	t.apps[s.TenantID] = app
	return poll.New(poll.Config{
		Defender:   client,
		Ledger:     t.parts.Ledger,
		Health:     t.parts.Ledger,
		Bus:        t.parts.Bus,
		Budget:     client.Gauge,
		TenantID:   s.TenantID,
		Cases:      s.CasePattern,
		Lookback:   s.Lookback,
		SweepEvery: s.SweepInterval,
		Heartbeat:  heartbeat,
		Now:        time.Now,
		Logger:     t.logger,
	}), nil
}

// expires returns when the first of the tenants' credentials expires, among those that Entra ID has accepted. It is
// zero if none does.
func (t *tenants) expires() time.Time {
	var first time.Time
	for _, app := range t.apps {
		at := app.Standing().Expires
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}
