package memory_test

import (
	"strings"
	"testing"
	"time"

	conformance "packhorse/internal/conformance/ledger"
	"packhorse/internal/investigation"
	"packhorse/internal/memory"
)

func TestMemory(t *testing.T) {
	conformance.Run(t, func(*testing.T) (one, other conformance.Ledger, spoil conformance.Spoil) {
		m := memory.NewLedger()
		return m, m, func(t *testing.T, id investigation.ID, field string, value any) {
			t.Helper()
			m.Damage(id, func(r *investigation.Record) { set(t, r, field, value) })
		}
	})
}

// set replaces a field with a stored value.
func set(t *testing.T, r *investigation.Record, field string, value any) {
	t.Helper()
	number, _ := value.(int)
	text, _ := value.(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil && value != nil { // this ledger can only store a time here
		at = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	switch field {
	case "state":
		r.State = investigation.State(text)
	case "reason":
		r.Reason = investigation.Reason(text)
	case "actionId":
		r.ActionID = text
	case "machineId":
		r.MachineID = text
	case "owner":
		r.Owner = text
	case "claims":
		r.Claims = investigation.Claims(text)
	case "strangers":
		r.Strangers = investigation.Strangers(text)
	case "attempts":
		r.Attempts = number
	case "expiredLinks":
		r.ExpiredLinks = number
	case "createdAt":
		r.CreatedAt = at
	case "lastUpdatedAt":
		r.LastUpdatedAt = at
	case "observedAt":
		r.ObservedAt = at
	case "leaseUntil":
		r.LeaseUntil = at
	case "archivedAt":
		r.ArchivedAt = at
	case "announcedAt":
		r.AnnouncedAt = at
	default:
		t.Fatalf("no field is stored as %s", field)
	}
}

var now = time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)

func observed(t *testing.T, status investigation.Status) investigation.Record {
	t.Helper()
	guid := "11111111-2222-4333-8444-555555555555"
	a := investigation.Action{
		ID: investigation.ID{TenantID: guid, ActionID: guid}, MachineID: guid, Status: status,
		CreatedAt: now.Add(-time.Hour),
	}
	rec, err := investigation.Observe(a, now).Apply(investigation.Record{})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// The strict twin must notice every fault, or it proves nothing.
func TestCheckChangeFindsFault(t *testing.T) {
	ready := observed(t, investigation.StatusSucceeded)
	waiting := observed(t, investigation.StatusPending)
	fetching, err := investigation.Claim("ada", now, now.Add(time.Minute)).Apply(ready)
	if err != nil {
		t.Fatal(err)
	}
	sealed := func(r investigation.Record, err error) investigation.Record {
		if err == nil {
			r, _, err = r.Sealed(investigation.Head{}, &memory.Sealer{})
		}
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	archived := sealed(investigation.Archive("ada", investigation.Arrival{At: now, Receipt: investigation.Receipt{Key: "k"}}).Apply(fetching))
	invalid := sealed(investigation.Close("ada", investigation.Closing{At: now, Reason: "Invalid",
		Quarantine: investigation.Receipt{Key: "q"}}).Apply(fetching))
	open := observed(t, investigation.StatusFailed)
	closed := sealed(open, nil)
	done, err := investigation.Announce(investigation.Conclusion{At: now}).Apply(archived)
	if err != nil {
		t.Fatal(err)
	}
	type record = investigation.Record
	tests := []struct {
		name   string
		before record
		after  record
		spoil  func(*record)
		words  string
	}{
		{"a state skipped", ready, archived, func(*record) {}, `"ready" became "archived"`},
		{"back to waiting", ready, waiting, func(*record) {}, `"ready" became "waiting"`},
		{"out of done", done, archived, func(*record) {}, `"done" became "archived"`},
		{"done, and changed", done, done, func(r *record) { r.AnnouncedAt = now.Add(1) }, "changed"},
		{"another action", ready, fetching, func(r *record) { r.ActionID = "b" }, "id changed"},
		{"another machine", ready, fetching, func(r *record) { r.MachineID = "n" }, "action changed"},
		{"another lane", ready, fetching, func(r *record) { r.Lane = "backlog" }, "lane changed"},
		{"first sight moved", waiting, ready, func(r *record) { r.ObservedAt = now.Add(1) },
			"first sight"},
		{"another receipt", archived, done, func(r *record) { r.Receipt.Key = "l" }, "receipt"},
		{"no owner", ready, fetching, func(r *record) { r.Owner = "" }, "owner"},
		{"an owner for good", fetching, archived, func(r *record) { r.Owner = "ada" }, "owner"},
		{"a lease for good", fetching, archived, func(r *record) { r.LeaseUntil = now }, "lease"},
		{"done and due", archived, done, func(r *record) { r.Lane = "live" }, "lane"},
		{"ready and not due", record{}, ready, func(r *record) { r.Lane = "" }, "lane"},
		{"no receipt", fetching, archived, func(r *record) { r.Receipt = investigation.Receipt{} },
			"receipt"},
		{"a reason and a receipt", fetching, archived, func(r *record) { r.Reason = "Failed" },
			"reason"},
		{"archived and not sealed", fetching, archived, func(r *record) { r.Seal = investigation.Seal{} },
			"seal"},
		{"sealed without a manifest", open, closed, func(r *record) { r.Seal.Manifest = "" }, "manifest"},
		{"another manifest", open, closed, func(r *record) { r.Seal.Manifest += " " },
			"another manifest's digest"},
		{"sealed without a key", open, closed, func(r *record) { r.ManifestKey = "" }, "manifest key"},
		{"a place without a digest", open, closed, func(r *record) { r.Seal.Digest = "" }, "number 1"},
		{"sealed, and moved", closed, closed, func(r *record) { r.Seal.Sequence = 2 }, "seal changed"},
		{"sealed, and due later", open, closed, func(r *record) { r.DueAt = now.Add(time.Hour) },
			"due time changed"},
		{"done, with its manifest", archived, done, func(r *record) { r.Seal = archived.Seal },
			"manifest"},
		{"a quarantine not sealed", fetching, invalid, func(r *record) {
			r.QuarantineSeal = investigation.Seal{}
		}, "quarantine"},
		{"seals that are apart", fetching, invalid, func(r *record) { r.Seal.Sequence = 3 },
			"numbers 1 and 3"},
		{"a quarantine of nothing", fetching, archived, func(r *record) {
			r.Quarantine, r.QuarantineSeal = invalid.Quarantine, invalid.QuarantineSeal
			r.Seal.Sequence = 2
		}, "no reason"},
		{"fewer than no attempts", record{}, ready, func(r *record) { r.Attempts = -1 }, "attempts"},
		{"an attempt not counted", ready, fetching, func(r *record) { r.Attempts = 0 }, "attempt 0"},
		{"two attempts counted", ready, fetching, func(r *record) { r.Attempts = 2 },
			"2 attempts were counted at once"},
		{"due before the lease ends", ready, fetching, func(r *record) { r.DueAt = now }, "due at"},
		{"a fine due time", record{}, ready, func(r *record) { r.DueAt = now.Add(1) }, "millisecond"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.spoil(&tt.after)
			err := memory.CheckChange(tt.before, tt.after)
			if err == nil || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("got %v, want %q in it", err, tt.words)
			}
		})
	}
	for _, good := range [][2]record{{{}, waiting}, {{}, ready}, {waiting, ready}, {ready, fetching},
		{fetching, archived}, {archived, done}, {done, done}, {{}, open}, {open, closed},
		{closed, closed}, {fetching, invalid}} {
		if err := memory.CheckChange(good[0], good[1]); err != nil {
			t.Errorf("%q to %q: %v", good[0].State, good[1].State, err)
		}
	}
}
