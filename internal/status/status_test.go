package status_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/memory"
	"packhorse/internal/poll"
	"packhorse/internal/ratelimit"
	"packhorse/internal/status"
	"packhorse/internal/tenant"
)

const tenantID = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"

var now = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func record(n int, state investigation.State, change func(*investigation.Record)) investigation.Record {
	rec := investigation.Record{
		Action: investigation.Action{
			ID:        investigation.ID{TenantID: tenantID, ActionID: fmt.Sprintf("%040x", n)},
			CreatedAt: now.Add(-time.Hour), LastUpdatedAt: now.Add(-50 * time.Minute), Status: "Succeeded",
		},
		State: state, Lane: investigation.LaneLive, DueAt: now.Add(-time.Minute),
	}
	if change != nil {
		change(&rec)
	}
	return rec
}

func budget(after ...time.Duration) status.Budget {
	b := status.Budget{Hold: ratelimit.Budget{Name: "n", PerMinute: 2, PerHour: 120}.Hold()}
	for _, d := range after {
		b.FreeAt = append(b.FreeAt, now.Add(d))
	}
	return b
}

// TestQueue: the live lane before the backlog, the longest due first, a postponed package when it is due.
func TestQueue(t *testing.T) {
	t.Parallel()
	due := func(after time.Duration, lane investigation.Lane) func(*investigation.Record) {
		return func(r *investigation.Record) { r.DueAt, r.Lane = now.Add(after), lane }
	}
	open := []investigation.Record{
		record(1, investigation.StateReady, due(-time.Hour, investigation.LaneBacklog)),
		record(2, investigation.StateReady, due(-time.Minute, investigation.LaneLive)),
		record(3, investigation.StateReady, due(-2*time.Minute, investigation.LaneLive)),
		record(4, investigation.StateReady, due(10*time.Minute, investigation.LaneLive)),
		record(5, investigation.StateReady, due(70*time.Second, investigation.LaneLive)),
		record(6, investigation.StateFetching, due(-time.Second, investigation.LaneLive)), // its lease ran out
		record(7, investigation.StateFetching, due(time.Minute, investigation.LaneLive)),
		record(8, investigation.StateReady, due(-2*time.Hour, investigation.LaneBacklog)),
		record(9, investigation.StateWaiting, due(0, "")),
		record(10, investigation.StateArchived, due(0, investigation.LaneDecided)),
	}
	got := status.Of(status.Facts{Open: open, Budget: budget(-time.Hour, 20*time.Second)}, now)
	const turn = time.Minute + ratelimit.Guard + time.Second
	want := []struct {
		n  int
		at time.Duration
	}{{3, 0}, {2, 20 * time.Second}, {6, turn}, {5, 20*time.Second + turn}, {8, 2 * turn}, {1, 20*time.Second + 2*turn},
		{4, 10 * time.Minute}}
	if len(got.Queue) != len(want) {
		t.Fatalf("got %d packages", len(got.Queue))
	}
	for i, q := range got.Queue {
		if q.ActionID != fmt.Sprintf("%040x", want[i].n) || q.LinkAt.Sub(now) != want[i].at || q.Position != i+1 ||
			q.StoredAt.Sub(q.LinkAt) != status.Transfer {
			t.Errorf("position %d: got %s after %v, want %d after %v", i+1, q.ActionID, q.LinkAt.Sub(now), want[i].n, want[i].at)
		}
	}
	if last, ok := got.LastDue(now); !ok || last.ActionID != fmt.Sprintf("%040x", 1) || got.Due(now) != 5 {
		t.Errorf("%d due, the last is %s", got.Due(now), last.ActionID)
	}
	if len(got.Fetching) != 1 || len(got.Concluding) != 1 || len(got.Offline) != 1 {
		t.Errorf("got %+v", got)
	}
	blind := status.Of(status.Facts{Open: open}, now)
	if len(blind.Queue) != len(want) || blind.Queue[0].ActionID != got.Queue[0].ActionID || !blind.Queue[0].LinkAt.IsZero() {
		t.Errorf("without a budget: %+v", blind.Queue)
	}
}

// TestQueueIsSlots: while everything is due, the queue and Slots agree.
func TestQueueIsSlots(t *testing.T) {
	t.Parallel()
	var open []investigation.Record
	for n := range 300 {
		open = append(open, record(n, investigation.StateReady, nil))
	}
	for _, b := range []status.Budget{budget(0), budget(0, 0), budget(-time.Hour, 31*time.Second, 7*time.Second), budget(time.Hour, time.Hour)} {
		for _, q := range status.Of(status.Facts{Open: open, Budget: b}, now).Queue {
			if want := status.Slots(b.Hold, b.FreeAt, now, q.Position); !q.LinkAt.Equal(want) {
				t.Fatalf("position %d of %d slots: got %v, want %v", q.Position, len(b.FreeAt), q.LinkAt, want)
			}
		}
	}
}

// TestYoung: the status calls an action young as long as the poller does.
func TestYoung(t *testing.T) {
	t.Parallel()
	waits := func(age time.Duration) investigation.Record {
		return record(1, investigation.StateWaiting, func(r *investigation.Record) { r.CreatedAt = now.Add(-age) })
	}
	got := status.Of(status.Facts{Open: []investigation.Record{waits(poll.YoungFor - 1), waits(poll.YoungFor)}}, now)
	if len(got.Young) != 1 || len(got.Offline) != 1 || !got.OldestReady.IsZero() {
		t.Errorf("got %+v", got)
	}
}

// TestProblems: what a person must mend is named with advice; what passes is not.
func TestProblems(t *testing.T) {
	t.Parallel()
	well := tenant.Health{}.Succeeded(now.Add(-time.Minute))
	postponed := func(cause investigation.Cause, attempts int) status.Facts {
		return status.Facts{Health: well, Open: []investigation.Record{
			record(1, investigation.StateReady, func(r *investigation.Record) {
				r.Cause, r.Message, r.Attempts = cause, "why it is", attempts
			}),
		}}
	}
	one := func(state investigation.State, change func(*investigation.Record)) status.Facts {
		return status.Facts{Health: well, Open: []investigation.Record{record(1, state, change)}}
	}
	tests := []struct {
		name   string
		facts  status.Facts
		what   string // in the only problem; empty for none
		advice string
	}{
		{"well", status.Facts{Health: well}, "", ""},
		{"never swept", status.Facts{}, "no sweep is on record", "packhorse run"},
		{"stopped", status.Facts{Health: tenant.Health{}.Succeeded(now.Add(-6 * time.Minute))},
			"since 2026-11-24 08:54:00Z", "packhorse run"},
		{"one of a thousand", status.Facts{
			Member: status.Member{Among: 1000}, Health: tenant.Health{}.Succeeded(now.Add(-40 * time.Minute)),
		}, "", ""},
		{"a bad minute", status.Facts{Health: well.Failed(now.Add(-time.Minute), "the answer was 500")}, "", ""},
		{"failing", status.Facts{Health: well.Failed(now.Add(-time.Hour), "").Failed(now, "no consent")},
			"failed since 2026-11-24 08:00:00Z: no consent", "doctor"},
		{"malformed", status.Facts{Health: well, Bad: errors.Join(errors.New("the item x"), errors.New("the item y"))},
			"2 records are malformed, the first: the item x", "restore"},
		{"unread", status.Facts{Health: well, Unread: errors.New("read the budget: refused")}, "refused", "doctor"},
		{"health unread", status.Facts{Unread: errors.New("read the health: refused")}, "refused", "doctor"},
		{"stranger", one(investigation.StateReady, func(r *investigation.Record) {
			r.Strangers = r.Strangers.Add(investigation.Stranger{Key: "packages/x.zip"})
		}), "1 object in the places of packages, the first: packages/x.zip", "verify"},
		{"stuck", one(investigation.StateArchived, func(r *investigation.Record) { r.DueAt = now.Add(-time.Hour) }),
			"1 outcome has been without", "signing key"},
		{"concluding", one(investigation.StateArchived, nil), "", ""},
		{"other, once", postponed(investigation.CauseOther, 1), "", ""},
		{"other, twice", postponed(investigation.CauseOther, 2), "1 package is postponed (other): why it is", "act on"},
		{"a cause of a later release", postponed("quota", 1), "(quota)", "act on"},
	}
	for _, cause := range investigation.Causes() {
		if cause == investigation.CauseOther {
			continue
		}
		want, advice := "", ""
		if cause.Blocks() {
			want, advice = "postponed ("+string(cause)+"): why it is", " "
		}
		tests = append(tests, struct {
			name         string
			facts        status.Facts
			what, advice string
		}{string(cause), postponed(cause, 1), want, advice})
	}
	for _, test := range tests {
		got := status.Of(test.facts, now).Problems
		switch {
		case test.what == "" && len(got) == 0:
		case len(got) != 1 || test.what == "" || !strings.Contains(got[0].What, test.what) ||
			!strings.Contains(got[0].Advice, test.advice):
			t.Errorf("%s: got %+v, want %q", test.name, got, test.what)
		}
	}
}

// ports are those of a status, over a ledger in memory.
type ports struct {
	*memory.Ledger
	open, health, budget error
}

func (p ports) Open(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	all, err := p.Records(ctx, tenantID)
	return all, errors.Join(err, p.open)
}

func (p ports) Counts(ctx context.Context, tenantID string, since time.Time) (investigation.Counts, error) {
	all, err := p.Records(ctx, tenantID)
	return investigation.Count(all, since), err
}

func (p ports) Health(ctx context.Context, tenantID string) (tenant.Health, error) {
	h, err := p.Ledger.Health(ctx, tenantID)
	return h, errors.Join(err, p.health)
}

func (p ports) Budget(context.Context, string) (status.Budget, error) { return budget(0), p.budget }

func (p ports) Credential(tenantID string) status.Credential {
	return status.Credential{Kind: tenant.Certificate, Thumbprint: tenantID, Expires: now.Add(300 * 24 * time.Hour)}
}

// TestCredential: one that expires within a week needs a person, and so does one that has.
func TestCredential(t *testing.T) {
	t.Parallel()
	const print = "0123456789ABCDEF0123456789ABCDEF01234567"
	for want, c := range map[string]status.Credential{
		"":            {},
		"[]federated": {Kind: tenant.Federated},
		"[]later":     {Kind: tenant.Certificate, Thumbprint: print, Expires: now.Add(7*24*time.Hour + 1)},
		"the certificate with thumbprint " + print + " expires on ": {Kind: tenant.Certificate, Thumbprint: print, Expires: now.Add(7 * 24 * time.Hour)},
		"the certificate with thumbprint " + print + " expired on ": {Kind: tenant.Certificate, Thumbprint: print, Expires: now},
		"the client secret expires on ":                             {Kind: tenant.ClientSecret, Expires: now.Add(time.Hour)},
	} {
		got := status.Of(status.Facts{Health: tenant.Health{}.Succeeded(now), Credential: c}, now)
		if got.Credential != c {
			t.Errorf("%q: got %+v", want, got.Credential)
		}
		if none := want == "" || strings.HasPrefix(want, "[]"); none != (len(got.Problems) == 0) ||
			!none && (got.Problems[0].What != want+c.Expires.UTC().Format(time.DateOnly) || got.Problems[0].Advice == "") {
			t.Errorf("%q: got %+v", want, got.Problems)
		}
	}
}

// TestRead: tenants with problems come first, a failure beside the records is a problem of its tenant, and one of the
// records ends the reading.
func TestRead(t *testing.T) {
	t.Parallel()
	p := ports{Ledger: memory.NewLedger()}
	for _, id := range []string{"a", "c"} {
		if err := p.SetHealth(t.Context(), id, tenant.Health{}.Succeeded(now)); err != nil {
			t.Fatal(err)
		}
	}
	members := []status.Member{{ID: "a"}, {ID: "b"}, {ID: "c"}}
	got, err := status.Read(t.Context(), p, p, p, members, now)
	if err != nil || len(got) != 3 || got[0].TenantID != "b" || got[1].TenantID != "a" || got[2].TenantID != "c" ||
		got[1].Counts.Since != now.Add(-status.Recent) ||
		got[1].Credential.Thumbprint != "a" {
		t.Errorf("got %+v, %v", got, err)
	}
	p.health, p.budget, p.open = errors.New("refused: 1"), errors.New("refused: 2"),
		fmt.Errorf("%w: of x", investigation.ErrBadRecord)
	got, err = status.Read(t.Context(), p, p, p, members[:1], now)
	if err != nil || len(got) != 1 || !strings.Contains(fmt.Sprint(got[0].Problems), "refused: 1\nrefused: 2") ||
		!strings.Contains(fmt.Sprint(got[0].Problems), "1 record is malformed") {
		t.Errorf("got %+v, %v", got, err)
	}
	p.open = errors.New("table gone")
	if _, err = status.Read(t.Context(), p, p, p, members, now); err == nil || !strings.Contains(err.Error(), "tenant a: table gone") {
		t.Errorf("got %v", err)
	}
}
