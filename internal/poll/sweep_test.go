package poll_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/memory"
	"packhorse/internal/poll"
)

// long is a tenant with more actions than one call of List shows; each call shows one page.
type long struct {
	pages [][]investigation.Action
	odd   []error
	fails map[int]error // by number of the call, from 1
	asked []int         // the pages requested
}

func (l *long) List(_ context.Context, at investigation.Listing,
	see func([]investigation.Action, []error) bool,
) (investigation.Listing, error) {
	l.asked = append(l.asked, at.Pages)
	if err := l.fails[len(l.asked)]; err != nil {
		return at, err
	}
	if see(l.pages[at.Pages], l.odd) {
		at.Pages++
		at.Done = at.Pages == len(l.pages)
	}
	return at, nil
}

// waiting returns pages of actions that need no work, each of the same length.
func waiting(pages, each int) [][]investigation.Action {
	var all [][]investigation.Action
	for page := range pages {
		var actions []investigation.Action
		for i := range each {
			a := someAction("Pending", 2*time.Hour)
			a.ActionID = fmt.Sprintf("%040x", page*each+i)
			actions = append(actions, a)
		}
		all = append(all, actions)
	}
	return all
}

// slow is a ledger that is slow, and fails for some actions.
type slow struct {
	*memory.Ledger
	pause time.Duration
	fails map[string]bool

	mu       sync.Mutex // guards observed
	observed []string
}

var errLedger = errors.New("ledger unavailable")

func (s *slow) Change(ctx context.Context, id investigation.ID, c investigation.Change) (
	investigation.Record, error,
) {
	time.Sleep(s.pause)
	s.mu.Lock()
	s.observed = append(s.observed, id.ActionID)
	s.mu.Unlock()
	if s.fails[id.ActionID] {
		return investigation.Record{}, c.Explain(id, errLedger)
	}
	return s.Ledger.Change(ctx, id, c)
}

func pollerOf(t *testing.T, tenant poll.Defender, ledger poll.Ledger, log *strings.Builder) *poll.Poller {
	t.Helper()
	others := &free{}
	return poll.New(poll.Config{
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
		Now:        time.Now,
		Logger:     slog.New(slog.NewTextHandler(log, nil)),
	})
}

// bubble runs a test with a fake clock, in a year in which Defender exists.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		untilDefender()
		test(t)
	})
}

func (s *slow) known(t *testing.T, actions []investigation.Action) int {
	t.Helper()
	var ids []investigation.ID
	for _, a := range actions {
		ids = append(ids, a.ID)
	}
	records, err := s.Load(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	return len(records)
}

// A listing that one sweep cannot finish continues in the next, and Progress says so meanwhile.
func TestListingGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tenant, ledger := &long{pages: waiting(3, 4)}, &slow{Ledger: memory.NewLedger()}
		p := pollerOf(t, tenant, ledger, &strings.Builder{})
		for step := 1; step <= 4; step++ {
			progress, err := p.Step(t.Context())
			whole := step == 3
			if err != nil || progress.Swept != whole || progress.Listing == (step >= 3 && whole) ||
				(progress.Listing && (!progress.Busy || progress.Next.After(time.Now().Add(10*time.Second)))) {
				t.Errorf("step %d: got %+v, %v", step, progress, err)
			}
			time.Sleep(time.Minute)
		}
		if want := []int{0, 1, 2, 0}; !slices.Equal(tenant.asked, want) {
			t.Errorf("asked for pages %v, want %v", tenant.asked, want)
		}
		if got := len(ledger.observed); got != 12 {
			t.Errorf("%d observations, want one of each of 12 actions", got)
		}
	})
}

// A new Poller starts the listing over, even in the middle of another's.
func TestListingStartsOverInANewProcess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tenant, ledger := &long{pages: waiting(2, 3)}, &slow{Ledger: memory.NewLedger()}
		if _, err := pollerOf(t, tenant, ledger, &strings.Builder{}).Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		p := pollerOf(t, tenant, ledger, &strings.Builder{})
		for range 2 {
			if err := p.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if want := []int{0, 0, 1}; !slices.Equal(tenant.asked, want) {
			t.Errorf("asked for pages %v, want %v", tenant.asked, want)
		}
		if got := len(ledger.observed); got != 6 {
			t.Errorf("%d writes, want 6: known actions are only read", got)
		}
	})
}

// A postponed listing continues where it was; after any other failure it starts over with the newest.
func TestListingAfterAFailure(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want []int
	}{
		"postponed": {&investigation.PostponedError{RetryAt: time.Now(), Err: investigation.ErrBudgetSpent},
			[]int{0, 1, 1, 2}},
		"failed": {errors.New("the answer was 500"), []int{0, 1, 0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tenant := &long{pages: waiting(3, 1), fails: map[int]error{2: tt.err}}
				p := pollerOf(t, tenant, &slow{Ledger: memory.NewLedger()}, &strings.Builder{})
				for range 4 {
					_ = p.Sweep(t.Context()) // the second fails, as it should
				}
				if !slices.Equal(tenant.asked, tt.want) {
					t.Errorf("asked for pages %v, want %v", tenant.asked, tt.want)
				}
			})
		})
	}
}

// A sweep that takes too long ends early, so that ready actions are handed over in between.
func TestSweepTakesItsTimeInParts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tenant := &long{pages: waiting(1, 1000)}
		ledger := &slow{Ledger: memory.NewLedger(), pause: time.Second}
		p := pollerOf(t, tenant, ledger, &strings.Builder{})
		steps := 0
		for swept := false; !swept; steps++ {
			began := time.Now()
			progress, err := p.Step(t.Context())
			if took := time.Since(began); err != nil || took > 22*time.Second {
				t.Fatalf("a step took %v, %v", took, err)
			}
			swept = progress.Swept
			if steps > 10 {
				t.Fatal("the listing does not end")
			}
			time.Sleep(time.Until(progress.Next))
		}
		if len(ledger.observed) != 1000 || steps < 3 {
			t.Errorf("%d observations in %d steps, want one of each of 1000 actions", len(ledger.observed), steps)
		}
	})
}

// If the ledger fails for one action, the others are still observed.
func TestOneFailureCostsNoOtherAction(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tenant := &long{pages: waiting(1, 6)}
		all := tenant.pages[0]
		ledger := &slow{Ledger: memory.NewLedger(), fails: map[string]bool{
			all[0].ActionID: true, all[2].ActionID: true,
		}}
		p := pollerOf(t, tenant, ledger, &strings.Builder{})
		progress, err := p.Step(t.Context())
		if !errors.Is(err, errLedger) || !strings.Contains(err.Error(), all[2].ActionID) || progress.Swept {
			t.Errorf("got %+v, %v", progress, err)
		}
		if got := ledger.known(t, all); got != 4 {
			t.Errorf("the ledger knows %d of 6 actions, want the 4 it does not fail for", got)
		}
	})
}

// If the ledger fails for every action, the sweep gives up after a few of a thousand.
func TestABrokenLedgerEndsTheSweep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tenant := &long{pages: waiting(1, 1000)}
		ledger := &slow{Ledger: memory.NewLedger(), fails: map[string]bool{}}
		for _, a := range tenant.pages[0] {
			ledger.fails[a.ActionID] = true
		}
		_, err := pollerOf(t, tenant, ledger, &strings.Builder{}).Step(t.Context())
		if !errors.Is(err, errLedger) || len(ledger.observed) != 5 {
			t.Errorf("got %v after %d observations, want 5", err, len(ledger.observed))
		}
	})
}

// Every invalid row is logged once.
func TestOddRowsAreLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log strings.Builder
		tenant := &long{pages: waiting(1, 1), odd: []error{errors.New("row 7: year 10000")}}
		p := pollerOf(t, tenant, &slow{Ledger: memory.NewLedger()}, &log)
		for range 2 {
			if err := p.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Count(log.String(), "year 10000") != 1 {
			t.Errorf("logged %s", log.String())
		}
	})
}

// The poller forgets actions that leave the window: one that comes back is read from the ledger again.
func TestMemoryForgets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tenant := &long{pages: waiting(1, 2)}
		both := tenant.pages[0]
		ledger := &slow{Ledger: memory.NewLedger()}
		counted := &loads{slow: ledger}
		p := pollerOf(t, tenant, counted, &strings.Builder{})
		for _, shown := range [][]investigation.Action{both, both, both[:1], both} {
			tenant.pages[0] = shown
			if err := p.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute) // the next listing is a whole one
		}
		if want := []int{2, 1}; !slices.Equal(counted.asked, want) {
			t.Errorf("loaded %v actions, want %v", counted.asked, want)
		}
	})
}

type loads struct {
	*slow
	asked []int
}

func (l *loads) Load(ctx context.Context, ids []investigation.ID) ([]investigation.Record, error) {
	l.asked = append(l.asked, len(ids))
	return l.slow.Load(ctx, ids)
}
