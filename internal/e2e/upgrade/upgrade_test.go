package upgrade_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"packhorse/internal/event"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/registry"
	"packhorse/internal/roster"
	"packhorse/internal/tenant"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	// patience is how long the release may take: twice what it needs, because the last package waits for its host.
	patience = 30 * time.Minute

	// settled is how long it is watched after all is done: longer than it takes to list the whole look-back again.
	settled = 11 * time.Minute

	// errorsMax is how many errors end the test: no more are needed.
	errorsMax = 10
)

// TestUpgrade: this release finishes what each earlier one has left, whether the tenant stays in the stack's
// parameters or moves to the registry, at once or later.
func TestUpgrade(t *testing.T) {
	for _, left := range allLeft(t) {
		for name, way := range map[string]way{
			"the tenant stays":              {},
			"the tenant stays, no events":   {deaf: true},
			"the tenant moves at once":      {clientID: mdesim.Defaults().ClientID},
			"the tenant moves after a time": {clientID: mdesim.Defaults().ClientID, moves: 3 * time.Minute},
		} {
			t.Run(left.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				for _, wrong := range left.finished(t, left, way) {
					t.Error(wrong)
				}
			})
		}
	}
}

// TestKept: what is kept of a release has every state that an upgrade can meet.
func TestKept(t *testing.T) {
	for _, left := range allLeft(t) {
		has := map[string]bool{}
		for _, c := range left.Actions {
			has["state "+string(c.State)] = true
			if c.State == investigation.StateFetching {
				has[fmt.Sprintf("a lease that is over: %t", c.DueAt.Before(left.At))] = true
			}
			has["a pause after attempts"] = has["a pause after attempts"] || c.State == investigation.StateReady && c.DueAt.After(left.At)
		}
		for _, it := range left.budget {
			for _, name := range []string{"freeAt0", "freeAt1"} {
				var freeAt int64
				if n, ok := it[name].(*types.AttributeValueMemberN); ok {
					freeAt, _ = strconv.ParseInt(n.Value, 10, 64)
				}
				has["a spent slot"] = has["a spent slot"] || time.UnixMilli(freeAt).After(left.At)
			}
		}
		for _, e := range left.Events {
			has["event "+e.Type] = true
		}
		want := []string{"a lease that is over: true", "a lease that is over: false", "a pause after attempts", "a spent slot",
			"event " + event.TypeReady, "event " + event.TypeDecided}
		for _, state := range investigation.States() {
			want = append(want, "state "+string(state))
		}
		for _, what := range want {
			if !has[what] {
				t.Errorf("%s lacks %s", left.name, what)
			}
		}
	}
}

// allLeft returns what is kept of each release.
func allLeft(t *testing.T) []leftovers {
	t.Helper()
	folders, err := filepath.Glob("testdata/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("nothing is kept: %v", err)
	}
	var all []leftovers
	for _, folder := range folders {
		all = append(all, open(t, folder))
	}
	return all
}

// way is how the upgrade is done.
type way struct {
	deaf  bool // the bus loses the events that are on it
	brief bool // nobody watches after all is done

	clientID string        // of the tenant in the registry; empty: it stays in the stack's parameters
	moves    time.Duration // when it moves to the registry, since the upgrade
}

// finished upgrades a stack in which the earlier release has left actual, and returns what is then not as it should be
// after l.
func (l leftovers) finished(t *testing.T, actual leftovers, how way) []string {
	t.Helper()
	w := actual.restore(t)
	if how.deaf {
		w.queue = nil
	}
	w.finish(l.story, how)
	l.check(w)
	return w.found
}

// finish runs this release until nothing is left to do, and a while longer.
func (w *world) finish(s story, how way) {
	w.t.Helper()
	environ, moved := w.environ(), w.environ()
	for _, name := range []string{"DEFENDER_TENANT_ID", "DEFENDER_CLIENT_ID", "DEFENDER_SECRET_ID"} {
		delete(moved, name)
	}
	var entries roster.Registry
	if how.clientID != "" {
		entries = w.register(how.clientID)
	}
	if entries != nil && how.moves == 0 {
		environ = moved
	}
	r := w.start(environ, entries)
	w.deliver(r) // what was on the bus
	if len(w.refusals) > 0 {
		w.wrong("events of the earlier release are refused: %q", w.refusals)
	}
	w.turn(r)
	for !w.isFinished(s) && w.now().Sub(s.At) < patience && len(w.errors) < errorsMax {
		w.advance(coarse)
		if entries != nil && how.moves > 0 && w.now().Sub(s.At) >= how.moves {
			r = w.start(moved, entries)
			how.moves = 0
		}
		w.turn(r)
	}
	finished := w.isFinished(s)
	for end := w.now().Add(settled); finished && !how.brief && w.now().Before(end); w.advance(coarse) {
		w.turn(r)
	}
	if !finished {
		w.wrong("not finished after %v", w.now().Sub(s.At))
	}
	if len(w.errors) > 0 {
		w.wrong("%d errors, the first: %s", len(w.errors), w.errors[0])
	}
}

// register returns a registry with the tenant.
func (w *world) register(clientID string) roster.Registry {
	w.t.Helper()
	table := dynamotest.Table(w.t, ledgertables.Budget("tenants-"+rand.Text())) // its form is the same
	entries := registry.New(dynamotest.Client(w.wire()), table)
	_, err := entries.Put(w.t.Context(), tenant.New(tenant.Tenant{
		ID: w.config.TenantID, Name: "Contoso", ClientID: clientID,
		Credential: tenant.Credential{Kind: tenant.ClientSecret, SecretID: "packhorse/contoso"},
	}, w.now()))
	if err != nil {
		w.t.Fatal(err)
	}
	return entries
}

// isFinished reports whether every action of the story is done.
func (w *world) isFinished(s story) bool {
	done, announced := 0, 0
	for _, c := range s.Actions {
		announced += min(c.MoreTold, w.told[c.Action.ID])
		done += c.MoreTold
	}
	if announced < done { // saves reading them all
		return false
	}
	done = 0
	for _, rec := range w.load(s) {
		if rec.State == investigation.StateDone {
			done++
		}
	}
	return done == len(s.Actions)
}

// load returns the records of the story's actions, without the help of an index.
func (w *world) load(s story) map[string]investigation.Record {
	w.t.Helper()
	var ids []investigation.ID
	for _, c := range s.Actions {
		ids = append(ids, investigation.ID{TenantID: w.config.TenantID, ActionID: c.Action.ID})
	}
	records, err := w.ledger.Load(w.t.Context(), ids)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		w.t.Fatal(err)
	}
	found := map[string]investigation.Record{}
	for _, rec := range records {
		found[rec.ActionID] = rec
	}
	return found
}

// upgrade gives the ledger table the index by tenant, as the template does, and fails unless DynamoDB fills it with
// every record.
func (w *world) upgrade() {
	w.t.Helper()
	before := w.listed()
	dynamotest.AddIndex(w.t, ledgertables.Upgrade(w.table))
	if after := w.listedByIndex(); len(after) == 0 || !slices.Equal(after, before) {
		w.wrong("the index has %d records, the table %d", len(after), len(before))
	}
}

// listed returns the tenant's records, the oldest first.
func (w *world) listed() []investigation.Record {
	w.t.Helper()
	records, err := w.ledger.Records(w.t.Context(), w.config.TenantID)
	if err != nil {
		w.wrong("%v", err)
	}
	return records
}

// listedByIndex does the same, and fails if the whole table was read.
func (w *world) listedByIndex() []investigation.Record {
	w.t.Helper()
	wire := &dynamotest.Wire{}
	indexed := ledger.New(dynamotest.Client(wire), w.table)
	records, err := indexed.Records(w.t.Context(), w.config.TenantID)
	if err != nil || wire.Count("Scan") > 0 {
		w.wrong("list by the index: %v, %d scans", err, wire.Count("Scan"))
	}
	return records
}

// check compares what came of it with what was left.
func (l leftovers) check(w *world) {
	records := w.load(l.story)
	for _, c := range l.Actions {
		rec := records[c.Action.ID]
		links, told := w.links[c.Action.ID], w.told[c.Action.ID]
		if len(links) != c.MoreLinks || told != c.MoreTold || rec.Reason != c.Reason {
			w.wrong("%s: %d links and %d announcements after the upgrade, %q; want %d, %d, %q",
				c.Name, len(links), told, rec.Reason, c.MoreLinks, c.MoreTold, c.Reason)
		}
		l.checkPatience(w, c)
		l.checkPackage(w, c, rec)
	}
	for id := range w.links {
		if _, known := records[id]; !known {
			w.wrong("somebody asked for the package of %s", id)
		}
	}
	if got := w.listedByIndex(); len(got) != len(l.Actions) || !slices.Equal(got, w.listed()) {
		w.wrong("the index has %d records, want %d", len(got), len(l.Actions))
	}
	l.checkBudget(w)
	l.checkItems(w)
	l.checkObjects(w)
	l.verify(w)
}

// checkPatience fails if an action was asked for before its lease or its pause was over.
func (leftovers) checkPatience(w *world, c course) {
	if links := w.links[c.Action.ID]; len(links) > 0 && links[0].Before(c.DueAt) {
		w.wrong("%s: asked for at %v, but due at %v", c.Name, links[0], c.DueAt)
	}
}

// checkPackage fails unless the archive has what Defender served.
func (leftovers) checkPackage(w *world, c course, rec investigation.Record) {
	if c.Reason != "" {
		return
	}
	o, found := w.bucket.Version(rec.Receipt.Key, rec.Receipt.VersionID)
	if _, sum := w.sim.Package(c.Action.ID); !found || rec.Receipt.SHA256 != sum || int64(len(o.Body)) != rec.Receipt.Size {
		w.wrong("%s: %+v, want SHA-256 %s", c.Name, rec.Receipt, sum)
	}
}

// checkBudget fails if the two releases together asked for more links than Defender grants.
func (l leftovers) checkBudget(w *world) {
	var all []time.Time
	n := 0
	for _, c := range l.Actions {
		all = slices.Concat(all, c.Links, w.links[c.Action.ID])
		n += len(w.links[c.Action.ID])
	}
	slices.SortFunc(all, time.Time.Compare)
	if most, hour := mdesim.MostIn(all, time.Minute), mdesim.MostIn(all, time.Hour); most > 2 || hour > 120 {
		w.wrong("%d links in a minute, %d in an hour", most, hour)
	}
	v := w.sim.Judge().Verdict()
	if v.Calls[mdesim.KindPackageURI] != n || v.Throttled > 0 || v.Leaks > 0 || len(v.BrokenRules) > 0 {
		w.wrong("%d links were asked for; the judge: %+v", n, v)
	}
}

// checkItems fails if an item is gone, if one that was done has changed, or if one lacks what the earlier release
// needs to read it: an upgrade can be taken back.
func (l leftovers) checkItems(w *world) {
	done := map[string]bool{}
	for _, c := range l.Actions {
		done[w.config.TenantID+"#"+c.Action.ID] = c.State == investigation.StateDone
	}
	now := scanned(w.t, w.table)
	for key, was := range l.ledger {
		it, found := now[key]
		if !found {
			w.wrong("the item %s is gone", key)
			continue
		}
		if done[key] && !reflect.DeepEqual(it, was) {
			w.wrong("the item %s was done, and has changed to\n%v", key, plain(it))
		}
		for _, name := range []string{"pk", "tenantId", "actionId", "machineId", "createdAt", "observedAt"} {
			if !reflect.DeepEqual(it[name], was[name]) {
				w.wrong("%s of %s was %v and is %v", name, key, was[name], it[name])
			}
		}
		if reflect.TypeOf(it["version"]) != reflect.TypeOf(was["version"]) || reflect.TypeOf(it["state"]) != reflect.TypeOf(was["state"]) {
			w.wrong("the earlier release cannot read %v", plain(it))
		}
	}
}

// checkObjects fails if an object has changed that the earlier release has stored, or if one was stored twice.
func (l leftovers) checkObjects(w *world) {
	for key, versions := range l.bucket {
		for n, was := range versions {
			if is, found := w.bucket.Version(key, versionID(n)); !found || !bytes.Equal(is.Body, was.Body) || !maps.Equal(is.Metadata, was.Metadata) {
				w.wrong("version %d of %s has changed", n+1, key)
			}
		}
	}
	packages := 0
	for _, key := range w.bucket.Keys() {
		if n := w.bucket.Versions(key); n != 1 {
			w.wrong("%s has %d versions", key, n)
		}
		if strings.HasSuffix(key, ".zip") {
			packages++
		}
	}
	want := 1 // the stranger
	for _, c := range l.Actions {
		if c.Reason == "" {
			want++
		}
	}
	if packages != want {
		w.wrong("%d packages are in the bucket, want %d", packages, want)
	}
}
