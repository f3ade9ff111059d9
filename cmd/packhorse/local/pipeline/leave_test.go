package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/cmd/packhorse/local/pipeline"
	"packhorse/internal/investigation"
	"packhorse/internal/ratelimit"
)

// slowly is a world whose packages take a while to store.
type slowly struct {
	*world
	takes time.Duration
}

func (s slowly) Store(ctx context.Context, place investigation.Placement, pkg investigation.Package) (
	investigation.Stored, error,
) {
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return investigation.Stored{}, ctx.Err()
	}
	return s.world.Store(ctx, place, pkg)
}

// sharing returns the configuration of one tenant among several.
func (s *world) sharing(share *pipeline.Share) pipeline.Config {
	return pipeline.Config{
		Defender: s, Ledger: s.Ledger, Archive: s, Space: s, Custody: s,
		Budget:   ratelimit.NewGauge(ratelimit.NewMemory(), ratelimit.Budget{Name: "links", PerMinute: 2, PerHour: 120}),
		TenantID: tenant, Lookback: 168 * time.Hour, Every: 10 * time.Second,
		Prefix: "packages/", Lease: time.Minute, NewOwner: func() string { return "owner" },
		Mendable: func(err error) bool { return errors.Is(err, errRefused) },
		Failing:  func(error) {}, Quiet: true, Heartbeat: time.Minute, Share: share,
		Reporter: s, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}
}

// TestLeave: a pipeline that leaves its tenant finishes what is under way, and begins nothing new.
func TestLeave(t *testing.T) {
	today(t, func(t *testing.T) {
		s := newWorld()
		for i := range 9 {
			s.actions = append(s.actions, action(i, "Succeeded", time.Hour))
		}
		c := s.sharing(pipeline.NewShare())
		c.Archive = slowly{s, 10 * time.Minute}
		p := pipeline.New(c)
		ended := make(chan error, 1)
		go func() { ended <- p.Run(t.Context(), true) }()
		time.Sleep(30 * time.Second)
		p.Leave()
		p.Leave() // once more does nothing
		listed, links := s.counts()
		if links == 0 || links == len(s.actions) {
			t.Fatalf("%d links at the time of leaving", links)
		}
		began := time.Now()
		if err := <-ended; err != nil {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took < 9*time.Minute || took > 10*time.Minute {
			t.Errorf("it took %v to leave", took)
		}
		listedLater, linksLater := s.counts()
		if listedLater != listed || linksLater != links || len(s.stored) != links {
			t.Errorf("%d lists, %d links and %d packages, want %d, %d and %d", listedLater, linksLater, len(s.stored), listed,
				links, links)
		}
	})
}

func (s *world) counts() (listed, links int) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listed, s.links
}

// TestLeaveBeforeTheFirstSweep: a tenant whose Defender is down is left at once.
func TestLeaveBeforeTheFirstSweep(t *testing.T) {
	today(t, func(t *testing.T) {
		s := newWorld()
		s.list = func(int) error { return errors.New("503 Service Unavailable") }
		p := pipeline.New(s.sharing(pipeline.NewShare()))
		time.AfterFunc(time.Minute, p.Leave)
		began := time.Now()
		if err := p.Run(t.Context(), true); err != nil || time.Since(began) != time.Minute {
			t.Errorf("after %v: got %v", time.Since(began), err)
		}
	})
}

// TestFailing: a quiet pipeline logs no failure, and tells of it instead, until a sweep succeeds.
func TestFailing(t *testing.T) {
	today(t, func(t *testing.T) {
		s := newWorld(action(1, "Pending", time.Minute))
		s.list = func(n int) error {
			if n < 3 || n > 5 && n < 9 {
				return errors.New("503 Service Unavailable")
			}
			return nil
		}
		var told []string
		var log bytes.Buffer
		c := s.sharing(pipeline.NewShare())
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.Failing = func(err error) {
			word := "works"
			if err != nil {
				word = "fails"
			}
			if len(told) == 0 || told[len(told)-1] != word {
				told = append(told, word)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := pipeline.New(c).Run(ctx, false); err != nil {
			t.Error(err)
		}
		if got := strings.Join(told, " "); got != "fails works fails works" || log.Len() > 0 {
			t.Errorf("told %s, logged %s", got, log.String())
		}
	})
}

// hanging is a Defender whose lists never answer.
type hanging struct{ *world }

func (hanging) List(ctx context.Context, at investigation.Listing, _ func([]investigation.Action, []error) bool) (
	investigation.Listing, error,
) {
	select {
	case <-time.After(time.Minute): // the call's own deadline
		return at, errors.New("timeout")
	case <-ctx.Done():
		return at, ctx.Err()
	}
}

// TestShare: tenants whose connections hang, however many they are, do not hold up another's sweeps.
func TestShare(t *testing.T) {
	today(t, func(t *testing.T) {
		share := pipeline.NewShare()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 200 {
			c := newWorld().sharing(share)
			c.Defender = hanging{newWorld()}
			go func() { _ = pipeline.New(c).Run(ctx, false) }()
		}
		time.Sleep(15 * time.Minute) // all hang, and are known to
		s := newWorld(action(1, "Succeeded", time.Hour), action(2, "Failed", time.Hour))
		began := time.Now()
		if err := pipeline.New(s.sharing(share)).Run(ctx, true); err != nil || len(s.stored) != 1 {
			t.Errorf("got %d packages, %v", len(s.stored), err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
