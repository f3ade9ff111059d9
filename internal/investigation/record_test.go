package investigation_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
)

const (
	tenant  = "11111111-1111-4111-8111-111111111111"
	action  = "22222222-2222-4222-8222-222222222222"
	machine = "3333333333333333333333333333333333333333"
)

var (
	t0    = time.Date(2026, 11, 3, 9, 0, 0, 123_456_700, time.UTC)
	t0ms  = time.Date(2026, 11, 3, 9, 0, 0, 123_000_000, time.UTC)
	lease = 2 * time.Minute
)

// seen returns an action with the given status, as Defender lists it.
func seen(status investigation.Status) investigation.Action {
	return investigation.Action{
		ID:        investigation.ID{TenantID: tenant, ActionID: action},
		MachineID: machine, ComputerDNSName: "host.contoso.test", Requestor: "ana@contoso.test",
		RequestorComment: "Fund №7 — 調査", RequestSource: "Portal", Status: status,
		CreatedAt: t0.Add(-10 * time.Minute), LastUpdatedAt: t0.Add(-time.Minute),
	}
}

// in returns a record that reached the state by legal changes. If it has an owner, it is "ada".
func in(t *testing.T, state investigation.State) investigation.Record {
	t.Helper()
	must := func(r investigation.Record, err error) investigation.Record {
		t.Helper()
		if err != nil {
			t.Fatalf("on the way to %q: %v", state, err)
		}
		return r
	}
	var unknown investigation.Record
	waiting, _ := investigation.Observe(seen(investigation.StatusPending), t0.Add(-5*time.Minute)).Apply(unknown)
	ready, _ := investigation.Observe(seen(investigation.StatusSucceeded), t0).Apply(waiting)
	fetching := must(investigation.Claim("ada", t0, t0.Add(lease)).Apply(ready))
	archived := must(investigation.Archive("ada", investigation.Arrival{
		At: t0.Add(time.Second), Receipt: receipt(),
	}).Apply(fetching))
	records := map[investigation.State]investigation.Record{
		investigation.StateUnknown:  unknown,
		investigation.StateWaiting:  waiting,
		investigation.StateReady:    ready,
		investigation.StateFetching: fetching,
		investigation.StateArchived: archived,
		investigation.StateNotCollected: must(investigation.Close("ada", investigation.Closing{
			At: t0, Reason: investigation.ReasonExpired, Message: "six links came to nothing",
		}).Apply(fetching)),
		investigation.StateDone: must(investigation.Announce(investigation.Conclusion{
			At: t0.Add(2 * time.Second),
		}).Apply(sealed(t, archived))),
	}
	r, known := records[state]
	if !known || r.State != state {
		t.Fatalf("no path to %q: got %q", state, r.State)
	}
	return r
}

func receipt() investigation.Receipt {
	return investigation.Receipt{Bucket: "evidence", Key: "k.zip", VersionID: "v1", Size: 7,
		SHA256: strings.Repeat("ab", 32), CRC32C: "AAAAAA=="}
}

func TestObserveFirstSight(t *testing.T) {
	tests := []struct {
		status investigation.Status
		state  investigation.State
		reason investigation.Reason
	}{
		{"Pending", "waiting", ""},
		{"InProgress", "waiting", ""},
		{"SomethingNew", "waiting", ""},
		{"", "waiting", ""},
		{"Succeeded", "ready", ""},
		{"Failed", "notCollected", "Failed"},
		{"TimeOut", "notCollected", "TimeOut"},
		{"Cancelled", "notCollected", "Cancelled"},
	}
	for _, tt := range tests {
		t.Run(string(tt.status), func(t *testing.T) {
			a := seen(tt.status)
			got, err := investigation.Observe(a, t0).Apply(investigation.Record{})
			want := investigation.Record{Action: a, State: tt.state, Reason: tt.reason, ObservedAt: t0}
			if tt.state == investigation.StateWaiting {
				want.LastUpdatedAt = time.Time{}
			} else {
				want.DueAt, want.Lane = t0ms, investigation.LaneLive
				if tt.state == investigation.StateNotCollected {
					want.Lane = investigation.LaneDecided
				}
			}
			if err != nil || got != want {
				t.Errorf("got\n%+v, %v, want\n%+v", got, err, want)
			}
		})
	}
}

func TestObserveAgain(t *testing.T) {
	later := t0.Add(time.Hour)
	finished := []investigation.Status{"Succeeded", "Failed", "TimeOut", "Cancelled"}
	all := append([]investigation.Status{"Pending", "InProgress", "New"}, finished...)

	t.Run("the same again changes nothing", func(t *testing.T) {
		r := in(t, investigation.StateWaiting)
		a := seen(investigation.StatusPending)
		a.LastUpdatedAt = later // Defender moves it even when nothing happens
		if got, err := investigation.Observe(a, later).Apply(r); err != nil || got != r {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("the same instant in another zone changes nothing", func(t *testing.T) {
		r := in(t, investigation.StateWaiting)
		a := seen(investigation.StatusPending)
		a.CreatedAt = a.CreatedAt.In(time.FixedZone("elsewhere", 3600))
		if got, err := investigation.Observe(a, later).Apply(r); err != nil || got != r {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("a name that became known is written", func(t *testing.T) {
		r := in(t, investigation.StateWaiting)
		a := seen(investigation.StatusPending)
		a.ComputerDNSName = "renamed.contoso.test"
		got, err := investigation.Observe(a, later).Apply(r)
		if err != nil || got == r || got.ComputerDNSName != a.ComputerDNSName || got.State != "waiting" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("waiting ends", func(t *testing.T) {
		for _, status := range finished {
			r := in(t, investigation.StateWaiting)
			got, err := investigation.Observe(seen(status), later).Apply(r)
			if err != nil || got == r || !r.State.CanBecome(got.State) || !got.Due(later) {
				t.Errorf("%s: got %+v, %v", status, got, err)
			}
			if got.ObservedAt != r.ObservedAt {
				t.Errorf("%s: first sight moved from %v to %v", status, r.ObservedAt, got.ObservedAt)
			}
		}
	})
	t.Run("later states do not change", func(t *testing.T) {
		for _, state := range investigation.States() {
			if state == investigation.StateUnknown || state == investigation.StateWaiting {
				continue
			}
			for _, status := range all {
				r := in(t, state)
				if got, err := investigation.Observe(seen(status), later).Apply(r); err != nil || got != r {
					t.Errorf("%s, seen %q: got %+v, %v", state, status, got, err)
				}
			}
		}
	})
}

func TestObserveMakesTimesComparable(t *testing.T) {
	zone := time.FixedZone("elsewhere", -7*3600)
	a := seen(investigation.StatusSucceeded)
	b := a
	b.CreatedAt, b.LastUpdatedAt = a.CreatedAt.In(zone), a.LastUpdatedAt.In(zone)
	want, _ := investigation.Observe(a, t0).Apply(investigation.Record{})
	got, _ := investigation.Observe(b, t0.In(zone)).Apply(investigation.Record{})
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// A store drops the monotonic reading, so the record must not have one in the first place.
	now := time.Now()
	got, _ = investigation.Observe(a, now).Apply(investigation.Record{})
	if got.ObservedAt != now.Round(0).UTC() {
		t.Errorf("got %#v, want %#v", got.ObservedAt, now.Round(0).UTC())
	}
}

func TestLaneOf(t *testing.T) {
	day := 24 * time.Hour
	tests := []struct {
		name string
		age  time.Duration // from completion to first sight
		want investigation.Lane
	}{
		{"completed after it was first seen", -time.Hour, "live"},
		{"at once", 0, "live"},
		{"just within a day", day - time.Nanosecond, "live"},
		{"a day", day, "live"},
		{"just over a day", day + time.Nanosecond, "backlog"},
		{"a week", 7 * day, "backlog"},
	}
	for _, tt := range tests {
		if got := investigation.LaneOf(t0.Add(-tt.age), t0); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := investigation.Lanes(); len(got) != 3 || got[0] != "live" || got[1] != "backlog" ||
		got[2] != "settled" {
		t.Errorf("lanes are served in the order %q", got)
	}
}

func TestCompletedAt(t *testing.T) {
	a := seen(investigation.StatusSucceeded)
	if got := a.CompletedAt(); !got.Equal(a.LastUpdatedAt) {
		t.Errorf("finished: got %v, want %v", got, a.LastUpdatedAt)
	}
	a.LastUpdatedAt = time.Time{}
	if got := a.CompletedAt(); !got.Equal(a.CreatedAt) {
		t.Errorf("finished, no update named: got %v, want %v", got, a.CreatedAt)
	}
	if got := seen(investigation.StatusInProgress).CompletedAt(); !got.IsZero() {
		t.Errorf("not finished: got %v, want the zero time", got)
	}
}

func TestDueAndClaimable(t *testing.T) {
	before, after := -time.Millisecond, time.Millisecond
	tests := []struct {
		state          investigation.State
		from           time.Time // when it becomes due; zero is never
		due, claimable bool
	}{
		{state: "unknown"},
		{state: "waiting"},
		{state: "ready", from: t0ms, due: true, claimable: true},
		{state: "fetching", from: t0ms.Add(lease), due: true, claimable: true},
		{state: "archived", from: t0ms.Add(lease), due: true},
		{state: "notCollected", from: t0ms.Add(lease), due: true},
		{state: "done"},
	}
	for _, tt := range tests {
		t.Run(string(tt.state), func(t *testing.T) {
			state := tt.state
			if state == "unknown" {
				state = investigation.StateUnknown
			}
			r := in(t, state)
			if tt.from.IsZero() {
				if r.Due(t0.Add(1e6*time.Hour)) || r.Claimable(t0.Add(1e6*time.Hour)) || r.Lane != "" {
					t.Errorf("due: %+v, want never", r)
				}
				return
			}
			for _, at := range []struct {
				off  time.Duration
				open bool
			}{{before, false}, {0, true}, {after, true}} {
				now := tt.from.Add(at.off)
				if got, want := r.Due(now), tt.due && at.open; got != want {
					t.Errorf("due at %v: got %t, want %t", at.off, got, want)
				}
				if got, want := r.Claimable(now), tt.claimable && at.open; got != want {
					t.Errorf("claimable at %v: got %t, want %t", at.off, got, want)
				}
			}
		})
	}
}

// known lists the states of actions that the ledger has seen.
func known() []investigation.State { return investigation.States()[1:] }

// The only change that an action unknown to the ledger accepts is Observe.
func TestUnknownActionsAreOnlyObserved(t *testing.T) {
	for _, c := range []investigation.Change{
		investigation.Claim("ada", t0, t0.Add(lease)), investigation.Renew("ada", t0),
		investigation.GiveBack("ada", investigation.Release{}), investigation.Archive("ada", investigation.Arrival{}),
		investigation.Close("ada", investigation.Closing{}), investigation.Unchanged(),
		investigation.Announce(investigation.Conclusion{}),
	} {
		got, err := c.Apply(investigation.Record{})
		if !errors.Is(err, investigation.ErrUnknownAction) || got != (investigation.Record{}) {
			t.Errorf("%s: got %+v, %v", c.Name, got, err)
		}
	}
	id := investigation.ID{TenantID: "t", ActionID: "a"}
	err := investigation.Unchanged().Explain(id, investigation.ErrUnknownAction)
	if got, want := err.Error(), "seal action a: action not in the ledger"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestClaim(t *testing.T) {
	end := t0ms.Add(lease)
	t.Run("ready", func(t *testing.T) {
		r := in(t, investigation.StateReady)
		want := r
		want.State, want.Owner, want.Attempts, want.Claims = "fetching", "ada", 1, "ada"
		want.ClaimedAt, want.LeaseUntil, want.DueAt = t0ms, end, end
		got, err := investigation.Claim("ada", t0, t0.Add(lease)).Apply(r)
		if err != nil || got != want {
			t.Errorf("got\n%+v, %v; want\n%+v", got, err, want)
		}
	})
	t.Run("the owner's own, again", func(t *testing.T) {
		r := in(t, investigation.StateFetching)
		got, err := investigation.Claim("ada", t0.Add(time.Second), t0.Add(time.Hour)).Apply(r)
		if err != nil || got != r {
			t.Errorf("got %+v, %v; want the record unchanged", got, err)
		}
	})
	t.Run("a lease that ran out", func(t *testing.T) {
		r := in(t, investigation.StateFetching)
		got, err := investigation.Claim("bob", end, end.Add(lease)).Apply(r)
		if err != nil || got.Owner != "bob" || got.Attempts != 2 ||
			!got.LeaseUntil.Equal(end.Add(lease)) || got.DueAt != got.LeaseUntil ||
			!strings.Contains(string(got.Journal), "its lease ran out") {
			t.Errorf("got %+v, %v", got, err)
		}
	})

	refused := []struct {
		name  string
		state investigation.State
		now   time.Time
		until time.Time
		words string
	}{
		{"waiting", "waiting", t0, time.Time{}, "it is waiting"},
		{"ready, but only later", "ready", t0ms.Add(-1), t0ms, "before 2026-11-03T09:00:00Z"},
		{"somebody's", "fetching", end.Add(-1), end, "before 2026-11-03T09:02:00Z"},
		{"archived", "archived", end, time.Time{}, "it is archived"},
		{"notCollected", "notCollected", end, time.Time{}, "it is notCollected"},
		{"done", "done", end, time.Time{}, "it is done"},
	}
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			r := in(t, tt.state)
			got, err := investigation.Claim("bob", tt.now, tt.now.Add(lease)).Apply(r)
			refusal, ok := errors.AsType[*investigation.NotClaimableError](err)
			if !ok || got != (investigation.Record{}) {
				t.Fatalf("got %+v, %v", got, err)
			}
			if refusal.State != tt.state || refusal.ID != r.ID || !refusal.Until.Equal(tt.until) {
				t.Errorf("got %+v, want until %v", *refusal, tt.until)
			}
			if !strings.Contains(err.Error(), tt.words) {
				t.Errorf("got %q, want it to say %q", err, tt.words)
			}
		})
	}
}

// A caller that does not hold the lease cannot change anything, in any state, by any of the four ways.
func TestOnlyTheOwnerChanges(t *testing.T) {
	ways := map[string]func(investigation.Record, string) (investigation.Record, error){
		"renew": func(r investigation.Record, owner string) (investigation.Record, error) {
			return investigation.Renew(owner, t0.Add(time.Hour)).Apply(r)
		},
		"release": func(r investigation.Record, owner string) (investigation.Record, error) {
			return investigation.GiveBack(owner, investigation.Release{DueAt: t0}).Apply(r)
		},
		"archived": func(r investigation.Record, owner string) (investigation.Record, error) {
			return investigation.Archive(owner, investigation.Arrival{At: t0, Receipt: receipt()}).Apply(r)
		},
		"notCollected": func(r investigation.Record, owner string) (investigation.Record, error) {
			return investigation.Close(owner, investigation.Closing{Reason: investigation.ReasonInvalid}).Apply(r)
		},
	}
	for name, way := range ways {
		for _, state := range known() {
			for _, owner := range []string{"ada", "bob", ""} {
				got, err := way(in(t, state), owner)
				if state == investigation.StateFetching && owner == "ada" {
					if err != nil {
						t.Errorf("%s by its owner: %v", name, err)
					}
					continue
				}
				if !errors.Is(err, investigation.ErrLeaseLost) || got != (investigation.Record{}) {
					t.Errorf("%s of %q by %q: got %+v, %v; want ErrLeaseLost", name, state, owner, got, err)
				}
			}
		}
	}
}

func TestRenew(t *testing.T) {
	r := in(t, investigation.StateFetching)
	want := r
	want.LeaseUntil, want.DueAt = t0ms.Add(time.Hour), t0ms.Add(time.Hour)
	got, err := investigation.Renew("ada", t0.Add(time.Hour)).Apply(r)
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestRelease(t *testing.T) {
	tests := []struct {
		name            string
		charge          investigation.Charge
		attempts, links int
	}{
		{"an attempt", investigation.ChargeAttempt, 1, 0},
		{"a link", investigation.ChargeLink, 0, 1},
		{"nothing", investigation.ChargeNothing, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := in(t, investigation.StateFetching)
			want := r
			want.State, want.Owner, want.ClaimedAt, want.LeaseUntil = "ready", "", time.Time{}, time.Time{}
			want.DueAt, want.Message, want.Cause = t0ms.Add(time.Hour), "why", investigation.CauseNetwork
			want.Attempts, want.ExpiredLinks = tt.attempts, tt.links
			if want.Claims = ""; tt.charge != investigation.ChargeNothing {
				want.Claims = "ada"
				want.Journal = "2026-11-03T09:00:00.123Z why"
			}
			got, err := investigation.GiveBack("ada", investigation.Release{
				At: t0, DueAt: t0.Add(time.Hour), Message: "why", Cause: investigation.CauseNetwork, Charge: tt.charge}).Apply(r)
			if err != nil || got != want {
				t.Errorf("got\n%+v, %v; want\n%+v", got, err, want)
			}
		})
	}
}

func TestArchived(t *testing.T) {
	r := in(t, investigation.StateFetching)
	r.Message, r.Cause = "of an attempt that failed", investigation.CauseNetwork
	want := r
	want.State, want.Owner, want.Message, want.Cause = "archived", "", "", ""
	want.ClaimedAt, want.LeaseUntil = time.Time{}, time.Time{}
	want.Lane = investigation.LaneDecided
	want.Receipt, want.ManifestKey, want.ArchivedAt = receipt(), "k.json", t0.Add(time.Second)
	got, err := investigation.Archive("ada", investigation.Arrival{At: t0.Add(time.Second), Receipt: receipt()}).Apply(r)
	if err != nil || got != want {
		t.Errorf("got\n%+v, %v; want\n%+v", got, err, want)
	}
	if got.DueAt != r.DueAt {
		t.Error("DueAt changed, although its fetcher may still be at work")
	}
}

func TestNotCollected(t *testing.T) {
	r := in(t, investigation.StateFetching)
	r.Message, r.Cause = "of an attempt that failed", investigation.CauseNetwork
	want := r
	want.State, want.Owner, want.Cause = "notCollected", "", ""
	want.ClaimedAt, want.LeaseUntil = time.Time{}, time.Time{}
	want.Lane = investigation.LaneDecided
	want.Reason, want.Message = investigation.ReasonInvalid, "no ZIP"
	want.Journal = "2026-11-03T09:00:00.123Z no ZIP"
	want.Quarantine = receipt()
	got, err := investigation.Close("ada", investigation.Closing{
		At: t0, Reason: investigation.ReasonInvalid, Message: "no ZIP", Quarantine: receipt(),
	}).Apply(r)
	if err != nil || got != want {
		t.Errorf("got\n%+v, %v; want\n%+v", got, err, want)
	}
	if got.DueAt != r.DueAt {
		t.Error("DueAt changed, although its fetcher may still be at work")
	}
}

func TestAnnounced(t *testing.T) {
	for _, state := range known() {
		r := in(t, state)
		got, err := investigation.Announce(investigation.Conclusion{At: t0.Add(time.Hour)}).Apply(r)
		switch state {
		case investigation.StateArchived, investigation.StateNotCollected:
			if !errors.Is(err, investigation.ErrIllegalChange) || got != (investigation.Record{}) {
				t.Errorf("%s, not sealed: got %+v, %v; want ErrIllegalChange", state, got, err)
			}
			r = sealed(t, r)
			got, err = investigation.Announce(investigation.Conclusion{At: t0.Add(time.Hour)}).Apply(r)
			want := r
			want.State, want.Lane, want.DueAt = "done", "", time.Time{}
			want.Seal.Manifest = ""
			want.AnnouncedAt = t0.Add(time.Hour)
			if err != nil || got != want {
				t.Errorf("%s: got\n%+v, %v; want\n%+v", state, got, err, want)
			}
		case investigation.StateDone:
			if err != nil || got != r {
				t.Errorf("%s: got %+v, %v; want no change", state, got, err)
			}
		default:
			if !errors.Is(err, investigation.ErrIllegalChange) || got != (investigation.Record{}) {
				t.Errorf("%s: got %+v, %v; want ErrIllegalChange", state, got, err)
			}
		}
	}
}

func TestPostponedErrorUnwraps(t *testing.T) {
	cause := errors.New("the budget is spent")
	err := error(&investigation.PostponedError{RetryAt: t0, Err: cause})
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	if got, want := err.Error(), "postponed until 2026-11-03T09:00:00Z: the budget is spent"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
