package status_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/internal/archive"
	"packhorse/internal/custody"
	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/mde"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/memory"
	"packhorse/internal/poll"
	"packhorse/internal/racing"
	"packhorse/internal/ratelimit"
	"packhorse/internal/status"
)

// world is a simulated tenant with both use cases at work, in simulated time, and the links they asked for.
type world struct {
	t       *testing.T
	sim     *mdesim.Simulator
	config  mdesim.Config
	ledger  *memory.Ledger
	counter *ratelimit.Memory
	bucket  *memory.Bucket
	signer  *custody.Local
	running sync.WaitGroup

	mu      sync.Mutex // guards what follows
	random  *rand.Rand
	token   string
	tokenAt time.Time
	owners  int
	links   map[string][]time.Time // when the links of an action were sent for
}

var links = ratelimit.Budget{Name: "links", PerMinute: 2, PerHour: 120}

// newWorld returns a tenant with that many packages. Every fifth is backlog.
func newWorld(t *testing.T, packages int) *world {
	t.Helper()
	config := mdesim.Defaults()
	config.APIOrigin, config.DownloadOrigin = "https://api.test", "https://downloads.test"
	signer, err := custody.OpenLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, sim: mdesim.New(config, time.Now), config: config, ledger: memory.NewLedger(), signer: signer,
		counter: ratelimit.NewMemory(), bucket: memory.NewBucket(), random: rand.New(rand.NewPCG(1, 2)),
		links: map[string][]time.Time{},
	}
	for n := range packages {
		age := time.Hour
		if n%5 == 1 {
			age = 50 * time.Hour
		}
		w.sim.Add(mdesim.Action{
			ID: actionID(n), MachineID: mdesim.MachineOf("machine", n), ComputerDNSName: "pc.contoso.com",
			CreatedAt: time.Now().Add(-age - time.Duration(n)*time.Second),
			Steps:     mdesim.Succeeding(time.Minute), PackageSize: 2_000, PackageSeed: uint64(n),
		})
	}
	return w
}

func actionID(n int) string { return mdesim.IDOf("action", n) }

// latency is between that many and four times that many milliseconds.
func (w *world) latency(least int) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(least+w.random.IntN(3*least)) * time.Millisecond
}

// wire is a network without sockets, to a handler.
type wire struct {
	w       *world
	handler http.Handler
	signed  bool // whether requests carry a token
}

func (n wire) RoundTrip(req *http.Request) (*http.Response, error) {
	sent := req.Clone(req.Context())
	sent.Host = req.URL.Host
	if n.signed {
		sent.Header.Set("Authorization", "Bearer "+n.w.fresh())
	}
	time.Sleep(n.w.latency(40))
	if dir, last := path.Split(req.URL.Path); last == "getPackageUri" {
		n.w.mu.Lock()
		id := path.Base(dir)
		n.w.links[id] = append(n.w.links[id], time.Now())
		n.w.mu.Unlock()
	}
	rec := httptest.NewRecorder()
	n.handler.ServeHTTP(rec, sent)
	time.Sleep(n.w.latency(40))
	resp := rec.Result()
	resp.Request = req
	return resp, nil
}

// fresh returns a token that is not about to expire.
func (w *world) fresh() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.token != "" && time.Since(w.tokenAt) < 30*time.Minute {
		return w.token
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {w.config.ClientID},
		"client_secret": {w.config.ClientSecret}, "scope": {"https://api.securitycenter.microsoft.com/.default"}}
	req := httptest.NewRequest(http.MethodPost, "https://api.test/"+w.config.TenantID+"/oauth2/v2.0/token",
		strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	w.sim.API().ServeHTTP(rec, req)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || answer.Token == "" {
		w.t.Errorf("got no token: %v %s", err, rec.Body)
	}
	w.token, w.tokenAt = answer.Token, time.Now()
	return w.token
}

func (w *world) owner() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owners++
	return fmt.Sprintf("owner-%d", w.owners)
}

func (w *world) defender() *mde.Client {
	logger := slog.New(slog.DiscardHandler)
	base, err := url.Parse(w.config.APIOrigin)
	if err != nil {
		w.t.Fatal(err)
	}
	counted := ratelimit.NewTransport(wire{w, w.sim.API(), true}, w.counter, links, time.Now, w.owner, logger)
	client, err := mde.New(base, w.config.TenantID, wire{w, w.sim.API(), true}, counted,
		wire{w, w.sim.Downloads(), false}, []string{"downloads.test"}, time.Now)
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// Ready is the bus: it starts a fetcher.
func (w *world) Ready(ctx context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	w.carry(ids, func(f *fetch.Fetcher, id investigation.ID) { f.Fetch(ctx, id) })
	return ids, nil
}

// Decided starts one that concludes.
func (w *world) Decided(ctx context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	w.carry(ids, func(f *fetch.Fetcher, id investigation.ID) { f.Conclude(ctx, id) })
	return ids, nil
}

func (w *world) Announce(_ context.Context, records []investigation.Record) ([]investigation.ID, error) {
	ids := make([]investigation.ID, len(records))
	for i, rec := range records {
		ids[i] = rec.ID
	}
	return ids, nil
}

func (w *world) carry(ids []investigation.ID, how func(*fetch.Fetcher, investigation.ID)) {
	logger := slog.New(slog.DiscardHandler)
	provenance := func(context.Context) (manifest.Provenance, error) {
		return manifest.Provenance{Version: "1", Principal: "tester"}, nil
	}
	for _, id := range ids {
		w.running.Go(func() {
			time.Sleep(w.latency(200))
			how(fetch.New(fetch.Config{
				Defender: w.defender(), Ledger: w.ledger, Space: fetch.Unlimited{}, Bus: w, Prefix: "packages/",
				Archive: archive.New(w.bucket, "evidence", investigation.Lock{}, 64<<10, 2, time.Now, logger),
				Custody: custody.NewWriter(w.signer, "evidence", investigation.Lock{}, provenance, time.Now),
				Lease:   2 * time.Minute, Now: time.Now, NewOwner: w.owner, Logger: logger,
			}), id)
		})
	}
}

// poll runs the poller, as the function does, until the context ends.
func (w *world) poll(ctx context.Context) {
	poller := poll.New(poll.Config{
		Defender: w.defender(), Ledger: w.ledger, Health: w.ledger, Bus: w,
		Budget: ratelimit.NewGauge(w.counter, links), TenantID: w.config.TenantID, Lookback: 168 * time.Hour,
		SweepEvery: time.Minute, // listings are most of the work here, and nothing new appears
		Now:        time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	for ctx.Err() == nil {
		progress, err := poller.Step(ctx)
		if err != nil && ctx.Err() == nil {
			w.t.Error(err)
		}
		select {
		case <-time.After(max(time.Until(progress.Next), 10*time.Millisecond)):
		case <-ctx.Done():
		}
	}
}

// Open and Budget are the ports of a status.
func (w *world) Open(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	all, err := w.ledger.Records(ctx, tenantID)
	return slices.DeleteFunc(all, func(r investigation.Record) bool { return r.State == investigation.StateDone }), err
}

func (w *world) Budget(ctx context.Context, _ string) (status.Budget, error) {
	state, err := w.counter.Peek(ctx, links)
	return status.Budget{FreeAt: state.FreeAt(links), Hold: links.Hold(), CooldownUntil: state.CooldownUntil}, err
}

// promise is what a status said, and when.
type promise struct {
	at    time.Time
	queue []status.Queued
}

func (w *world) ask() promise {
	now := time.Now()
	open, err := w.Open(context.Background(), w.config.TenantID)
	if err != nil {
		w.t.Fatal(err)
	}
	budget, err := w.Budget(context.Background(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	return promise{now, status.Of(status.Facts{Open: open, Budget: budget}, now).Queue}
}

// worst compares each promised time with that of the next link, and returns the greatest error, in seconds and
// as a share of the wait. A share counts only above one slot.
func (w *world) worst(p promise) (seconds, share float64) {
	slot := links.Hold() / time.Duration(links.Slots())
	for _, q := range p.queue {
		next := time.Time{}
		for _, at := range w.links[q.ActionID] {
			if next.IsZero() && !at.Before(p.at) {
				next = at
			}
		}
		if next.IsZero() {
			w.t.Errorf("package %d of %d was never asked for", q.Position, len(p.queue))
			continue
		}
		off := q.LinkAt.Sub(next).Abs()
		seconds = max(seconds, off.Seconds())
		if off > slot {
			share = max(share, off.Seconds()/next.Sub(p.at).Seconds())
		}
	}
	return seconds, share
}

// TestPromisesAreKept: the time that a status promises for each link is within 10 % or one slot of the time at which
// the real poller and fetchers ask for it. Nothing that happens after the question is known to it, so the faults
// strike before.
func TestPromisesAreKept(t *testing.T) {
	t.Parallel()
	failing := func(download mdesim.Download) func(*world) {
		return func(w *world) {
			w.sim.SetFaults(mdesim.Faults{Downloads: map[string][]mdesim.Download{"": {download}}})
		}
	}
	throttled := func(w *world) {
		w.sim.SetFaults(mdesim.Faults{Status: map[mdesim.Kind]int{mdesim.KindPackageURI: http.StatusTooManyRequests}})
	}
	many := racing.Size(200, 90)
	for _, test := range []struct {
		name     string
		packages int
		faults   func(*world)
		ask      []time.Duration // when the status is asked
	}{
		{"one", 1, nil, []time.Duration{0}},
		{"ten", 10, nil, []time.Duration{time.Second, 90 * time.Second}},
		{"forty", 40, nil, []time.Duration{time.Second, 5 * time.Minute, 11*time.Minute + 7*time.Second}},
		{"many", many, nil, []time.Duration{time.Second, 40 * time.Minute}},
		{"one, postponed", 1, failing(mdesim.DownloadHTML), []time.Duration{5 * time.Minute}},
		{"ten, with postponements", 10, failing(mdesim.DownloadExpiredJSON),
			[]time.Duration{4*time.Minute + 10*time.Second, 5 * time.Minute}},
		{"ten, all of them postponed", 10, failing(mdesim.DownloadExpiredXML), []time.Duration{25 * time.Minute}},
		{"forty, with postponements", 40, failing(mdesim.DownloadHTML), []time.Duration{10 * time.Minute, 20 * time.Minute}},
		{"ten, in a cooldown", 10, throttled, []time.Duration{10 * time.Second, 40 * time.Second}},
		{"many, in a cooldown", many, throttled, []time.Duration{40 * time.Second}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.Date(2026, time.November, 24, 9, 0, 0, 0, time.UTC)))
				ctx, cancel := context.WithCancel(t.Context())
				w := newWorld(t, test.packages)
				if test.faults != nil {
					test.faults(w)
				}
				began := time.Now()
				w.running.Go(func() { w.poll(ctx) })
				var promises []promise
				for _, at := range test.ask {
					time.Sleep(time.Until(began.Add(at)))
					p := w.ask()
					for i := 0; len(p.queue) == 0 && i < 50; i++ { // until the ledger knows the package
						time.Sleep(20 * time.Millisecond)
						p = w.ask()
					}
					promises = append(promises, p)
					w.sim.SetFaults(mdesim.Faults{})
				}
				time.Sleep(time.Duration(test.packages)*31*time.Second + 30*time.Minute)
				cancel()
				w.running.Wait()
				for i, p := range promises {
					if len(p.queue) == 0 {
						t.Errorf("after %v: no promise to keep", test.ask[i])
					}
					seconds, share := w.worst(p)
					t.Logf("after %v: %d promises, off by %.1f s at most, %.1f %% beyond a slot", test.ask[i], len(p.queue),
						seconds, 100*share)
					if share > 0.1 {
						t.Errorf("after %v: off by %.1f %%", test.ask[i], 100*share)
					}
				}
				if v := w.sim.Judge().Verdict(); v.MostInAnyMinute > 2 {
					t.Errorf("%d calls in a minute", v.MostInAnyMinute)
				}
			})
		})
	}
}
