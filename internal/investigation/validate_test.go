package investigation_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
)

// walker takes a record through random transitions, legal or not, with every argument that the use
// cases can pass.
type walker struct {
	random *rand.Rand
	now    time.Time
	head   investigation.Head
}

func pick[T any](w *walker, from ...T) T { return from[w.random.IntN(len(from))] }

// step applies one random transition and returns the result, or r if the transition is refused.
func (w *walker) step(r investigation.Record) investigation.Record {
	w.now = w.now.Add(time.Duration(w.random.Int64N(int64(2 * lease))))
	owner, later := pick(w, "ada", "bob"), w.now.Add(lease)
	next, head, err := r, w.head, error(nil)
	switch w.random.IntN(8) {
	case 0:
		next, _ = investigation.Observe(w.action(), w.now).Apply(r)
	case 1, 2:
		next, err = investigation.Claim(owner, w.now, later).Apply(r)
	case 3:
		next, err = investigation.Renew(owner, later).Apply(r)
	case 4:
		next, err = investigation.GiveBack(owner, investigation.Release{At: w.now, Message: "it did not come",
			DueAt:  pick(w, time.Time{}, w.now, w.now.Add(24*time.Hour)), // a postponement may lack a time
			Charge: pick(w, investigation.ChargeAttempt, investigation.ChargeLink, investigation.ChargeNothing)}).Apply(r)
	case 5:
		next, err = pick(w, w.archived, w.notCollected)(r, owner)
	case 6:
		next, head, err = r.Sealed(w.head, scribe{})
	case 7:
		next, err = investigation.Announce(investigation.Conclusion{At: w.now}).Apply(r)
	}
	if err != nil {
		return r
	}
	w.head = head
	return next
}

func (w *walker) action() investigation.Action {
	a := seen(pick(w, investigation.Status("Pending"), "New", "", "Succeeded", "Succeeded", "Failed", "TimeOut",
		"Cancelled"))
	a.CreatedAt = pick(w, a.CreatedAt, w.now.AddDate(0, 0, -7),
		time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC))
	a.LastUpdatedAt = pick(w, a.LastUpdatedAt, time.Time{}, a.CreatedAt, time.Unix(0, 0),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", 3600)))
	return a
}

func (w *walker) archived(r investigation.Record, owner string) (investigation.Record, error) {
	stored := receipt()
	stored.Size, stored.PartSize, stored.VersionID = pick(w, int64(0), 1<<40), pick(w, int64(0), 64<<20), pick(w, "", "v")
	lock := investigation.Lock{Mode: pick(w, "", "GOVERNANCE", "COMPLIANCE"), For: 36500 * 24 * time.Hour}
	stored.Retention = lock.From(w.now)
	return investigation.Archive(owner, investigation.Arrival{At: w.now, Receipt: stored}).Apply(r)
}

func (w *walker) notCollected(r investigation.Record, owner string) (investigation.Record, error) {
	c := investigation.Closing{At: w.now, Reason: pick(w, investigation.ReasonExpired, investigation.ReasonInvalid)}
	if c.Reason == investigation.ReasonInvalid {
		c.Quarantine = pick(w, investigation.Receipt{}, receipt())
	}
	return investigation.Close(owner, c).Apply(r)
}

// Transitions of valid actions always give valid records, so a ledger that refuses invalid records never
// refuses a legitimate one. Records that earlier versions wrote are valid too.
func TestTransitionsMakeValidRecords(t *testing.T) {
	reached := map[investigation.State]int{}
	for seed := range uint64(3000) {
		w := &walker{random: rand.New(rand.NewPCG(seed, 0)), now: t0}
		var r investigation.Record
		for range 40 {
			next := w.step(r)
			if next == r {
				continue
			}
			r = next
			reached[r.State]++
			old := r // before there were chains, and a lane for decided records
			old.Seal, old.QuarantineSeal = investigation.Seal{}, investigation.Seal{}
			if old.Lane == investigation.LaneDecided {
				old.Lane = pick(w, investigation.LaneLive, investigation.LaneBacklog)
			}
			if old.State == investigation.StateDone {
				old.ManifestKey = ""
			}
			for _, rec := range []investigation.Record{r, old} {
				if err := rec.Validate(); err != nil {
					t.Fatalf("seed %d: %v in %#v", seed, err, rec)
				}
			}
		}
	}
	for _, state := range investigation.States()[1:] {
		if reached[state] < 100 {
			t.Errorf("the walks were %d times in state %s", reached[state], state)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	fetching := in(t, investigation.StateFetching)
	closing := investigation.Closing{At: t0, Reason: investigation.ReasonInvalid, Quarantine: receipt()}
	quarantined, err := investigation.Close("ada", closing).Apply(fetching)
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]investigation.Record{"quarantined": sealed(t, quarantined),
		"sealed": sealed(t, in(t, investigation.StateArchived))}
	for _, state := range investigation.States() {
		records[string(state)] = in(t, state)
	}
	late := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	early := time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC)
	type record = investigation.Record
	for _, tt := range []struct {
		name, of string
		spoil    func(*record)
		words    string
	}{
		{"an action never seen", "", func(*record) {}, "id"},
		{"no state", "ready", func(r *record) { r.State = "" }, "state"},
		{"an unknown state", "ready", func(r *record) { r.State = "nonsense" }, `"nonsense"`},
		{"a path for an id", "ready", func(r *record) { r.ActionID = "../x" }, "action id"},
		{"created too late", "ready", func(r *record) { r.CreatedAt = late }, "creation time"},
		{"updated too late", "ready", func(r *record) { r.LastUpdatedAt = late }, "last update"},
		{"updated too early", "ready", func(r *record) { r.LastUpdatedAt = early }, "last update"},
		{"never seen", "ready", func(r *record) { r.ObservedAt = time.Time{} }, "observation time"},
		{"seen too late", "ready", func(r *record) { r.ObservedAt = late }, "observation time"},
		{"due too late", "ready", func(r *record) { r.DueAt = late }, "due time"},
		{"due too early", "ready", func(r *record) { r.DueAt = early }, "due time"},
		{"leased too long", "fetching", func(r *record) { r.LeaseUntil = late }, "lease"},
		{"locked too long", "sealed", func(r *record) { r.Receipt.Retention.Until = late }, "retention"},
		{"locked too long in quarantine", "quarantined", func(r *record) {
			r.Quarantine.Retention.Until = late
		}, "retention"},
		{"archived too late", "sealed", func(r *record) { r.ArchivedAt = late }, "archival time"},
		{"archived at no time", "sealed", func(r *record) { r.ArchivedAt = time.Time{} }, "archived at"},
		{"announced at no time", "done", func(r *record) { r.AnnouncedAt = time.Time{} }, "announced at"},
		{"announced too early", "sealed", func(r *record) { r.AnnouncedAt = t0 }, "announced at"},
		{"an owner while ready", "ready", func(r *record) { r.Owner = "ada" }, "owner"},
		{"fetching without an owner", "fetching", func(r *record) { r.Owner = "" }, "owner"},
		{"no lease", "fetching", func(r *record) { r.LeaseUntil = time.Time{} }, "owner"},
		{"negative attempts", "ready", func(r *record) { r.Attempts = -1 }, "-1 attempts"},
		{"negative expired links", "ready", func(r *record) { r.ExpiredLinks = -1 }, "-1 expired links"},
		{"no attempt counted", "fetching", func(r *record) { r.Attempts = 0 }, "no attempt"},
		{"an unknown lane", "ready", func(r *record) { r.Lane = "express" }, `"express"`},
		{"ready in no lane", "ready", func(r *record) { r.Lane = "" }, "lane"},
		{"ready and settled", "ready", func(r *record) { r.Lane = "settled" }, "lane"},
		{"waiting in a lane", "waiting", func(r *record) { r.Lane = "live" }, "lane"},
		{"done and due", "done", func(r *record) { r.DueAt = t0ms }, "due at"},
		{"archived nowhere", "archived", func(r *record) {
			r.Receipt, r.ArchivedAt = investigation.Receipt{}, time.Time{}
		}, "receipt"},
		{"a receipt without a key", "archived", func(r *record) { r.Receipt.Key = "" }, "receipt"},
		{"a size below 0", "archived", func(r *record) { r.Receipt.Size = -1 }, "-1 bytes"},
		{"parts below 0", "quarantined", func(r *record) { r.Quarantine.PartSize = -8 }, "parts of -8"},
		{"ready for a reason", "ready", func(r *record) { r.Reason = "Failed" }, "reason"},
		{"not collected without a reason", "notCollected", func(r *record) { r.Reason = "" }, "reason"},
		{"not collected for an unknown reason", "notCollected", func(r *record) { r.Reason = "whim" }, `"whim"`},
		{"archived and not collected", "archived", func(r *record) { r.Reason = "Failed" }, "reason"},
		{"done with nothing", "done", func(r *record) {
			r.Receipt, r.ArchivedAt = investigation.Receipt{}, time.Time{}
		}, "receipt"},
		{"a quarantine for no reason", "archived", func(r *record) { r.Quarantine = receipt() }, "quarantine"},
		{"sealed too early", "ready", func(r *record) { r.Seal = records["sealed"].Seal }, "sealed"},
		{"sealed with number 0", "sealed", func(r *record) { r.Seal.Sequence = 0 }, "number 0"},
		{"a short digest", "sealed", func(r *record) { r.Seal.Digest = r.Seal.Digest[2:] }, "digest"},
		{"another's manifest", "sealed", func(r *record) { r.Seal.Manifest += " " }, "another manifest"},
		{"sealed without a manifest", "sealed", func(r *record) { r.Seal.Manifest = "" }, "missing"},
		{"a manifest without a key", "sealed", func(r *record) { r.ManifestKey = "" }, "key"},
		{"a quarantine not sealed", "quarantined", func(r *record) {
			r.QuarantineSeal = investigation.Seal{}
		}, "quarantine"},
		{"seals out of sequence", "quarantined", func(r *record) { r.Seal.Sequence = 9 }, "number 1"},
		{"one manifest of two", "quarantined", func(r *record) { r.QuarantineSeal.Manifest = "" }, "missing"},
	} {
		rec := records[tt.of]
		if err := rec.Validate(); tt.of != "" && err != nil {
			t.Fatalf("%s: before it is spoiled: %v", tt.name, err)
		}
		tt.spoil(&rec)
		err := rec.Validate()
		if !errors.Is(err, investigation.ErrBadRecord) || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%s: got %v, want ErrBadRecord with %q", tt.name, err, tt.words)
		}
	}
}

func TestValidateHead(t *testing.T) {
	digest := strings.Repeat("0f", 32)
	for _, tt := range []struct {
		head investigation.Head
		good bool
	}{
		{investigation.Head{Sequence: 1, Digest: digest}, true},
		{investigation.Head{}, false},
		{investigation.Head{Sequence: -1, Digest: digest}, false},
		{investigation.Head{Sequence: 1, Digest: strings.ToUpper(digest)}, false},
		{investigation.Head{Sequence: 1, Digest: digest + "0"}, false},
	} {
		err := tt.head.Validate()
		if (err == nil) != tt.good || (err != nil && !errors.Is(err, investigation.ErrBadRecord)) {
			t.Errorf("%+v: got %v", tt.head, err)
		}
	}
}
