package ledger

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
)

// damages returns values that somebody else, or an earlier version, may have left in the record of a ready
// action. They spare the lane and the due time, so the record stays in the due index.
func damages() []struct {
	field string
	value any
} {
	return []struct {
		field string
		value any
	}{
		{"state", "nonsense"},
		{"strangers", "nonsense"},
		{"claims", strings.Repeat("owner ", 33)},
		{"state", nil},
		{"state", "archived"}, // without a receipt
		{"state", "waiting"},  // but due
		{"actionId", "22222222-2222-4222-8222-222222222222"},
		{"machineId", "../../elsewhere"},
		{"machineId", nil},
		{"createdAt", "10000-01-01T00:00:00Z"},
		{"createdAt", "2015-12-31T23:59:59Z"},
		{"createdAt", nil},
		{"lastUpdatedAt", "10000-01-01T00:00:00Z"},
		{"lastUpdatedAt", "9999-12-31T23:59:59-01:00"},
		{"lastUpdatedAt", "0000-12-31T23:59:59Z"},
		{"lastUpdatedAt", "yesterday"},
		{"observedAt", nil},
		{"observedAt", "0000-01-01T00:00:00Z"},
		{"attempts", -1},
		{"expiredLinks", -1},
		{"owner", "ada"},
		{"leaseUntil", "2026-11-03T10:00:00Z"},
		{"reason", "Failed"},
		{"reason", "whim"},
		{"archivedAt", "2026-11-03T10:00:00Z"},
		{"announcedAt", "2026-11-03T10:00:00Z"},
	}
}

// testDamage checks that the ledger names an invalid record in its error and does not change it, and that
// the other records are found and can change as if it did not exist.
func testDamage(t *testing.T, b *bench) {
	for _, d := range damages() {
		b.tenant = newGUID()
		damaged := b.ready() // the first in due order: it must not count toward the limit
		first := b.observe(b.action("Succeeded"), t0.Add(time.Second)).ID
		last := b.observe(b.action("Succeeded"), t0.Add(2*time.Second)).ID
		b.spoil(t, damaged, d.field, d.value)
		for name, l := range map[string]Ledger{"one": b.ledger, "other": b.other} {
			t.Logf("in the %s ledger, with %v as %s:", name, d.value, d.field)
			b.looksPast(l, damaged, first, last, d.field == "createdAt" && d.value == nil)
		}
		b.refusesAll(damaged)

		b.observe(b.action("Pending"), t0)
		later := t0.Add(time.Minute)
		for _, c := range []call{
			b.claim(first, "ada", later), b.archived(first, "ada", later), b.announced(first, later),
			b.claim(last, "ada", later), b.quarantined(last, "ada"), b.announced(last, later),
			b.seal(b.observe(b.action("Failed"), t0).ID),
		} {
			if err := b.check(c); err != nil {
				t.Errorf("%s next to the damaged record: %v", c.String(), err)
			}
		}
		b.refusesAll(damaged)
	}
}

// looksPast fails unless every query of the tenant returns these two records, and an error that names the
// damaged one.
//
// unlisted says that Records need not name the invalid record: an index by creation time leaves it out.
func (b *bench) looksPast(l Ledger, damaged, first, last investigation.ID, unlisted bool) {
	b.t.Helper()
	want := []investigation.Record{b.model[first], b.model[last]}
	byDue := func(x, y investigation.Record) int { return x.DueAt.Compare(y.DueAt) }
	for name, look := range map[string]func() ([]investigation.Record, error){
		"load": func() ([]investigation.Record, error) {
			return l.Load(b.ctx(), []investigation.ID{first, damaged, last})
		},
		"records": func() ([]investigation.Record, error) { return l.Records(b.ctx(), b.tenant) },
		"due": func() ([]investigation.Record, error) {
			return l.Due(b.ctx(), b.tenant, live, t0.Add(time.Hour), 10)
		},
		"due, at most two": func() ([]investigation.Record, error) {
			return l.Due(b.ctx(), b.tenant, live, t0.Add(time.Hour), 2)
		},
	} {
		got, err := look()
		if name != "records" || !unlisted || err != nil {
			b.isBad(name, damaged, err)
		}
		slices.SortFunc(got, byDue)
		if !slices.Equal(got, want) {
			b.t.Errorf("%s: got %v, want %v", name, brief(got), brief(want))
		}
	}
	if _, err := l.Head(b.ctx(), b.tenant); err != nil {
		b.t.Errorf("head: %v", err)
	}
}

// refusesAll fails unless the ledger refuses every change of the damaged record.
func (b *bench) refusesAll(damaged investigation.ID) {
	b.t.Helper()
	_, err := b.ledger.Change(b.ctx(), damaged, investigation.Observe(b.model[damaged].Action, t0))
	b.isBad("observe", damaged, err)
	for _, c := range []call{
		b.claim(damaged, "bob", t0), b.renew(damaged, "ada", t0), b.archived(damaged, "ada", t0),
		b.release(damaged, "ada", investigation.Release{}), b.notCollected(damaged, "ada"),
		b.seal(damaged), b.announced(damaged, t0),
	} {
		_, err := b.do(b.ctx(), c, b.ledger)
		b.isBad(c.String(), damaged, err)
	}
}

// isBad fails unless err says that the action's record is invalid.
func (b *bench) isBad(what string, id investigation.ID, err error) {
	b.t.Helper()
	if !errors.Is(err, investigation.ErrBadRecord) || !strings.Contains(err.Error(), id.ActionID) {
		b.t.Errorf("%s: got %v, want an error that names action %s", what, err, id.ActionID)
	}
}

// testBadAction checks that a ledger refuses to observe an action that it could not store.
func testBadAction(t *testing.T, b *bench) {
	for name, spoil := range map[string]func(*investigation.Action){
		"a last update after the year 9999": func(a *investigation.Action) {
			a.LastUpdatedAt = time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600))
		},
		"a last update in the year 0": func(a *investigation.Action) {
			a.LastUpdatedAt = time.Date(0, 6, 1, 0, 0, 0, 0, time.UTC)
		},
		"created after the year 9999": func(a *investigation.Action) {
			a.CreatedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
		},
		"created before Defender existed": func(a *investigation.Action) {
			a.CreatedAt = time.Date(2015, 12, 31, 0, 0, 0, 0, time.UTC)
		},
		"never created":     func(a *investigation.Action) { a.CreatedAt = time.Time{} },
		"no machine":        func(a *investigation.Action) { a.MachineID = "" },
		"a path as machine": func(a *investigation.Action) { a.MachineID = "../x" },
	} {
		a := b.action("Succeeded")
		spoil(&a)
		_, err := b.ledger.Change(b.ctx(), a.ID, investigation.Observe(a, t0))
		if !errors.Is(err, investigation.ErrBadAction) {
			t.Errorf("%s: got %v, want ErrBadAction", name, err)
		}
		b.isBad(name, a.ID, err)
		if got := b.load(a.ID); len(got) != 0 {
			t.Errorf("%s: the ledger holds %+v", name, got)
		}
		b.ready()
	}
	waiting := b.observe(b.action("Pending"), t0)
	a := waiting.Action
	a.Status, a.LastUpdatedAt = "Succeeded", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err := b.ledger.Change(b.ctx(), a.ID, investigation.Observe(a, t0))
	b.isBad("a waiting action", a.ID, err)
	b.holds(waiting)
}

// testBadChange checks that a change that would make an invalid record changes neither the record nor the
// chain.
func testBadChange(_ *testing.T, b *bench) {
	never := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	ready, held := b.ready(), b.claimed("ada")
	locked := b.archived(held, "ada", t0)
	locked.change = investigation.Archive("ada", investigation.Arrival{At: t0, Receipt: investigation.Receipt{
		Key: "k.zip", Retention: investigation.Retention{Mode: "COMPLIANCE", Until: never}}})
	for _, c := range []call{
		b.claim(ready, "bob", never), b.renew(held, "ada", never),
		b.release(held, "ada", investigation.Release{DueAt: never}), b.archived(held, "ada", never),
		locked, b.closed(held, "ada", investigation.Closing{Reason: "whim"}),
		b.closed(held, "ada", investigation.Closing{Reason: "Invalid",
			Quarantine: investigation.Receipt{Bucket: "evidence", Key: "q.bin", Size: -1}}),
	} {
		_, err := b.do(b.ctx(), c, b.ledger)
		b.isBad(c.String(), c.id, err)
		b.holds(b.model[c.id])
		b.endsIn(b.tenant, investigation.Head{})
	}
	b.check(b.archived(held, "ada", t0))
	b.check(b.announced(held, t0))
}
