// Package upgrade_test proves that a stack can be upgraded: what an earlier release has left in its tables, its
// bucket and its event bus, in the middle of its work, this release finishes. Nothing is lost, stored twice, announced
// twice or asked for again.
//
// The tables are real ones, so time is not: the test moves the clock, and between its steps no time passes.
package upgrade_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/internal/archive"
	"packhorse/internal/custody"
	"packhorse/internal/defender"
	"packhorse/internal/event"
	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/manifest"
	"packhorse/internal/mde"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/memory"
	"packhorse/internal/ratelimit"
	"packhorse/internal/ratelimit/dynamocounter"
	"packhorse/internal/settings"
)

const (
	// fine and coarse are how far the clock moves at a time. A slot of the budget frees 60.25 seconds after its call:
	// no multiple of either is so shortly before that, that a fetcher would wait for it.
	fine   = 7 * time.Second
	coarse = 14 * time.Second

	// lease is that of the fetch function.
	lease = 2 * time.Minute

	partSize = 64 << 10
)

func TestMain(m *testing.M) { os.Exit(dynamotest.Main(m)) }

// The names of a fault's steps: what a process does for an action.
const (
	atLink     = "link"     // Defender is asked for the link
	atStore    = "store"    // the package is committed
	atSign     = "sign"     // the manifest is signed
	atAnnounce = "announce" // the bus takes the outcome
	atTell     = "tell"     // the ledger is told so
	atDelivery = "delivery" // the bus delivers the event
)

// The ways in which a step fails.
const (
	refused = "refused" // each time, without effect
	dies    = "dies"    // the process, after the effect; every later event of the action is lost
	fails   = "fails"   // the process, before the effect; likewise
	late    = "late"    // an event is delivered only after the upgrade
)

// fault is what goes wrong with one action before the upgrade.
type fault struct{ at, how string }

var errInjected = errors.New("injected")

// world is a stack: all that outlives a process, and what the processes reveal.
type world struct {
	t       *testing.T
	mu      sync.Mutex // guards at: a renewal of a lease reads it, too
	at      time.Time
	config  mdesim.Config
	sim     *mdesim.Simulator
	token   string
	table   string
	ledger  *ledger.Ledger
	counter *dynamocounter.Counter
	bucket  *memory.Bucket
	signer  *custody.Local

	faults map[string]fault // by action, as all below
	dead   map[string]bool  // the process that worked on it
	lost   map[string]bool  // its events

	queue    []kept // events on the bus
	late     []kept // events that are delivered after the upgrade
	links    map[string][]time.Time
	told     map[string]int
	refusals []string // of events
	errors   []string // of the processes
	found    []string // what is not as it should be
}

// newWorld returns a stack without actions over tables that exist.
func newWorld(t *testing.T, at time.Time, ledgerTable, budgetTable, keys string) *world {
	t.Helper()
	signer, err := custody.OpenLocal(keys)
	if err != nil {
		t.Fatal(err)
	}
	config := mdesim.Defaults()
	config.APIOrigin, config.DownloadOrigin = "https://api.test", "https://downloads.test"
	w := &world{
		t: t, at: at, config: config, bucket: memory.NewBucket(), signer: signer, table: ledgerTable,
		faults: map[string]fault{}, dead: map[string]bool{}, lost: map[string]bool{},
		links: map[string][]time.Time{}, told: map[string]int{},
	}
	w.sim = mdesim.New(config, w.now)
	w.ledger = ledger.New(dynamotest.Client(w.wire()), ledgerTable)
	w.counter = dynamocounter.New(dynamotest.Client(w.wire()), budgetTable, w.now)
	w.token = w.signIn()
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) advance(step time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(step)
}

// wire is a connection to DynamoDB, whose clock is the test's.
func (w *world) wire() *dynamotest.Wire {
	return &dynamotest.Wire{Play: func(_ string, _ int, send func() (*http.Response, error)) (*http.Response, error) {
		resp, err := send()
		if err == nil {
			resp.Header.Set("Date", w.now().Format(http.TimeFormat))
		}
		return resp, err
	}}
}

func (w *world) signIn() string {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {w.config.ClientID},
		"client_secret": {w.config.ClientSecret}, "scope": {"https://api.securitycenter.microsoft.com/.default"},
	}
	req := httptest.NewRequest(http.MethodPost, w.config.APIOrigin+"/"+w.config.TenantID+"/oauth2/v2.0/token",
		strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	w.sim.API().ServeHTTP(rec, req)
	var answer struct {
		Token string `json:"access_token"`
	}
	err := json.Unmarshal(rec.Body.Bytes(), &answer)
	if err != nil || answer.Token == "" {
		w.t.Fatalf("got no token: %v %s", err, rec.Body)
	}
	return answer.Token
}

// environ is the environment of both functions.
func (w *world) environ() map[string]string {
	return map[string]string{
		"DEFENDER_TENANT_ID": w.config.TenantID, "DEFENDER_CLIENT_ID": w.config.ClientID,
		"DEFENDER_SECRET_ID": "packhorse/defender", "DEFENDER_API_URL": w.config.APIOrigin,
		"DEFENDER_LINK_HOSTS": "downloads.test", "LEDGER_TABLE": w.table, "BUDGET_TABLE": "budget",
		"ARCHIVE_BUCKET": "evidence", "EVENT_BUS": "bus", "SIGNING_KEY_ID": "alias/packhorse",
	}
}

// wrong notes that something is not as it should be.
func (w *world) wrong(format string, args ...any) {
	w.found = append(w.found, fmt.Sprintf(format, args...))
}

func (w *world) logger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func budgetOf(s settings.Settings) ratelimit.Budget {
	return defender.LinkBudget(s.TenantID, s.ClientID,
		defender.Limits{PerMinute: s.PackageURIPerMinute, PerHour: s.PackageURIPerHour})
}

// transport sends requests to a handler without a socket.
type transport struct {
	handler http.Handler
	token   string // sent if not empty
	sent    func(*http.Request)
}

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.sent != nil {
		t.sent(req)
	}
	sent := req.Clone(req.Context())
	sent.Host = req.URL.Host
	if t.token != "" {
		sent.Header.Set("Authorization", "Bearer "+t.token)
	}
	rec := httptest.NewRecorder()
	t.handler.ServeHTTP(rec, sent)
	resp := rec.Result()
	resp.Request = req
	return resp, nil
}

// asked notes a request for a link as it goes onto the wire.
func (w *world) asked(req *http.Request) {
	parts := strings.Split(strings.ToLower(req.URL.Path), "/")
	id := parts[len(parts)-2]
	w.links[id] = append(w.links[id], w.now())
}

func (w *world) defender(s settings.Settings) *mde.Client {
	linker := ratelimit.NewTransport(transport{w.sim.API(), w.token, w.asked}, w.counter, budgetOf(s), w.now,
		rand.Text, w.logger())
	client, err := mde.New(s.APIURL, s.TenantID, transport{w.sim.API(), w.token, nil}, linker,
		transport{w.sim.Downloads(), "", nil}, s.LinkHosts, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// fetcher returns what the fetch function makes of a tenant's settings.
func (w *world) fetcher(s settings.Settings) *fetch.Fetcher {
	store := archive.New(w.bucket, s.ArchiveBucket, s.Lock(), partSize, 2, w.now, w.logger())
	writer := custody.NewWriter(w.signer, s.ArchiveBucket, s.Lock(), provenance, w.now)
	if err := fetch.NewPreflight(store, writer).Run(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	return fetch.New(fetch.Config{
		Defender: defenderPort{w.defender(s), w}, Ledger: ledgerPort{w.ledger, w},
		Archive: archivePort{store, w}, Space: fetch.Unlimited{}, Bus: busPort{w}, Custody: custodyPort{writer, w},
		Prefix: s.ArchivePrefix, Lease: lease, NewOwner: rand.Text, Now: w.now, Logger: w.logger(),
	})
}

func provenance(context.Context) (manifest.Provenance, error) {
	return manifest.Provenance{Version: "1", Principal: "tester"}, nil
}

// do is one step of a process that works on an action.
func (w *world) do(actionID, at string, effect func() error) error {
	if w.dead[actionID] {
		return errInjected
	}
	f := w.faults[actionID]
	if f.at != at {
		return effect()
	}
	switch f.how {
	case refused:
		return errInjected
	case fails:
		w.dead[actionID], w.lost[actionID] = true, true
		return errInjected
	case dies:
		w.dead[actionID], w.lost[actionID] = true, true
		return errors.Join(effect(), errInjected)
	}
	return effect()
}

// The ports of a fetcher, as far as something goes wrong with them.
type (
	defenderPort struct {
		*mde.Client
		w *world
	}
	ledgerPort struct {
		*ledger.Ledger
		w *world
	}
	archivePort struct {
		*archive.Archive
		w *world
	}
	custodyPort struct {
		*custody.Writer
		w *world
	}
	busPort struct{ w *world }
)

func (p defenderPort) PackageURI(ctx context.Context, actionID string) (
	link investigation.Link, exchange investigation.Exchange, err error,
) {
	err = p.w.do(actionID, atLink, func() error {
		link, exchange, err = p.Client.PackageURI(ctx, actionID)
		return err
	})
	return link, exchange, err
}

func (p ledgerPort) Change(ctx context.Context, id investigation.ID, c investigation.Change) (
	rec investigation.Record, err error,
) {
	at := ""
	if c.Name == investigation.ChangeAnnounce {
		at = atTell
	}
	err = p.w.do(id.ActionID, at, func() error {
		rec, err = p.Ledger.Change(ctx, id, c)
		return err
	})
	return rec, err
}

func (p ledgerPort) Seal(ctx context.Context, id investigation.ID, c investigation.Change, by investigation.Sealer) (
	rec investigation.Record, err error,
) {
	err = p.w.do(id.ActionID, "", func() error {
		rec, err = p.Ledger.Seal(ctx, id, c, by)
		return err
	})
	return rec, err
}

func (p archivePort) Store(ctx context.Context, place investigation.Placement, pkg investigation.Package) (
	stored investigation.Stored, err error,
) {
	err = p.w.do(place.Action.ActionID, atStore, func() error {
		stored, err = p.Archive.Store(ctx, place, pkg)
		return err
	})
	return stored, err
}

func (p custodyPort) Sign(ctx context.Context, text []byte) (signature []byte, err error) {
	m, err := manifest.Parse(text)
	if err != nil {
		return nil, err
	}
	err = p.w.do(m.Action.ID, atSign, func() error {
		signature, err = p.Writer.Sign(ctx, text)
		return err
	})
	return signature, err
}

func (p busPort) Announce(_ context.Context, records []investigation.Record) (taken []investigation.ID, err error) {
	for _, rec := range records {
		err = p.w.do(rec.ActionID, atAnnounce, func() error {
			p.w.told[rec.ActionID]++
			return nil
		})
		if err != nil {
			return taken, err
		}
		taken = append(taken, rec.ID)
	}
	return taken, nil
}

func (p busPort) Ready(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	return p.put(event.TypeReady, ids), nil
}

func (p busPort) Decided(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	return p.put(event.TypeDecided, ids), nil
}

func (p busPort) put(detailType string, ids []investigation.ID) []investigation.ID {
	for _, id := range ids {
		detail, err := json.Marshal(event.NewWork(id))
		if err != nil {
			p.w.t.Error(err)
		}
		p.w.queue = append(p.w.queue, kept{ActionID: id.ActionID, Type: detailType, Detail: string(detail)})
	}
	return ids
}

// kept is an event on the bus.
type kept struct {
	ActionID string `json:"actionId"`
	Type     string `json:"detail-type"`
	Detail   string `json:"detail"`
}

func (k kept) envelope() event.Envelope {
	return event.Envelope{Source: event.Source, DetailType: k.Type, Detail: json.RawMessage(k.Detail)}
}

// deliver gives every event on the bus to a process of the fetch function.
func (w *world) deliver(r *release) {
	events := w.queue
	w.queue = nil
	for _, e := range events {
		if w.lost[e.ActionID] {
			continue
		}
		if f := w.faults[e.ActionID]; f.at == atDelivery && f.how == late {
			w.late = append(w.late, e)
			continue
		}
		w.dead[e.ActionID] = false
		answer, err := r.handle(w.t.Context(), e.envelope())
		if err != nil {
			w.errors = append(w.errors, e.Type+" of "+e.ActionID+": "+err.Error())
		}
		if answer.Outcome == fetch.OutcomeRefused { // which costs nothing: events may come twice
			w.refusals = append(w.refusals, answer.Reason)
		}
	}
}

// turn takes one step of everything.
func (w *world) turn(r *release) {
	if err := r.tick(w.t.Context()); err != nil {
		w.errors = append(w.errors, "tick: "+err.Error())
	}
	w.deliver(r)
}
