package e2e_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/memory"
	"packhorse/internal/poll"
	"packhorse/internal/racing"
	"packhorse/internal/ratelimit"
	"packhorse/internal/tenant"
)

// The simulated fleet: one stack with many tenants for an hour, in virtual time. The poller, the fetcher and the
// budget are the real ones; Defender and the stores answer with latencies as on AWS.
const (
	fleetLasts   = time.Hour              // long enough for every cache and pause to end
	listLatency  = 150 * time.Millisecond // of Defender's list
	linkLatency  = 400 * time.Millisecond // of getPackageUri
	storeLatency = 5 * time.Millisecond   // of DynamoDB
	copyTakes    = 3 * time.Second        // to stream a package
	putLatency   = 30 * time.Millisecond  // of the event bus, to the start of a warm fetcher
	collectTakes = 5 * time.Minute        // from the request to the package
	someoneAsks  = 7 * time.Minute        // in a busy tenant
	swept        = 90 * time.Second       // goal: every idle tenant is swept this often
	dispatched   = 20 * time.Second       // goal: 99 % of the others' packages are handed over this soon

	// entriesAUnit is how many entries of the registry DynamoDB reads for one unit of 4 KB.
	entriesAUnit = 8

	// fleetTenants is how many tenants a test serves; docs/performance.md has the figures of a thousand, which
	// PACKHORSE_TENANTS=1000 makes. The race detector sees a part of them.
	fleetTenants      = 200
	fleetTenantsRaced = 25
)

// fleetPlan says what the tenants do.
type fleetPlan struct {
	tenants int
	busy    int // tenants in which somebody asks for a package every few minutes
	failing int // tenants that fail, in every way
	storm   int // packages that the first tenant has at once
	shards  int // pollers that share the tenants
}

// behavior is how a tenant's Defender fails.
type behavior int

const (
	healthy behavior = iota
	noConsent
	throttled
	serverError
	hangs
	garbage
	behaviors
)

// customer is one tenant of the fleet, with its Defender and its stores.
type customer struct {
	*memory.Ledger

	fleet   *fleetWorld
	id      string
	fails   behavior
	counter *ratelimit.Memory
	budget  ratelimit.Budget

	mu      sync.Mutex
	actions []investigation.Action
	sweptAt time.Time
	gap     time.Duration // the longest between two sweeps
	handed  map[string]time.Time
	links   []time.Time // when each was asked for
}

func (c *customer) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// List answers as Defender does.
func (c *customer) List(ctx context.Context, at investigation.Listing,
	see func([]investigation.Action, []error) bool,
) (investigation.Listing, error) {
	c.fleet.lists.Add(1)
	if c.fails == hangs {
		<-ctx.Done() // until the call's own deadline
		return at, fmt.Errorf("list: %w", ctx.Err())
	}
	err := c.pause(ctx, listLatency)
	switch {
	case err != nil:
		return at, err
	case c.fails == noConsent:
		return at, &investigation.PostponedError{
			RetryAt: time.Now().Add(5 * time.Minute),
			Err:     investigation.Because(investigation.CauseCredential, errors.New("AADSTS65001: no consent")),
		}
	case c.fails == throttled:
		return at, &investigation.PostponedError{RetryAt: time.Now().Add(time.Minute), Err: errors.New("429")}
	case c.fails == serverError:
		return at, errors.New("500 Internal Server Error")
	case c.fails == garbage:
		return at, errors.New("the answer is not a list")
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	var shown []investigation.Action
	for _, a := range c.actions {
		if a.CreatedAt.After(now) || !at.Lists(a) {
			continue
		}
		if ready := a.CreatedAt.Add(collectTakes); !ready.After(now) {
			a.Status, a.LastUpdatedAt = investigation.StatusSucceeded, ready
		}
		shown = append(shown, a)
	}
	if !c.sweptAt.IsZero() {
		c.gap = max(c.gap, now.Sub(c.sweptAt))
	}
	c.sweptAt = now
	c.mu.Unlock()
	at.Done = see(shown, nil)
	c.mu.Lock()
	return at, nil
}

// PackageURI leases a slot as the transport does.
func (c *customer) PackageURI(ctx context.Context, _ string) (investigation.Link, investigation.Exchange, error) {
	owner := rand.Text()
	d, err := c.counter.Lease(ctx, c.budget, owner, time.Now())
	if err == nil && !d.Allowed {
		err = &ratelimit.ExhaustedError{Budget: c.budget.Name, RetryAt: d.RetryAt}
	}
	if err != nil {
		return investigation.Link{}, investigation.Exchange{}, err
	}
	c.mu.Lock()
	c.links = append(c.links, time.Now())
	c.mu.Unlock()
	time.Sleep(linkLatency)
	return investigation.NewLink("https://host.example/package"), investigation.Exchange{},
		c.counter.Settle(ctx, c.budget, owner, d.Slot, time.Now())
}

func (*customer) Open(context.Context, investigation.Link) (investigation.Package, error) {
	return investigation.Package{Size: 4, Body: io.NopCloser(strings.NewReader("pack"))}, nil
}

// Ready starts a fetcher for each action.
func (c *customer) Ready(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	for _, id := range ids {
		c.mu.Lock()
		if _, again := c.handed[id.ActionID]; !again {
			c.handed[id.ActionID] = time.Now()
		}
		c.mu.Unlock()
		c.fleet.running.Go(func() {
			time.Sleep(putLatency)
			c.fetcher().Fetch(context.Background(), id)
		})
	}
	return ids, nil
}

func (c *customer) Decided(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	for _, id := range ids {
		c.fleet.running.Go(func() { c.fetcher().Conclude(context.Background(), id) })
	}
	return ids, nil
}

func (c *customer) fetcher() *fetch.Fetcher {
	return fetch.New(fetch.Config{
		Defender: c, Ledger: counted{c.Ledger, c.fleet}, Archive: vault{}, Space: fetch.Unlimited{}, Bus: vault{},
		Custody: vault{}, Prefix: "packages/", Lease: 2 * time.Minute, Now: time.Now, NewOwner: rand.Text,
		Logger: slog.New(slog.DiscardHandler),
	})
}

// counted is a ledger with DynamoDB's latency, whose calls are counted.
type counted struct {
	*memory.Ledger
	fleet *fleetWorld
}

func (l counted) Load(ctx context.Context, ids []investigation.ID) ([]investigation.Record, error) {
	l.fleet.reads.Add(int64(len(ids)))
	time.Sleep(storeLatency)
	return l.Ledger.Load(ctx, ids)
}

func (l counted) Change(ctx context.Context, id investigation.ID, c investigation.Change) (investigation.Record, error) {
	l.fleet.reads.Add(1)
	l.fleet.writes.Add(1)
	time.Sleep(2 * storeLatency)
	return l.Ledger.Change(ctx, id, c)
}

func (l counted) Due(ctx context.Context, tenantID string, lane investigation.Lane, now time.Time, limit int) (
	[]investigation.Record, error,
) {
	l.fleet.queries.Add(1)
	time.Sleep(storeLatency)
	return l.Ledger.Due(ctx, tenantID, lane, now, limit)
}

func (l counted) Health(ctx context.Context, id string) (tenant.Health, error) {
	l.fleet.reads.Add(1)
	time.Sleep(storeLatency)
	return l.Ledger.Health(ctx, id)
}

func (l counted) SetHealth(ctx context.Context, id string, h tenant.Health) error {
	l.fleet.writes.Add(1)
	time.Sleep(storeLatency)
	return l.Ledger.SetHealth(ctx, id, h)
}

// vault stores everything at once, after the time that a package takes.
type vault struct{}

func (vault) Look(_ context.Context, _ investigation.Record, key investigation.Key, _ bool) (investigation.Found, error) {
	return investigation.Found{Free: key}, nil
}

func (vault) Store(_ context.Context, place investigation.Placement, _ investigation.Package) (investigation.Stored, error) {
	time.Sleep(copyTakes)
	return investigation.Stored{Receipt: investigation.Receipt{
		Bucket: "evidence", Key: string(place.Key), Size: 4, SHA256: strings.Repeat("ab", 32), CRC32C: "AAAAAA==",
	}}, nil
}

func (vault) StoreManifest(_ context.Context, key string, _ []byte) (investigation.Placed, error) {
	return investigation.Placed{Key: key}, nil
}

func (vault) StoreSignature(_ context.Context, key string, _ []byte, _ func([]byte) error) (investigation.Placed, error) {
	return investigation.Placed{Key: key}, nil
}

func (vault) Sealer(context.Context, investigation.Collection, investigation.Content) (investigation.Sealer, error) {
	return &memory.Sealer{}, nil
}
func (vault) Sign(context.Context, []byte) ([]byte, error) { return []byte("signed"), nil }
func (vault) Verify(context.Context, []byte, []byte) error { return nil }
func (vault) Announce(_ context.Context, records []investigation.Record) (taken []investigation.ID, err error) {
	for _, rec := range records {
		taken = append(taken, rec.ID)
	}
	return taken, nil
}

// fleetWorld is the stack.
type fleetWorld struct {
	plan      fleetPlan
	customers []*customer
	running   sync.WaitGroup

	lists, reads, writes, queries atomic.Int64
	billed                        atomic.Int64 // of the poll function
	failedTicks                   atomic.Int64
}

// newFleetWorld returns a stack. The failing tenants are the last ones.
func newFleetWorld(plan fleetPlan) *fleetWorld {
	w := &fleetWorld{plan: plan}
	now := time.Now()
	for i := range plan.tenants {
		c := &customer{
			Ledger: memory.NewLedger(), fleet: w, id: fmt.Sprintf("%08x-0000-4000-8000-000000000000", i+1),
			counter: ratelimit.NewMemory(), handed: map[string]time.Time{},
		}
		c.budget = ratelimit.Budget{Name: c.id + "#links", PerMinute: 2, PerHour: 120}
		switch {
		case i >= plan.tenants-plan.failing:
			c.fails = noConsent + behavior(i)%(behaviors-noConsent)
		case i == 0:
			for n := range plan.storm {
				c.ask(n, now.Add(-collectTakes+10*time.Minute))
			}
		case i > 0 && i <= plan.busy:
			for n := range int(fleetLasts / someoneAsks) {
				c.ask(n, now.Add(time.Duration(n)*someoneAsks+time.Duration(i)*time.Second))
			}
		}
		w.customers = append(w.customers, c)
	}
	return w
}

// ask requests the n-th package.
func (c *customer) ask(n int, at time.Time) {
	at = at.UTC().Truncate(time.Second)
	c.actions = append(c.actions, investigation.Action{
		ID:        investigation.ID{TenantID: c.id, ActionID: fmt.Sprintf("%040x", n+1)},
		MachineID: fmt.Sprintf("%040x", n+1), Requestor: "a@contoso.com", Status: "Pending",
		CreatedAt: at, LastUpdatedAt: at,
	})
}

// handler returns a warm environment of the poll function.
func (w *fleetWorld) handler() *poll.Handler {
	logger := slog.New(slog.DiscardHandler)
	members := make([]poll.Member, len(w.customers))
	for i, c := range w.customers {
		members[i] = poll.Member{ID: c.id, Open: func() (*poll.Poller, error) {
			return poll.New(poll.Config{
				Defender: c, Ledger: counted{c.Ledger, w}, Health: counted{c.Ledger, w}, Bus: c,
				Budget: ratelimit.NewGauge(c.counter, c.budget), TenantID: c.id, Cases: investigation.DefaultCases(),
				Lookback: 168 * time.Hour, SweepEvery: 10 * time.Second, Heartbeat: tenant.Heartbeat(len(w.customers)),
				Now: time.Now, Logger: logger,
			}), nil
		}}
	}
	fleet := poll.NewFleet(poll.FleetConfig{
		Members: func(context.Context) ([]poll.Member, error) {
			w.reads.Add(int64(len(members)/entriesAUnit + 1))
			time.Sleep(storeLatency)
			return members, nil
		},
		Now: time.Now, Logger: logger,
	})
	return poll.NewHandler(fleet, time.Now, logger)
}

// run ticks once a minute, each shard by itself. A tick that is still at work leaves the next one to another
// environment, and the environments do not know whose turn it is.
func (w *fleetWorld) run(t *testing.T, lasts time.Duration) {
	warm := make(chan *poll.Handler, 1000)
	var ticks sync.WaitGroup
	for range int(lasts / time.Minute) {
		for index := range w.plan.shards {
			shard, err := poll.NewShard(index, w.plan.shards)
			if err != nil {
				t.Fatal(err)
			}
			ticks.Go(func() { w.tick(warm, shard) })
		}
		time.Sleep(time.Minute)
	}
	ticks.Wait()
	w.running.Wait()
}

// tick invokes the function in a warm environment if there is one.
func (w *fleetWorld) tick(warm chan *poll.Handler, shard poll.Shard) {
	var h *poll.Handler
	select {
	case h = <-warm:
	default:
		h = w.handler()
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	_, err := h.Handle(ctx, shard)
	w.billed.Add(int64(time.Since(began)))
	if err != nil {
		w.failedTicks.Add(1)
	}
	warm <- h
}

// figures are what a run of the fleet is judged by.
type figures struct {
	gap                           time.Duration // the longest between sweeps of an idle tenant
	p99, max                      time.Duration // from ready to handed over, in busy tenants other than the storm's
	handed                        int
	use                           float64 // of the storm's budget
	billed                        time.Duration
	lists, reads, writes, queries int64
}

func (f figures) String() string {
	return fmt.Sprintf("idle tenants swept every %v at most; %d packages handed over after %v (99 %%), %v at most; "+
		"storm used %.1f %% of its budget; %v billed, %d list calls, %d reads, %d writes, %d queries",
		f.gap, f.handed, f.p99, f.max, 100*f.use, f.billed.Round(time.Second), f.lists, f.reads, f.writes, f.queries)
}

func (w *fleetWorld) figures() figures {
	f := figures{billed: time.Duration(w.billed.Load()), lists: w.lists.Load(), reads: w.reads.Load(), writes: w.writes.Load(), queries: w.queries.Load()}
	var waits []time.Duration
	for i, c := range w.customers[:w.plan.tenants-w.plan.failing] {
		if i > w.plan.busy {
			f.gap = max(f.gap, c.gap)
		}
		if i == 0 || i > w.plan.busy {
			continue
		}
		for _, a := range c.actions {
			if at, ok := c.handed[a.ActionID]; ok {
				waits = append(waits, at.Sub(a.CreatedAt.Add(collectTakes)))
			}
		}
	}
	slices.Sort(waits)
	f.handed = len(waits)
	if len(waits) > 0 {
		f.p99, f.max = waits[len(waits)*99/100], waits[len(waits)-1]
	}
	if links := w.customers[0].links; len(links) > 1 {
		per := links[len(links)-1].Sub(links[0]).Minutes() / float64(len(links)-1)
		f.use = 0.5 / per
	}
	return f
}

// playFleet plays the fleet in virtual time.
func playFleet(t *testing.T, plan fleetPlan) (got figures) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, time.November, 24, 9, 0, 0, 0, time.UTC)))
		w := newFleetWorld(plan)
		w.run(t, fleetLasts)
		got = w.figures()
		for _, c := range w.customers {
			if most := mdesim.MostIn(c.links, time.Minute); most > 2 {
				t.Errorf("tenant %s: %d link calls in a minute", c.id, most)
			}
		}
		if n := w.failedTicks.Load(); n > 0 {
			t.Errorf("%d ticks failed", n)
		}
	})
	return got
}

// numberOf returns the number in an environment variable.
func numberOf(t *testing.T, name string, least, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		t.Fatalf("%s=%q: want a number from %d", name, text, least)
	}
	return n
}

// TestFleet: in a stack with many tenants, no tenant's storm or failure delays another's sweeps and packages.
func TestFleet(t *testing.T) {
	t.Parallel()
	n, shards := numberOf(t, "PACKHORSE_TENANTS", 100, racing.Size(fleetTenants, fleetTenantsRaced)), numberOf(t, "PACKHORSE_SHARDS", 1, 1)
	calm := playFleet(t, fleetPlan{tenants: n, busy: n / 5, storm: 5 * n, shards: shards})
	troubled := playFleet(t, fleetPlan{tenants: n + n/20, busy: n / 5, failing: n / 20, storm: 5 * n, shards: shards})
	idle := playFleet(t, fleetPlan{tenants: n, shards: shards})
	t.Logf("\nall is well: %s\n%d fail: %s\nall idle: %s\n%s", calm, n/20, troubled, idle, idle.month())
	for name, f := range map[string]figures{"all is well": calm, "some fail": troubled} {
		if f.gap > swept || f.p99 > dispatched || f.use < 0.98 || f.handed < n/5*7 {
			t.Errorf("%s: %s", name, f)
		}
	}
	if float64(troubled.p99) > 1.05*float64(calm.p99) || float64(troubled.gap) > 1.05*float64(calm.gap) {
		t.Errorf("the failing tenants hold the others up: %s, without them %s", troubled, calm)
	}
}

// month returns what a month of such hours costs at list prices (us-east-1, arm64, 256 MB).
func (f figures) month() string {
	const hours = 730
	lambda := f.billed.Seconds() * hours * 0.25 * 13.33e-6
	writes := float64(f.writes) * hours * 0.625e-6
	reads := float64(f.reads+f.queries) * hours * 0.5 * 0.125e-6
	return fmt.Sprintf("a month of idle tenants: Lambda $%.2f, DynamoDB $%.2f (writes %.2f, reads %.2f)",
		lambda, writes+reads, writes, reads)
}
