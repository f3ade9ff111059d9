package upgrade_test

import (
	"bytes"
	"crypto/rand"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/registry"
	"packhorse/internal/roster"
	"packhorse/internal/tenant"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// settled is how long the release is watched after all is done: longer than it takes to list the whole look-back again.
const settled = 11 * time.Minute

// TestUpgrade: this release finishes what each earlier one has left, whether the tenant stays in the stack's
// parameters or moves to the registry, at once or later.
func TestUpgrade(t *testing.T) {
	folders, err := filepath.Glob("testdata/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("nothing is kept: %v", err)
	}
	for _, folder := range folders {
		left := open(t, folder)
		for name, move := range map[string]moving{
			"the tenant stays":       {},
			"the tenant has moved":   {registered: true, moved: 0},
			"the tenant moves later": {registered: true, moved: 3 * time.Minute},
		} {
			t.Run(filepath.Base(folder)+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := left.restore(t)
				w.finish(left.story, move)
				left.check(t, w)
			})
		}
	}
}

// moving says when the tenant moves from the stack's parameters to the registry.
type moving struct {
	registered bool
	moved      time.Duration // since the upgrade
}

// finish runs this release until nothing is left to do, and a while longer.
func (w *world) finish(s story, move moving) {
	w.t.Helper()
	r := w.start(w.environ(), nil)
	w.deliver(r) // what is on the bus
	if move.registered {
		entries := w.register()
		moved := w.environ()
		delete(moved, "DEFENDER_TENANT_ID")
		delete(moved, "DEFENDER_CLIENT_ID")
		delete(moved, "DEFENDER_SECRET_ID")
		for r = w.start(w.environ(), entries); w.now().Sub(s.At) < move.moved; w.advance() {
			w.turn(r)
		}
		r = w.start(moved, entries)
	}
	limit := s.At.Add(time.Hour)
	for end := limit; w.now().Before(end); w.advance() {
		w.turn(r)
		if end == limit && w.finished(s) {
			end = w.now().Add(settled)
		}
	}
	if !w.finished(s) {
		w.t.Errorf("not finished after %v", w.now().Sub(s.At))
	}
	if len(w.errors) > 0 {
		w.t.Errorf("%d errors: %s", len(w.errors), strings.Join(w.errors, "\n"))
	}
}

// register returns a registry with the tenant.
func (w *world) register() roster.Registry {
	w.t.Helper()
	table := dynamotest.Table(w.t, ledgertables.Budget("tenants-"+rand.Text())) // its form is the same
	entries := registry.New(dynamotest.Client(w.wire()), table)
	_, err := entries.Put(w.t.Context(), tenant.New(tenant.Tenant{
		ID: w.config.TenantID, Name: "Contoso", ClientID: w.config.ClientID,
		Credential: tenant.Credential{Kind: tenant.ClientSecret, SecretID: "packhorse/contoso"},
	}, w.now()))
	if err != nil {
		w.t.Fatal(err)
	}
	return entries
}

// finished reports whether every action of the story is done.
func (w *world) finished(s story) bool {
	done := 0
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
	if err != nil {
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
	client := dynamotest.Client(dynamotest.Direct)
	if _, err := client.UpdateTable(w.t.Context(), ledgertables.Upgrade(w.table)); err != nil {
		w.t.Fatal(err)
	}
	err := dynamodb.NewTableExistsWaiter(client).Wait(w.t.Context(),
		&dynamodb.DescribeTableInput{TableName: aws.String(w.table)}, time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	if after := w.listedByIndex(); len(after) == 0 || !slices.Equal(after, before) {
		w.t.Errorf("the index has %d records, the table %d", len(after), len(before))
	}
}

// listed returns the tenant's records, the oldest first.
func (w *world) listed() []investigation.Record {
	w.t.Helper()
	records, err := w.ledger.Records(w.t.Context(), w.config.TenantID)
	if err != nil {
		w.t.Error(err)
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
		w.t.Errorf("list by the index: %v, %d scans", err, wire.Count("Scan"))
	}
	return records
}

// check compares what came of it with what was left.
func (l leftovers) check(t *testing.T, w *world) {
	t.Helper()
	records := w.load(l.story)
	for _, c := range l.Actions {
		rec := records[c.Action.ID]
		links, told := w.links[c.Action.ID], w.told[c.Action.ID]
		if len(links) != c.MoreLinks || told != c.MoreTold || rec.Reason != c.Reason {
			t.Errorf("%s: %d links and %d announcements after the upgrade, %q; want %d, %d, %q",
				c.Name, len(links), told, rec.Reason, c.MoreLinks, c.MoreTold, c.Reason)
		}
		l.checkPatience(t, w, c)
		l.checkPackage(t, w, c, rec)
	}
	for id := range w.links {
		if _, known := records[id]; !known {
			t.Errorf("somebody asked for the package of %s", id)
		}
	}
	if got := w.listedByIndex(); len(got) != len(l.Actions) || !slices.Equal(got, w.listed()) {
		t.Errorf("the index has %d records, want %d", len(got), len(l.Actions))
	}
	l.checkBudget(t, w)
	l.checkItems(t, w)
	l.checkObjects(t, w)
	l.verify(t, w)
}

// checkPatience fails if an action was asked for before its lease or its pause was over.
func (leftovers) checkPatience(t *testing.T, w *world, c course) {
	t.Helper()
	was, links := w.before[c.Action.ID], w.links[c.Action.ID]
	if len(links) == 0 {
		return
	}
	if first := links[0]; first.Before(was.DueAt) {
		t.Errorf("%s: asked for at %v, but due at %v", c.Name, first, was.DueAt)
	}
}

// checkPackage fails unless the archive has what Defender served.
func (leftovers) checkPackage(t *testing.T, w *world, c course, rec investigation.Record) {
	t.Helper()
	if c.Reason != "" {
		return
	}
	o, found := w.bucket.Version(rec.Receipt.Key, rec.Receipt.VersionID)
	if _, sum := w.sim.Package(c.Action.ID); !found || rec.Receipt.SHA256 != sum || int64(len(o.Body)) != rec.Receipt.Size {
		t.Errorf("%s: %+v, want SHA-256 %s", c.Name, rec.Receipt, sum)
	}
}

// checkBudget fails if the two releases together asked for more links than Defender grants.
func (l leftovers) checkBudget(t *testing.T, w *world) {
	t.Helper()
	var all []time.Time
	n := 0
	for _, c := range l.Actions {
		all = slices.Concat(all, c.Links, w.links[c.Action.ID])
		n += len(w.links[c.Action.ID])
	}
	slices.SortFunc(all, time.Time.Compare)
	if most, hour := mdesim.MostIn(all, time.Minute), mdesim.MostIn(all, time.Hour); most > 2 || hour > 120 {
		t.Errorf("%d links in a minute, %d in an hour", most, hour)
	}
	v := w.sim.Judge().Verdict()
	if v.Calls[mdesim.KindPackageURI] != n || v.Throttled > 0 || v.Leaks > 0 || len(v.BrokenRules) > 0 {
		t.Errorf("%d links were asked for; the judge: %+v", n, v)
	}
}

// checkItems fails if an item is gone, if one that was done has changed, or if one lacks what the earlier release
// needs to read it: an upgrade can be taken back.
func (l leftovers) checkItems(t *testing.T, w *world) {
	t.Helper()
	now := scanned(t, w.table)
	for key, was := range l.ledger {
		it, found := now[key]
		if !found {
			t.Errorf("the item %s is gone", key)
			continue
		}
		_, id, _ := strings.Cut(key, "#")
		if w.before[id].State == investigation.StateDone && !reflect.DeepEqual(it, was) {
			t.Errorf("the item %s was done, and has changed to\n%v", key, plain(it))
		}
		for _, name := range []string{"pk", "tenantId", "actionId", "machineId", "createdAt", "observedAt"} {
			if !reflect.DeepEqual(it[name], was[name]) {
				t.Errorf("%s of %s was %v and is %v", name, key, was[name], it[name])
			}
		}
		if reflect.TypeOf(it["version"]) != reflect.TypeOf(was["version"]) || reflect.TypeOf(it["state"]) != reflect.TypeOf(was["state"]) {
			t.Errorf("the earlier release cannot read %v", plain(it))
		}
	}
}

// checkObjects fails if an object has changed that the earlier release has stored, or if one was stored twice.
func (l leftovers) checkObjects(t *testing.T, w *world) {
	t.Helper()
	for key, versions := range l.bucket {
		for n, was := range versions {
			if is, found := w.bucket.Version(key, versionID(n)); !found || !bytes.Equal(is.Body, was.Body) || !maps.Equal(is.Metadata, was.Metadata) {
				t.Errorf("version %d of %s has changed", n+1, key)
			}
		}
	}
	packages := 0
	for _, key := range w.bucket.Keys() {
		if n := w.bucket.Versions(key); n != 1 {
			t.Errorf("%s has %d versions", key, n)
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
		t.Errorf("%d packages are in the bucket, want %d", packages, want)
	}
}
