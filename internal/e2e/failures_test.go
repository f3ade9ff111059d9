// Package e2e_test runs both use cases against the Defender simulator, in one bubble of simulated
// time and without sockets, and breaks them at every step.
package e2e_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/internal/custody"
	"packhorse/internal/event"
	"packhorse/internal/event/eventschema"
	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/mde"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/memory"
	"packhorse/internal/poll"
	"packhorse/internal/racing"
	"packhorse/internal/ratelimit"
	"packhorse/internal/tenant"
)

const (
	// busLatency is longer than the pause between sweeps: a Ready event that is put twice is then
	// delivered twice at once, which is the worst case.
	busLatency = 12 * time.Second

	// announceLatency makes two fetchers that conclude an action at once both see it unannounced.
	announceLatency = time.Second

	lease = 2 * time.Minute

	// shift moves the bubble's clock, which starts in 2000, to a time when Defender exists.
	shift = 26 * 366 * 24 * time.Hour
)

func now() time.Time { return time.Now().Add(shift) }

// scenario is a tenant, and the expected result if nothing fails.
type scenario struct {
	name    string
	actions int
	ends    string            // their final status
	arrives []mdesim.Download // sent instead of the package, by attempt; empty: the package
	calls   int               // link calls if nothing fails
	objects int               // objects in the archive afterwards, without manifests
	records int               // manifests
	reason  investigation.Reason
	rows    []string // of its failure table
}

// scenarios returns the failure tables of docs/architecture.md, in order.
func scenarios() []scenario {
	return []scenario{
		{
			name: "A package", actions: 3, ends: "Succeeded", calls: 3, objects: 3, records: 3,
			rows: []string{"list", "observe", "health", "put Ready", "claim", "look", "lease", "package link", "settle",
				"open link", "copy", "complete", "ledger archived", "manifest", "signature", "put Archived",
				"ledger announced"},
		},
		{
			name: "An action that Defender ended without a package", actions: 3, ends: "Failed", records: 3,
			reason: investigation.ReasonFailed,
			rows: []string{"observe", "put Settled", "ledger sealed", "manifest", "signature",
				"put Not Collected", "ledger announced"},
		},
		{
			name: "The download is not a package, four times", actions: 1, ends: "Succeeded", calls: 4, objects: 1,
			records: 2, arrives: []mdesim.Download{mdesim.DownloadHTML}, reason: investigation.ReasonInvalid,
			rows: []string{"quarantine", "ledger not collected", "manifest", "signature",
				"put Not Collected", "ledger announced"},
		},
	}
}

// world holds everything that outlives a process, and what the processes reveal.
type world struct {
	t       *testing.T
	ctx     context.Context
	plan    scenario
	sim     *mdesim.Simulator
	config  mdesim.Config
	token   string
	ledger  *memory.Ledger
	counter *ratelimit.Memory
	bucket  *memory.Bucket
	signer  *custody.Local
	fault   *fault
	leases  atomic.Int32
	running sync.WaitGroup
	schemas eventschema.Schemas

	actions []investigation.Action // with the fields that make up their keys

	mu       sync.Mutex           // guards the fields below
	planted  map[string][]string  // versions planted in the bucket, by key
	target   investigation.Action // the action whose keys they are planted at
	seen     bytes.Buffer
	told     map[investigation.ID]int // announcements of its outcome
	repeated int                      // Ready events whose claim found nothing to do
}

// Write implements io.Writer, for the log.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen.Write(p)
}

func (w *world) write(text string) { _, _ = fmt.Fprintln(w, text) }

func (w *world) announced(id investigation.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told[id]++
}

func newWorld(t *testing.T, ctx context.Context, plan scenario, f *fault) *world {
	t.Helper()
	config := mdesim.Defaults()
	config.APIOrigin, config.DownloadOrigin = "https://api.test", "https://downloads.test"
	schemas, err := eventschema.Load("../../docs/events")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := custody.OpenLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		schemas: schemas, plan: plan, signer: signer,
		t: t, ctx: ctx, sim: mdesim.New(config, now), config: config,
		ledger: memory.NewLedger(), counter: ratelimit.NewMemory(), bucket: memory.NewBucket(), fault: f,
		told: map[investigation.ID]int{}, planted: map[string][]string{},
	}
	w.sim.SetFaults(mdesim.Faults{Downloads: map[string][]mdesim.Download{"": plan.arrives}})
	for n := range plan.actions {
		created := now().Add(-time.Hour).Add(time.Duration(n) * time.Second)
		w.actions = append(w.actions, investigation.Action{
			ID:        investigation.ID{TenantID: config.TenantID, ActionID: mdesim.IDOf("action", n)},
			MachineID: mdesim.MachineOf("machine", n), CreatedAt: created,
		})
		w.sim.Add(mdesim.Action{
			ID: mdesim.IDOf("action", n), MachineID: mdesim.MachineOf("machine", n),
			ComputerDNSName: "pc.contoso.com", Requestor: "a@contoso.com", Comment: "why",
			CreatedAt: created,
			Steps:     mdesim.Ending(time.Minute, plan.ends), PackageSize: 20_000, PackageSeed: uint64(n),
		})
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {config.ClientID},
		"client_secret": {config.ClientSecret},
		"scope":         {"https://api.securitycenter.microsoft.com/.default"}}
	req := httptest.NewRequest(http.MethodPost,
		"https://api.test/"+config.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	w.sim.API().ServeHTTP(rec, req)
	var answer struct {
		Token string `json:"access_token"`
	}
	err = json.Unmarshal(rec.Body.Bytes(), &answer)
	if err != nil || answer.Token == "" {
		t.Fatalf("got no token: %v %s", err, rec.Body)
	}
	w.token = answer.Token
	return w
}

func (w *world) proc() (context.Context, *proc) {
	ctx, end := context.WithCancel(w.ctx)
	return ctx, &proc{w: w, end: end}
}

func (w *world) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (w *world) budget() ratelimit.Budget {
	return ratelimit.Budget{Name: "links", PerMinute: 2, PerHour: 120}
}

func (w *world) defender(p *proc) *mde.Client {
	linker := ratelimit.NewTransport(wire{p, "package link", w.sim.API(), w.token},
		counterPort{w.counter, p}, w.budget(), now, rand.Text, w.logger())
	base, err := url.Parse(w.config.APIOrigin)
	if err != nil {
		panic(err)
	}
	client, err := mde.New(base, w.config.TenantID, wire{p, "list", w.sim.API(), w.token}, linker,
		wire{p, "open link", w.sim.Downloads(), ""}, []string{"downloads.test"}, now)
	if err != nil {
		panic(err)
	}
	return client
}

// poll runs one poller after another, each until it dies, until the context ends.
func (w *world) poll() {
	for w.ctx.Err() == nil {
		var life sync.WaitGroup
		ctx, p := w.proc()
		life.Go(func() { w.pollOnce(ctx, p) })
		life.Wait()
		p.end()
	}
}

func (w *world) pollOnce(ctx context.Context, p *proc) {
	poller := poll.New(poll.Config{
		Defender:   w.defender(p),
		Ledger:     ledgerPort{w.ledger, p},
		Health:     ledgerPort{w.ledger, p},
		Bus:        busPort{p},
		Budget:     ratelimit.NewGauge(w.counter, w.budget()),
		TenantID:   w.config.TenantID,
		Cases:      investigation.CasePattern{},
		Lookback:   7 * 24 * time.Hour,
		SweepEvery: 10 * time.Second,
		Heartbeat:  tenant.Heartbeat(1),
		Now:        now,
		Logger:     w.logger(),
	})
	for ctx.Err() == nil {
		progress, err := poller.Step(ctx)
		if err != nil {
			w.write(fmt.Sprintf("step: %v %+v", err, err))
		}
		select {
		case <-time.After(max(progress.Next.Sub(now()), time.Second)):
		case <-ctx.Done():
		}
	}
}

// deliver starts a new fetcher for an event.
func (w *world) deliver(detailType string, id investigation.ID) {
	w.running.Go(func() {
		time.Sleep(busLatency)
		ctx, p := w.proc()
		defer p.end()
		fetcher := fetch.New(fetch.Config{
			Defender: w.defender(p),
			Ledger:   ledgerPort{w.ledger, p},
			Archive:  w.archive(p),
			Space:    fetch.Unlimited{},
			Bus:      busPort{p},
			Custody:  custody.NewWriter(w.signer, "evidence", investigation.Lock{}, provenance, now),
			Prefix:   "packages/",
			Lease:    lease,
			Now:      now,
			NewOwner: rand.Text,
			Logger:   w.logger(),
		})
		carry := fetcher.Fetch
		if detailType == event.TypeDecided {
			carry = fetcher.Conclude
		}
		err := carry(ctx, id).Err
		if _, repeated := errors.AsType[*investigation.NotClaimableError](err); repeated {
			w.mu.Lock()
			w.repeated++
			w.mu.Unlock()
		}
		if err != nil {
			w.write(fmt.Sprintf("fetch: %v %+v", err, err))
		}
	})
}

func provenance(context.Context) (manifest.Provenance, error) {
	return manifest.Provenance{Version: "1", Principal: "tester"}, nil
}

// outcome is the cost of a run and who saw something twice.
type outcome struct {
	cost  int
	twice string
}

// play runs one cell until everything is done, and a while longer.
func play(t *testing.T, plan scenario, f *fault) (got outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := newWorld(t, ctx, plan, f)
		w.run()
		cancel()
		w.running.Wait()
		got = w.check(t)
	})
	return got
}

// run runs pollers until everything is done, and a while longer.
func (w *world) run() {
	w.running.Go(w.poll)
	for range 60 {
		time.Sleep(time.Minute)
		if w.finished() {
			break
		}
	}
	time.Sleep(10 * time.Minute)
}

func (w *world) records() []investigation.Record {
	records, err := w.ledger.Records(context.WithoutCancel(w.ctx), w.config.TenantID)
	if err != nil {
		panic(err)
	}
	return records
}

func (w *world) finished() bool {
	records := w.records()
	return len(records) == w.plan.actions && !slices.ContainsFunc(records,
		func(r investigation.Record) bool { return r.State != investigation.StateDone })
}

// check fails unless every action was carried to its end exactly once, by the rules, without
// revealing a secret, and with proof.
func (w *world) check(t *testing.T) outcome {
	t.Helper()
	if !w.finished() {
		t.Errorf("not done: %+v", w.records())
	}
	if w.fault.row != "" && !w.fault.struck.Load() {
		t.Error("the fault never struck: no step has that name")
	}
	got := outcome{cost: int(w.leases.Load()) - w.plan.calls, twice: "nobody"}
	if w.repeated > 0 {
		got.twice = "fetcher"
	}
	for _, rec := range w.records() {
		w.checkObject(t, rec)
		switch times := w.told[rec.ID]; {
		case times < 1:
			t.Errorf("action %s was never announced", rec.ActionID)
		case times > 1:
			got.twice = "consumers"
		}
		w.write(fmt.Sprintf("%+v", rec))
	}
	if n := len(w.ours(".zip")) + len(w.ours(".bin")); n != w.plan.objects {
		t.Errorf("got %d objects, want %d", n, w.plan.objects)
	}
	w.checkEvidence(t)
	for _, key := range w.ours(".json") {
		w.write(string(w.read(key)))
	}
	v := w.sim.Judge().Verdict()
	if v.MostInAnyMinute > 2 || v.Throttled > 0 || v.Leaks > 0 || len(v.BrokenRules) > 0 {
		t.Errorf("the judge's verdict: %+v", v)
	}
	if calls := v.Calls[mdesim.KindPackageURI]; calls > int(w.leases.Load()) {
		t.Errorf("%d calls for %d leases", calls, w.leases.Load())
	}
	w.checkSecrets(t)
	return got
}

// checkObject fails unless the record's object, if it should have one, is what was served, stored
// once.
func (w *world) checkObject(t *testing.T, rec investigation.Record) {
	t.Helper()
	if rec.Reason != w.plan.reason {
		t.Errorf("action %s is not collected because of %q, want %q", rec.ActionID, rec.Reason, w.plan.reason)
	}
	if w.plan.objects == 0 {
		return
	}
	receipt := rec.Receipt
	if rec.Reason != "" {
		receipt = rec.Quarantine
	} else if _, sum := w.sim.Package(rec.ActionID); receipt.SHA256 != sum {
		t.Errorf("action %s has SHA-256 %s, want %s", rec.ActionID, receipt.SHA256, sum)
	}
	o, ok := w.bucket.Version(receipt.Key, receipt.VersionID)
	sum := sha256.Sum256(o.Body)
	if !ok || hex.EncodeToString(sum[:]) != receipt.SHA256 || int64(len(o.Body)) != receipt.Size {
		t.Errorf("action %s: the object does not match the receipt %+v", rec.ActionID, receipt)
	}
}

func (w *world) checkSecrets(t *testing.T) {
	t.Helper()
	secrets := append(w.sim.Links(), w.token, w.config.ClientSecret, "safedownload", "Bearer ")
	if len(secrets) < w.plan.calls+4 {
		t.Errorf("got %d secrets to look for", len(secrets))
	}
	for _, secret := range secrets {
		if at := strings.Index(w.seen.String(), secret); at >= 0 {
			text := w.seen.String()
			t.Errorf("%.12s… is shown: %s", secret, text[max(0, at-200):min(len(text), at+100)])
		}
	}
}

func TestNothingFails(t *testing.T) {
	for _, plan := range scenarios() {
		got := play(t, plan, &fault{})
		if want := (outcome{0, "nobody"}); got != want {
			t.Errorf("%s: got %+v, want %+v", plan.name, got, want)
		}
	}
}

// The failure tables, cell by cell, as read from docs/architecture.md.
func TestFailureTables(t *testing.T) {
	for _, plan := range scenarios() {
		table := failureTable(t, plan.name)
		if len(table) != len(plan.rows) {
			t.Fatalf("%s: the table has %d rows, want %d", plan.name, len(table), len(plan.rows))
		}
		for i, row := range table {
			if row[0] != plan.rows[i] {
				t.Errorf("%s: row %d is %q, want %q", plan.name, i, row[0], plan.rows[i])
			}
			for column, name := range []string{failed, persisted, killed} {
				if racing.On && column != i%3 {
					continue // one cell of each row: all of them run without the detector
				}
				t.Run(plan.name+"/"+row[0]+"/"+name, func(t *testing.T) {
					got := play(t, plan, &fault{row: row[0], column: name})
					if want := cellOf(t, row[column+1]); got != want {
						t.Errorf("got %+v, the table says %+v", got, want)
					}
				})
			}
		}
	}
}

// cellOf parses "what; cost; who".
func cellOf(t *testing.T, cell string) outcome {
	t.Helper()
	parts := strings.Split(cell, "; ")
	if len(parts) != 3 {
		t.Fatalf("the cell %q is not of the form: what; cost; who", cell)
	}
	cost, err := strconv.Atoi(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return outcome{cost, parts[2]}
}

// failureTable returns the rows of the table under a heading.
func failureTable(t *testing.T, heading string) [][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n### "+heading+"\n\n")
	if !found {
		t.Fatalf("docs/architecture.md has no table %q", heading)
	}
	after, found = strings.CutPrefix(after, "| step | "+failed+" | "+persisted+" | "+killed+" |\n|---|---|---|---|\n")
	if !found {
		t.Fatal("docs/architecture.md has no failure table")
	}
	return rowsOf(t, after)
}

// rowsOf returns the rows at the start of a text, with four cells each.
func rowsOf(t *testing.T, table string) [][]string {
	t.Helper()
	var rows [][]string
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) != 4 {
			t.Fatalf("the row %q has %d cells", line, len(cells))
		}
		rows = append(rows, cells)
	}
	return rows
}
