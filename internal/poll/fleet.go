package poll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

const (
	// atOnce is how many tenants take a step at the same time. Most of a step is waiting for Defender.
	atOnce = 50

	// strugglingAtOnce is how many of those may be tenants whose last step failed, so that tenants whose
	// connections hang leave room for the others.
	strugglingAtOnce = 5

	// stepMax bounds one step of one tenant: a listing, and then the work that is due.
	stepMax = 45 * time.Second

	// backoffMin is the pause of a tenant after a failed step. It doubles with each failure in a row, up to
	// backoffMax, so that a tenant that is mended is noticed soon.
	backoffMin = 15 * time.Second
	backoffMax = 4 * time.Minute
)

// Member is one tenant of a fleet.
type Member struct {
	ID string
	// Version changes with the tenant's settings. A Poller of an earlier version is replaced.
	Version string
	// Open makes the tenant's Poller. Nothing is sent before its first step.
	Open func() (*Poller, error)
}

// FleetConfig is what a [Fleet] works with. Every field is required.
type FleetConfig struct {
	// Members returns the tenants to serve now. An error that wraps tenant.ErrInvalid is about tenants that cannot
	// be served; the others are returned beside it. After any other error the list may lack tenants: those that are
	// served already are served on.
	Members func(ctx context.Context) ([]Member, error)

	Now    func() time.Time
	Logger *slog.Logger
}

// Fleet serves many tenants in turn, the least recently swept first. Each tenant takes its steps by itself: none
// waits for another's failure, throttle or backlog. It is not safe for concurrent use.
type Fleet struct {
	members func(ctx context.Context) ([]Member, error)
	now     func() time.Time
	logger  *slog.Logger

	served map[string]*served
}

// served is a tenant with its Poller.
type served struct {
	id, version string
	poller      *Poller
	broken      error     // why it has no Poller
	nextAt      time.Time // when its next step is due
	failures    int       // steps in a row that failed
	noConsent   bool      // the last sweep failed because the tenant has not consented to the app

	// Of the tick under way:
	did    Answer
	failed bool // a step failed
}

// NewFleet returns a Fleet without tenants. Its memory of them lives as long as the Fleet.
func NewFleet(c FleetConfig) *Fleet {
	return &Fleet{members: c.Members, now: c.Now, logger: c.Logger, served: map[string]*served{}}
}

// Tick serves every tenant of the shard once, and those with something worth waiting for until then. It returns the
// combined result. A tenant's failure does not affect the others; the error joins them all, and Answer.Failing says how
// many tenants had one. Failed work is due again.
func (f *Fleet) Tick(ctx context.Context, until time.Time, shard Shard) (Answer, error) {
	t := tick{fleet: f, until: until, ended: make(chan struct{}, 1)}
	ours, unlisted := f.refresh(ctx, shard)
	if unlisted != nil {
		t.failures.add(unlisted)
	}
	for _, s := range ours {
		s.did, s.failed = Answer{}, s.broken != nil
		if s.broken == nil {
			t.waiting = append(t.waiting, s)
		} else {
			t.failures.add(fmt.Errorf("tenant %s: %w", s.id, s.broken))
		}
	}
	t.run(ctx)
	answer := result(ours, f.now())
	if unlisted != nil { // counts as one more tenant, because nobody knows how many
		answer.Tenants++
		answer.Failing++
	}
	return answer, errors.Join(t.failures.join(), context.Cause(ctx))
}

// result combines what the tenants did in this tick.
func result(tenants []*served, now time.Time) Answer {
	answer := Answer{Tenants: len(tenants)}
	for _, s := range tenants {
		answer = answer.beside(s.did)
		if s.failed || s.failures > 0 { // one that backs off may have taken no step
			answer.Failing++
		}
		if s.noConsent {
			answer.WithoutConsent++
		}
		answer.StalestSeconds = max(answer.StalestSeconds, s.stale(now))
	}
	return answer
}

// stale returns for how many seconds the tenant has not been swept, as far as this process knows.
func (s *served) stale(now time.Time) int {
	if s.poller == nil || s.poller.health.now.SweptAt.IsZero() {
		return 0
	}
	return int(now.Sub(s.poller.health.now.SweptAt).Seconds())
}

// refresh brings the served tenants up to date with the members, and returns those of the shard. It does what it can
// beside its error. It keeps its memory of the other shards' tenants: the platform lets one process serve now this
// shard, now that one.
func (f *Fleet) refresh(ctx context.Context, shard Shard) (ours []*served, err error) {
	members, err := f.members(ctx)
	if err != nil {
		err = fmt.Errorf("list the tenants: %w", err)
	}
	current := map[string]bool{}
	for _, m := range members {
		current[m.ID] = true
		if shard.has(m.ID) {
			f.serve(ctx, m)
		}
	}
	for id, s := range f.served {
		switch {
		case !current[id] && (err == nil || errors.Is(err, tenant.ErrInvalid)):
			delete(f.served, id)
		case shard.has(id):
			ours = append(ours, s)
		}
	}
	return ours, err
}

// serve opens the member, unless it is open with these settings.
func (f *Fleet) serve(ctx context.Context, m Member) {
	if s, known := f.served[m.ID]; known && s.version == m.Version && s.broken == nil {
		return
	}
	s := &served{id: m.ID, version: m.Version}
	s.poller, s.broken = m.Open()
	if s.broken != nil {
		f.logger.ErrorContext(ctx, "cannot serve a tenant: its settings are wrong",
			slog.String("tenantId", m.ID), slog.String("error", s.broken.Error()))
	}
	f.served[m.ID] = s
}

// tick is one invocation: tenants whose next step is due before its end.
type tick struct {
	fleet *Fleet
	until time.Time
	ended chan struct{} // holds a token if a step has ended since the loop last looked

	mu         sync.Mutex // guards the fields below
	waiting    []*served  // whose next step may be taken in this tick
	working    int        // tenants that take a step now
	struggling int        // those of them whose last step failed
	failures   errorList
}

// run takes steps until none is due before the end, or the context ends.
func (t *tick) run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	for ctx.Err() == nil {
		next, wake, over := t.take()
		switch {
		case over:
			return
		case next != nil:
			work.Go(func() { t.step(ctx, next) })
		default:
			t.wait(ctx, wake)
		}
	}
}

// wait waits until a step ends, or until the time to wake, unless that is zero.
func (t *tick) wait(ctx context.Context, wake time.Time) {
	if !wake.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, wake.Sub(t.fleet.now()))
		defer stop()
	}
	select {
	case <-t.ended:
	case <-ctx.Done():
	}
}

// take returns the tenant whose step has been due the longest, if there is room for it. Otherwise it returns when
// to look again: the zero time means when a step ends. over says that the tick has nothing left to do.
func (t *tick) take() (next *served, wake time.Time, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.SortStableFunc(t.waiting, func(a, b *served) int { return a.nextAt.Compare(b.nextAt) })
	now := t.fleet.now()
	for i, s := range t.waiting {
		switch {
		case t.working == atOnce:
			return nil, time.Time{}, false
		case s.nextAt.After(t.until):
			return nil, time.Time{}, t.working == 0
		case s.nextAt.After(now):
			return nil, s.nextAt, false
		case s.failures > 0 && t.struggling == strugglingAtOnce:
			continue
		}
		t.waiting = slices.Delete(t.waiting, i, i+1)
		t.working++
		if s.failures > 0 {
			t.struggling++
		}
		return s, time.Time{}, false
	}
	return nil, time.Time{}, t.working == 0
}

// step takes one step of a tenant.
func (t *tick) step(ctx context.Context, s *served) {
	struggled := s.failures > 0
	bounded, cancel := context.WithTimeout(ctx, stepMax)
	progress, err := s.poller.Step(bounded)
	cancel()
	s.nextAt = progress.Next
	if err == nil || progress.Bad {
		s.failures = 0
	} else {
		s.failures++
		if again := t.fleet.now().Add(backoff(s.failures)); again.After(s.nextAt) {
			s.nextAt = again
		}
	}
	if progress.Swept || progress.SweepFailed != nil {
		s.noConsent = investigation.CauseOf(progress.SweepFailed) == investigation.CauseConsent
	}
	s.did = s.did.and(progress.Did)

	t.mu.Lock()
	defer t.mu.Unlock()
	t.working--
	if struggled {
		t.struggling--
	}
	if err != nil {
		s.failed = true
		t.failures.add(fmt.Errorf("tenant %s: %w", s.id, err))
	}
	if progress.Busy {
		t.waiting = append(t.waiting, s)
	}
	select {
	case t.ended <- struct{}{}:
	default: // the loop has yet to notice an earlier one
	}
}

// backoff returns the pause after the n-th failure in a row.
func backoff(n int) time.Duration {
	return min(backoffMin<<min(n-1, 10), backoffMax)
}
