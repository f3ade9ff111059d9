package ledger

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
)

func testFirstSight(_ *testing.T, b *bench) {
	for _, status := range []investigation.Status{
		"Pending", "InProgress", "Succeeded", "Failed", "TimeOut", "Cancelled", "SomethingNew", "",
	} {
		b.observe(b.action(status), t0)
	}
}

func testWaitingEnds(_ *testing.T, b *bench) {
	for _, status := range []investigation.Status{"Succeeded", "Failed", "TimeOut", "Cancelled"} {
		a := b.action("Pending")
		a.ComputerDNSName = ""
		b.observe(a, t0)
		a.Status, a.ComputerDNSName = "InProgress", "known-now.contoso.test"
		b.observe(a, t0.Add(time.Minute))
		a.LastUpdatedAt = t0.Add(2 * time.Minute)
		b.observe(a, t0.Add(2*time.Minute)) // no change
		a.Status = status
		b.observe(a, t0.Add(3*time.Minute))
	}
}

func testDecidedStays(_ *testing.T, b *bench) {
	again := func(id investigation.ID) {
		b.t.Helper()
		for _, status := range []investigation.Status{"Pending", "Succeeded", "Failed"} {
			a := b.model[id].Action
			a.Status = status
			b.observe(a, t0.Add(time.Hour))
		}
	}
	id := b.ready()
	again(id)
	b.check(b.claim(id, "ada", t0))
	again(id)
	b.check(b.archived(id, "ada", t0))
	again(id)
	b.check(b.announced(id, t0))
	again(id)
	failed := b.observe(b.action("Failed"), t0)
	again(failed.ID)
	b.check(b.seal(failed.ID))
	again(failed.ID)
}

// testRoundTrip also fails if it never sets a field of Record, so that a new field gets into the suite.
func testRoundTrip(t *testing.T, b *bench) {
	filled := map[string]bool{}
	note := func(id investigation.ID) {
		for name := range leaves(reflect.ValueOf(b.load(id)[0]), "") {
			filled[name] = true
		}
	}
	id := b.ready()
	note(id)
	b.check(b.claim(id, "ada", t0))
	note(id)
	b.check(b.release(id, "ada", investigation.Release{
		DueAt: t0.Add(time.Minute), Message: "the link expired", Cause: investigation.CauseDownload, Charge: investigation.ChargeLink}))
	note(id)
	b.check(b.claim(id, "bob", t0.Add(time.Minute)))
	b.check(b.archived(id, "bob", t0.Add(time.Minute+time.Nanosecond)))
	note(id)
	b.check(b.announced(id, t0.Add(time.Minute+2*time.Nanosecond)))
	note(id)
	other := b.claimed("ada")
	b.check(b.quarantined(other, "ada"))
	note(other)

	every := map[string]bool{}
	walk(reflect.TypeFor[investigation.Record](), "", every)
	for name := range every {
		if !filled[name] {
			t.Errorf("field %s was never set", name)
		}
	}
}

// leaves returns the paths of the fields below v that are not zero.
func leaves(v reflect.Value, path string) map[string]bool {
	names := map[string]bool{}
	if _, isTime := v.Interface().(time.Time); isTime || v.Kind() != reflect.Struct {
		if !v.IsZero() {
			names[path] = true
		}
		return names
	}
	for i := range v.NumField() {
		for name := range leaves(v.Field(i), path+"."+v.Type().Field(i).Name) {
			names[name] = true
		}
	}
	return names
}

// walk adds the paths of all fields below t to names.
func walk(t reflect.Type, path string, names map[string]bool) {
	if t == reflect.TypeFor[time.Time]() || t.Kind() != reflect.Struct {
		names[path] = true
		return
	}
	for i := range t.NumField() {
		walk(t.Field(i).Type, path+"."+t.Field(i).Name, names)
	}
}

func testWords(_ *testing.T, b *bench) {
	for _, words := range []string{
		"", " ", "Fund №7 — 調査 🐎", "quotes \" ' ` and \\ and {\"json\": null}",
		"lines\r\n\tand tabs", "\u202eright to left", "'; DROP TABLE actions; --",
		strings.Repeat("ü", 4000),
	} {
		a := b.action("Succeeded")
		a.ComputerDNSName, a.Requestor, a.RequestorComment, a.RequestSource = words, words, words, words
		a.CaseID = words
		b.observe(a, t0)
		b.check(b.claim(a.ID, "ada", t0))
		b.check(b.release(a.ID, "ada", investigation.Release{DueAt: t0, Message: words}))
	}
	bare := b.action("Pending")
	bare.LastUpdatedAt = time.Time{}
	b.observe(bare, t0)
	bare.Status = "Succeeded"
	b.observe(bare, t0)
}

func testLoad(t *testing.T, b *bench) {
	if got := b.load(); len(got) != 0 {
		t.Errorf("of no ids: got %v", got)
	}
	missing := b.action("Pending").ID
	if got := b.load(missing); len(got) != 0 {
		t.Errorf("of an unknown id: got %v", got)
	}
	known := b.ready()
	if got := b.load(missing, known); len(got) != 1 || got[0].ID != known {
		t.Errorf("of one unknown and one known: got %v", got)
	}
	if got := b.load(known, known); len(got) != 1 {
		t.Errorf("of the same id twice: got %d records", len(got))
	}
	elsewhere := investigation.ID{TenantID: newGUID(), ActionID: known.ActionID}
	if got := b.load(elsewhere); len(got) != 0 {
		t.Errorf("of another tenant's id: got %v", got)
	}
}

func testLoadMany(t *testing.T, b *bench) {
	const many = 250 // more than two DynamoDB batches
	var ids []investigation.ID
	for range many {
		a := b.action("Pending")
		rec, err := b.ledger.Change(b.ctx(), a.ID, investigation.Observe(a, t0))
		if err != nil {
			t.Fatalf("observe: %v", err)
		}
		b.model[a.ID] = rec
		ids = append(ids, a.ID, b.action("Pending").ID)
	}
	got := map[investigation.ID]investigation.Record{}
	for _, rec := range b.load(ids...) {
		got[rec.ID] = rec
	}
	if !reflect.DeepEqual(got, b.model) {
		t.Errorf("got %d records, want %d", len(got), len(b.model))
	}
}

func testUnknown(_ *testing.T, b *bench) {
	id := b.action("Succeeded").ID
	for _, c := range []call{
		b.claim(id, "ada", t0), b.renew(id, "ada", t0), b.release(id, "ada", investigation.Release{}),
		b.archived(id, "ada", t0), b.notCollected(id, "ada"), b.seal(id), b.announced(id, t0),
	} {
		b.check(c)
		if got := b.load(id); len(got) != 0 {
			b.t.Errorf("%s of an unknown action left %+v", c.String(), got)
		}
	}
}
