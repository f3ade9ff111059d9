package upgrade_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"packhorse/internal/custody"
	"packhorse/internal/investigation"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/memory"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

var keep = flag.String("keep", "", "have this release work for some minutes, stop it in the middle, and write what it left to this folder of testdata, for later releases to finish")

const (
	// keptTurns is when the release is stopped: after twelve minutes.
	keptTurns = 103

	ledgerFile, budgetFile, bucketFile, storyFile = "ledger.json", "budget.json", "bucket.json", "story.json"
)

// story is all that Defender and the outside know at the moment of the upgrade.
type story struct {
	At      time.Time `json:"at"`
	Actions []course  `json:"actions"`
	Events  []kept    `json:"events"` // on the bus
}

// course is one action: how far it came, and what is left to do.
type course struct {
	Name      string              `json:"name"`
	Action    mdesim.Action       `json:"action"`
	Downloads []mdesim.Download   `json:"downloads,omitempty"` // from now on; empty: the package
	State     investigation.State `json:"state"`               // in the ledger; empty: not there
	DueAt     time.Time           `json:"dueAt"`               // likewise
	Links     []time.Time         `json:"links"`               // when each was asked for
	Told      int                 `json:"told"`                // announcements of its outcome

	// What it takes from now on, and how it ends.
	MoreLinks int                  `json:"moreLinks"`
	MoreTold  int                  `json:"moreTold"`
	Reason    investigation.Reason `json:"reason,omitempty"`
}

// planned is a course as it is planned: times are from the start.
type planned struct {
	course

	ends    time.Duration // when Defender is done with it
	status  string        // how; empty: Succeeded
	created time.Duration // how long before that it was requested; 0: ten minutes
	appears time.Duration // when Defender begins to list it
	before  []mdesim.Download
	fault   fault
}

func sec(n int) time.Duration { return time.Duration(n) * time.Second }

// plan has an action for each state that a stack can be in.
func plan() []planned {
	html, broken := []mdesim.Download{mdesim.DownloadHTML}, []mdesim.Download{mdesim.DownloadError}
	expired := []mdesim.Download{mdesim.DownloadExpiredJSON}
	const day = 24 * time.Hour
	return []planned{
		{course: course{Name: "archived", State: "done", Told: 1}, ends: sec(-300)},
		{course: course{Name: "a stranger in its place", State: "done", Told: 1}, ends: sec(20)},
		{course: course{Name: "quarantined", State: "done", Told: 1, Reason: "Invalid"}, ends: sec(-240), before: html},
		{course: course{Name: "failed", State: "done", Told: 1, Reason: "Failed"}, ends: sec(-200), status: "Failed"},
		{course: course{Name: "the bus refuses the outcome", State: "archived", MoreTold: 1}, ends: sec(30), fault: fault{atAnnounce, refused}},
		{course: course{Name: "cannot be signed", State: "archived", MoreTold: 1}, ends: sec(40), fault: fault{atSign, refused}},
		{course: course{Name: "no package three times", State: "ready", MoreLinks: 1, MoreTold: 1, Reason: "Invalid"}, ends: sec(290), before: html},
		{course: course{Name: "the download failed", State: "ready", MoreLinks: 1, MoreTold: 1}, ends: sec(250), before: broken},
		{course: course{Name: "abandoned", State: "fetching", MoreLinks: 1, MoreTold: 1}, ends: sec(540), fault: fault{atLink, dies}},
		{course: course{Name: "announced, but not recorded", State: "archived", Told: 1, MoreTold: 1}, ends: sec(420), fault: fault{atTell, fails}},
		{course: course{Name: "the link expired", State: "ready", MoreLinks: 1, MoreTold: 1}, ends: sec(480), before: expired},
		{course: course{Name: "committed", State: "fetching", MoreTold: 1}, ends: sec(600), fault: fault{atStore, dies}},
		{course: course{Name: "on its way", State: "fetching", MoreLinks: 1, MoreTold: 1}, ends: sec(630), fault: fault{atLink, dies}},
		{course: course{Name: "handed over", State: "ready", MoreLinks: 1, MoreTold: 1}, ends: sec(650), fault: fault{atDelivery, late}},
		{course: course{Name: "ready", State: "ready", MoreLinks: 1, MoreTold: 1}, ends: sec(690)},
		{course: course{Name: "ready, too", State: "ready", MoreLinks: 1, MoreTold: 1}, ends: sec(700)},
		{course: course{Name: "backlog", State: "ready", MoreLinks: 1, MoreTold: 1}, ends: -5 * day, appears: sec(590)},
		{course: course{Name: "decided", State: "notCollected", MoreTold: 1, Reason: "TimeOut"}, ends: sec(690), status: "TimeOut", fault: fault{atDelivery, late}},
		{course: course{Name: "waiting", State: "waiting", MoreLinks: 1, MoreTold: 1}, ends: sec(834)},
		{course: course{Name: "waiting for a host", State: "waiting", MoreLinks: 1, MoreTold: 1}, ends: sec(1280), created: 5 * day},
		{course: course{Name: "waiting in vain", State: "waiting", MoreTold: 1, Reason: "Cancelled"}, ends: sec(960), status: "Cancelled", created: 3 * time.Hour},
		{course: course{Name: "requested after the upgrade", MoreLinks: 1, MoreTold: 1}, ends: sec(1080), created: 4 * time.Minute},
	}
}

// action returns the action as Defender has it.
func (p planned) action(start time.Time) mdesim.Action {
	took, status := p.created, p.status
	if took == 0 {
		took = 10 * time.Minute
	}
	if status == "" {
		status = "Succeeded"
	}
	return mdesim.Action{
		ID: mdesim.IDOf("upgrade", p.Name), MachineID: mdesim.MachineOf("upgrade", p.Name),
		ComputerDNSName: "pc.contoso.com", Requestor: "a@contoso.com", Comment: "INC-7: " + p.Name,
		CreatedAt: start.Add(p.ends - took), Steps: mdesim.Ending(took, status),
		PackageSize: 2000,
	}
}

// TestKeep has this release work, and keeps what it leaves behind. It runs only with -keep: later releases need
// what a release that somebody has deployed really wrote.
func TestKeep(t *testing.T) {
	if *keep == "" {
		return
	}
	folder := filepath.Join("testdata", *keep)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	start := time.Now().UTC().Truncate(time.Hour)
	table, budget := dynamotest.Table(t, ledgerTable()), dynamotest.Table(t, budgetTable())
	keys := t.TempDir()
	w := newWorld(t, start, table, budget, keys)
	s := story{Events: []kept{}}
	downloads := map[string][]mdesim.Download{}
	unborn := map[time.Duration][]mdesim.Action{}
	for n, p := range plan() {
		p.Action = p.action(start)
		p.Action.PackageSeed = uint64(n)
		if p.appears == 0 {
			w.sim.Add(p.Action)
		} else {
			unborn[p.appears] = append(unborn[p.appears], p.Action)
		}
		if len(p.before) > 0 {
			downloads[p.Action.ID] = p.before
		}
		if p.Reason == investigation.ReasonInvalid {
			p.Downloads = p.before
		}
		if p.fault != (fault{}) {
			w.faults[p.Action.ID] = p.fault
		}
		if p.Name == "a stranger in its place" {
			w.bucket.Plant(placeOf(t, w.config.TenantID, p.Action), memory.Object{Body: []byte("planted")})
		}
		s.Actions = append(s.Actions, p.course)
	}
	w.sim.SetFaults(mdesim.Faults{Downloads: downloads})
	r := w.start(w.environ(), nil)
	for n := range keptTurns {
		for after, actions := range unborn {
			if w.now().Sub(start) >= after {
				for _, a := range actions {
					w.sim.Add(a)
				}
				delete(unborn, after)
			}
		}
		w.turn(r)
		if n < keptTurns-1 {
			w.advance(fine)
		}
	}
	s.At, s.Events = w.now(), append(s.Events, w.late...)
	w.describe(&s)
	write(t, filepath.Join(folder, storyFile), s)
	write(t, filepath.Join(folder, bucketFile), versionsOf(w.bucket))
	write(t, filepath.Join(folder, ledgerFile), itemsOf(t, table))
	write(t, filepath.Join(folder, budgetFile), itemsOf(t, budget))
	key, err := os.ReadFile(filepath.Join(keys, custody.LocalKeyFile))
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, custody.LocalKeyFile), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// describe completes the courses, and fails unless each is where the plan wants it.
func (w *world) describe(s *story) {
	w.t.Helper()
	for i := range s.Actions {
		c := &s.Actions[i]
		id := investigation.ID{TenantID: w.config.TenantID, ActionID: c.Action.ID}
		records, err := w.ledger.Load(w.t.Context(), []investigation.ID{id})
		var rec investigation.Record
		if len(records) > 0 {
			rec = records[0]
		}
		c.DueAt = rec.DueAt
		c.Links = append([]time.Time{}, w.links[c.Action.ID]...)
		w.t.Logf("%-30s %-12s %d attempts, %d links, told %d times", c.Name, rec.State, rec.Attempts, len(c.Links), w.told[c.Action.ID])
		if err != nil || rec.State != c.State || w.told[c.Action.ID] != c.Told {
			w.t.Errorf("%s: %s, told %d times, %v; want %s, %d times", c.Name, rec.State, w.told[c.Action.ID], err, c.State, c.Told)
		}
	}
	w.t.Logf("%d events are left: %v\n%v", len(s.Events), s.Events, w.errors)
}

func placeOf(t *testing.T, tenantID string, a mdesim.Action) string {
	t.Helper()
	key, err := investigation.KeyOf("packages/", investigation.Action{
		ID: investigation.ID{TenantID: tenantID, ActionID: a.ID}, MachineID: a.MachineID, CreatedAt: a.CreatedAt,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}

func write(t *testing.T, path string, value any) {
	t.Helper()
	text, err := json.MarshalIndent(value, "", " ")
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// versionsOf returns all that is in a bucket, by key, the oldest version first.
func versionsOf(b *memory.Bucket) map[string][]memory.Object {
	all := map[string][]memory.Object{}
	for _, key := range b.Keys() {
		for n := range b.Versions(key) {
			o, _ := b.Version(key, versionID(n))
			all[key] = append(all[key], o)
		}
	}
	return all
}

// itemsOf returns all items of a table, by their keys.
func itemsOf(t *testing.T, table string) map[string]any {
	t.Helper()
	all := map[string]any{}
	for key, it := range scanned(t, table) {
		all[key] = plain(it)
	}
	return all
}

func scanned(t *testing.T, table string) map[string]map[string]types.AttributeValue {
	t.Helper()
	all := map[string]map[string]types.AttributeValue{}
	pages := dynamodb.NewScanPaginator(dynamotest.Client(dynamotest.Direct),
		&dynamodb.ScanInput{TableName: aws.String(table), ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			all[it["pk"].(*types.AttributeValueMemberS).Value] = it
		}
	}
	return all
}
