package poll_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/memory"
	"packhorse/internal/poll"
	"packhorse/internal/racing"
)

const (
	// firstSeen is how many actions a tenant has when it is seen for the first time.
	firstSeen = 20_000

	// callTakes is how long DynamoDB takes for one call, and pageTakes how long Defender takes for a page.
	callTakes = 5 * time.Millisecond
	pageTakes = 2 * time.Second

	// firstSight is the goal: a package that is ready is handed over this soon, wherever in the listing it is.
	firstSight = 30 * time.Second
)

// remote is a ledger as far away as DynamoDB, which may fail for some calls. It counts the changes.
type remote struct {
	*memory.Ledger
	// refuses and loses say whether the n-th change fails before or after it was written; nil is never.
	refuses, loses func(n int) bool

	mu      sync.Mutex // guards what follows
	n       int
	last    map[investigation.ID]investigation.Record
	written map[string]int // changes of the record, by action
	atOnce  int
	most    int // changes at the same time
}

func newRemote() *remote {
	return &remote{Ledger: memory.NewLedger(), last: map[investigation.ID]investigation.Record{}, written: map[string]int{}}
}

func (r *remote) Load(ctx context.Context, ids []investigation.ID) ([]investigation.Record, error) {
	time.Sleep(callTakes)
	return r.Ledger.Load(ctx, ids)
}

func (r *remote) Due(ctx context.Context, tenantID string, lane investigation.Lane, now time.Time, limit int) (
	[]investigation.Record, error,
) {
	time.Sleep(callTakes)
	return r.Ledger.Due(ctx, tenantID, lane, now, limit)
}

// Change reads and then writes, as a change in DynamoDB does.
func (r *remote) Change(ctx context.Context, id investigation.ID, c investigation.Change) (investigation.Record, error) {
	r.mu.Lock()
	r.n++
	n := r.n
	r.atOnce++
	r.most = max(r.most, r.atOnce)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.atOnce--
		r.mu.Unlock()
	}()
	time.Sleep(2 * callTakes)
	if r.refuses != nil && r.refuses(n) {
		return investigation.Record{}, c.Explain(id, errLedger)
	}
	rec, err := r.Ledger.Change(ctx, id, c)
	r.mu.Lock()
	if err == nil && r.last[id] != rec {
		r.last[id] = rec
		r.written[id.ActionID]++
	}
	r.mu.Unlock()
	if r.loses != nil && r.loses(n) {
		return investigation.Record{}, c.Explain(id, errLedger)
	}
	return rec, err
}

// far is a tenant whose pages take their time. It shows the pages of one listing in one call.
type far struct {
	pages    [][]investigation.Action
	listings int
}

func (f *far) List(_ context.Context, at investigation.Listing, see func([]investigation.Action, []error) bool) (
	investigation.Listing, error,
) {
	f.listings++
	for !at.Done {
		time.Sleep(pageTakes)
		var shown []investigation.Action
		for _, a := range f.pages[at.Pages] {
			if at.Lists(a) {
				shown = append(shown, a)
			}
		}
		if !see(shown, nil) {
			return at, nil
		}
		at.Pages++
		at.Done = at.Pages == len(f.pages)
	}
	return at, nil
}

// takes is a bus that notes when each action was handed over for the first time.
type takes struct {
	free
	at map[string]time.Time
}

func (b *takes) Ready(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	for _, id := range ids {
		if b.at[id.ActionID].IsZero() {
			b.at[id.ActionID] = time.Now()
		}
	}
	return ids, nil
}

// farPoller returns a poller of the tenant over the ledger.
func farPoller(tenant *far, ledger *remote, bus *takes) *poll.Poller {
	return poll.New(poll.Config{
		Defender: tenant, Ledger: ledger, Health: memory.NewLedger(), Bus: bus, Budget: bus, TenantID: tenantID,
		Cases: investigation.DefaultCases(), Lookback: 168 * time.Hour, SweepEvery: 10 * time.Second,
		Heartbeat: heartbeat, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
}

// finished returns pages of actions that all ended without a package.
func finished(n int) [][]investigation.Action {
	const rows = 5_000 // of a page
	pages := waiting((n+rows-1)/rows, min(n, rows))
	for _, page := range pages {
		for i := range page {
			page[i].Status = investigation.StatusFailed
		}
	}
	return pages
}

// TestFirstSight: when a tenant with many actions is seen for the first time, a package that is ready is handed over
// soon, wherever in the listing it is, and however many there are.
func TestFirstSight(t *testing.T) {
	for name, tt := range map[string]struct {
		ready func(i int) bool // whether the package of the i-th action is ready
		first time.Duration
	}{
		"the last of the listing": {func(i int) bool { return i == firstSeen-1 }, firstSight},
		"the first of each page":  {func(i int) bool { return i%5_000 == 0 }, 10 * time.Second},
		"every second one":        {func(i int) bool { return i%2 == 1 }, 10 * time.Second},
	} {
		if racing.On && name != "the first of each page" {
			continue // one is enough for the race detector
		}
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tenant := &far{pages: finished(firstSeen)}
				for i := range firstSeen {
					if tt.ready(i) {
						tenant.pages[i/5_000][i%5_000].Status = investigation.StatusSucceeded
					}
				}
				ledger := newRemote()
				bus := &takes{at: map[string]time.Time{}}
				logger := slog.New(slog.DiscardHandler)
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
				defer cancel()
				answer, err := poll.NewHandler(fleetOf(logger, farPoller(tenant, ledger, bus)), time.Now, logger).Handle(ctx, poll.Shard{})
				if err != nil || answer.Seen != firstSeen || answer.Completed == 0 {
					t.Errorf("%+v, %v", answer, err)
				}
				first := time.Hour
				for _, at := range bus.at {
					first = min(first, at.Sub(began))
				}
				t.Logf("%d actions: first package handed over after %v; the longest sweep took %.1f s",
					firstSeen, first, answer.LongestSweepSeconds)
				if first > tt.first || answer.LongestSweepSeconds > 40 {
					t.Errorf("first package handed over after %v, want %v; the longest sweep took %.1f s",
						first, tt.first, answer.LongestSweepSeconds)
				}
				if ledger.most > 20 {
					t.Errorf("%d changes at the same time", ledger.most)
				}
			})
		})
	}
}

// TestFirstSightFails: actions that the ledger fails for are seen again, soon; nothing is lost, and nothing is
// written twice, even if a failed change was written.
func TestFirstSightFails(t *testing.T) {
	for name, tt := range map[string]struct {
		refuses, loses func(n int) bool
		soon           time.Duration
	}{
		"a few changes":         {refuses: func(n int) bool { return n%100 == 7 && n < 2000 }, soon: time.Minute},
		"every third change":    {refuses: func(n int) bool { return n%3 == 0 && n < 2500 }, soon: time.Minute},
		"answers lost":          {loses: func(n int) bool { return n%9 == 0 && n < 2000 }, soon: time.Minute},
		"everything for a time": {refuses: func(n int) bool { return n > 300 && n < 320 }, soon: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tenant := &far{pages: finished(2_000)}
				ledger := newRemote()
				ledger.refuses, ledger.loses = tt.refuses, tt.loses
				p := farPoller(tenant, ledger, &takes{at: map[string]time.Time{}})
				began := time.Now()
				var told strings.Builder
				for len(ledger.written) < 2_000 && time.Since(began) < tt.soon {
					progress, err := p.Step(t.Context())
					if progress.Swept && err != nil {
						t.Fatalf("swept with %v", err)
					}
					fmt.Fprintln(&told, time.Since(began), len(ledger.written), err != nil)
					time.Sleep(time.Until(progress.Next))
				}
				progress, err := p.Step(t.Context()) // what was written, but not answered, is learned now
				if err != nil || !progress.Swept {
					t.Errorf("in the end: %+v, %v", progress, err)
				}
				if len(ledger.written) != 2_000 {
					t.Errorf("the ledger knows %d of 2000 actions after %v:\n%s", len(ledger.written), time.Since(began), told.String())
				}
				for id, n := range ledger.written {
					if n != 1 {
						t.Errorf("action %s was written %d times", id, n)
					}
				}
			})
		})
	}
}
