package poll_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/memory"
	"packhorse/internal/poll"
	"packhorse/internal/tenant"
)

// register is a registry whose next list and error a test sets.
type register struct {
	worlds map[string]*world
	err    error
}

func (r *register) members(context.Context) ([]poll.Member, error) {
	var all []poll.Member
	for id, w := range r.worlds {
		w.ledger = memory.NewLedger()
		all = append(all, poll.Member{ID: id, Open: func() (*poll.Poller, error) {
			return poll.New(poll.Config{
				Defender: w, Ledger: w.ledger, Health: w.ledger, Bus: w, Budget: w, TenantID: id,
				Cases: investigation.DefaultCases(), Lookback: 168 * time.Hour, SweepEvery: 10 * time.Second,
				Heartbeat: heartbeat, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			}), nil
		}})
	}
	return all, r.err
}

// A fleet serves on whom it serves while the registry cannot be read, and drops at once who is not listed any more.
// What is wrong with the registry shows beside that as one failing tenant.
func TestFleetAndItsRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		untilDefender()
		one, other := &world{}, &world{}
		r := &register{worlds: map[string]*world{"one": one, "other": other}}
		fleet := poll.NewFleet(poll.FleetConfig{Members: r.members, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		tick := func(wantErr error, tenants, failing, listedOne, listedOther int) {
			t.Helper()
			one.listed, other.listed = 0, 0
			answer, err := fleet.Tick(t.Context(), time.Now().Add(time.Second), poll.Shard{})
			if !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
				t.Errorf("got %v, want %v", err, wantErr)
			}
			if answer.Tenants != tenants || answer.Failing != failing || one.listed != listedOne || other.listed != listedOther {
				t.Errorf("got %+v, listed %d and %d; want %d tenants, %d failing, listed %d and %d", answer, one.listed,
					other.listed, tenants, failing, listedOne, listedOther)
			}
			time.Sleep(time.Minute)
		}
		tick(nil, 2, 0, 1, 1)

		gone := errors.New("the registry cannot be read")
		r.worlds, r.err = nil, gone
		tick(gone, 3, 1, 1, 1)

		r.worlds, r.err = map[string]*world{"one": one}, fmt.Errorf("%w: no name", tenant.ErrInvalid)
		tick(tenant.ErrInvalid, 2, 1, 1, 0)

		r.worlds, r.err = map[string]*world{"other": other}, nil
		tick(nil, 1, 0, 0, 1)
	})
}

// A tenant that has not consented is counted in each tick until a sweep succeeds, also while it backs off.
func TestFleetCountsWhoHasNotConsented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		untilDefender()
		w := &world{fails: investigation.Because(investigation.CauseConsent, errors.New("AADSTS65001"))}
		r := &register{worlds: map[string]*world{"one": w, "other": {fails: errors.New("503")}, "third": {}}}
		fleet := poll.NewFleet(poll.FleetConfig{Members: r.members, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		tick := func(failing, withoutConsent int) {
			t.Helper()
			answer, _ := fleet.Tick(t.Context(), time.Now().Add(time.Second), poll.Shard{})
			if answer.Tenants != 3 || answer.Failing != failing || answer.WithoutConsent != withoutConsent {
				t.Errorf("got %+v, want %d failing, %d without consent", answer, failing, withoutConsent)
			}
		}
		for range 40 { // ten minutes: most of these ticks take no step of the two
			tick(2, 1)
			time.Sleep(15 * time.Second)
		}
		w.fails = nil
		time.Sleep(5 * time.Minute)
		tick(1, 0)
	})
}
