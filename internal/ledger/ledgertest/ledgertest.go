// Package ledgertest holds what every ledger must do, as tests, and a strict ledger in memory.
//
// Call [Run] from the test of an implementation. It compares each answer, and each record read
// back, with what the pure transition of package investigation gives for the same arguments.
package ledgertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"reflect"
	"testing"
	"time"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/poll"
)

// Ledger is what both use cases need of a ledger.
type Ledger interface {
	poll.Ledger
	fetch.Ledger
}

// Run tests a ledger. open is called once in every subtest and may give the same store each time:
// the subtests keep to tenants of their own. It closes what it opens with t.Cleanup.
//
// The due index has to be consistent by the time a write returns. Where it is not (DynamoDB itself)
// a test of the due records can fail for that alone.
func Run(t *testing.T, open func(t *testing.T) Ledger) {
	tests := []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"first sight of each status", testFirstSight},
		{"a waiting action comes to its end", testWaitingEnds},
		{"later sights change nothing", testSettledStays},
		{"every field comes back", testRoundTrip},
		{"words come back as they were", testWords},
		{"load", testLoad},
		{"load more than a batch", testLoadMany},
		{"due in order, within the limit", testDueOrder},
		{"due more than a page", testDueMany},
		{"due by lane and tenant", testDueApart},
		{"due by state", testDueByState},
		{"the second claim is refused", testClaimTwice},
		{"a claim before its time is refused", testClaimEarly},
		{"the owner's claim may be repeated", testClaimRepeated},
		{"a lease that ran out is taken over", testTakeover},
		{"renewal", testRenew},
		{"release charges what it is told to", testRelease},
		{"archived until announced", testArchived},
		{"not collected until announced", testNotCollected},
		{"unknown actions", testUnknown},
		{"an outcome that is open is not announced", testAnnouncedEarly},
		{"many claim, one wins", testConcurrentClaims},
		{"many take over, one wins", testConcurrentTakeover},
		{"many observe, one record", testConcurrentObserve},
		{"archived against a takeover", testConcurrentArchived},
		{"a cancelled context changes nothing", testCancelled},
		{"a long random walk", testWalk},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, newBench(t, open(t))) })
	}
}

// t0 is the present of every test. Its digits are finer than the ledger's milliseconds.
var t0 = time.Date(2026, 11, 3, 9, 0, 0, 123_456_789, time.UTC)

// lease is how long the claims of the tests last.
const lease = 2 * time.Minute

// bench is a ledger under test, and a tenant of its own.
type bench struct {
	t      *testing.T
	ledger Ledger
	tenant string
	model  map[investigation.ID]investigation.Record // what the ledger should hold
}

func newBench(t *testing.T, ledger Ledger) *bench {
	return &bench{t: t, ledger: ledger, tenant: newGUID(),
		model: map[investigation.ID]investigation.Record{}}
}

// newGUID returns a random GUID.
func newGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// action returns a new action of the bench's tenant with everything in it that can be.
func (b *bench) action(status investigation.Status) investigation.Action {
	return investigation.Action{
		ID:               investigation.ID{TenantID: b.tenant, ActionID: newGUID()},
		MachineID:        "0123456789abcdef0123456789abcdef01234567",
		ComputerDNSName:  "host.contoso.test",
		Requestor:        "ana@contoso.test",
		RequestorComment: "case 7",
		RequestSource:    "Portal",
		Status:           status,
		CreatedAt:        t0.Add(-10 * time.Minute).Truncate(100 * time.Nanosecond),
		LastUpdatedAt:    t0.Add(-time.Minute).Truncate(100 * time.Nanosecond),
	}
}

// observe has the ledger observe the action, and checks it.
func (b *bench) observe(a investigation.Action, now time.Time) investigation.Record {
	b.t.Helper()
	want, _ := b.model[a.ID].Observe(a, now)
	got, err := b.ledger.Observe(b.ctx(), a, now)
	if err != nil || got != want {
		b.t.Fatalf("observe: got\n%+v, %v; want\n%+v", got, err, want)
	}
	b.holds(want)
	return want
}

// ready returns the id of a new action that is ready from t0 on.
func (b *bench) ready() investigation.ID {
	b.t.Helper()
	return b.observe(b.action(investigation.StatusSucceeded), t0).ID
}

// claimed returns the id of a new action that owner holds until t0+lease.
func (b *bench) claimed(owner string) investigation.ID {
	b.t.Helper()
	id := b.ready()
	b.check(b.claim(id, owner, t0))
	return id
}

// call is one call of the ledger, and the transition it stands for.
type call struct {
	name  string
	id    investigation.ID
	do    func(context.Context, Ledger) (investigation.Record, error)
	model func(investigation.Record) (investigation.Record, error)
}

func (b *bench) claim(id investigation.ID, owner string, now time.Time) call {
	return call{
		"claim by " + owner, id,
		func(ctx context.Context, l Ledger) (investigation.Record, error) {
			return l.Claim(ctx, id, owner, now, now.Add(lease))
		},
		func(r investigation.Record) (investigation.Record, error) {
			return r.Claim(owner, now, now.Add(lease))
		},
	}
}

func (b *bench) renew(id investigation.ID, owner string, until time.Time) call {
	return call{
		"renew by " + owner, id,
		func(ctx context.Context, l Ledger) (investigation.Record, error) {
			return l.Renew(ctx, id, owner, until)
		},
		func(r investigation.Record) (investigation.Record, error) { return r.Renew(owner, until) },
	}
}

func (b *bench) release(id investigation.ID, owner string, rel investigation.Release) call {
	return call{
		"release by " + owner, id,
		func(ctx context.Context, l Ledger) (investigation.Record, error) {
			return l.Release(ctx, id, owner, rel)
		},
		func(r investigation.Record) (investigation.Record, error) { return r.Release(owner, rel) },
	}
}

func (b *bench) archived(id investigation.ID, owner string, now time.Time) call {
	receipt := investigation.Receipt{Bucket: "evidence", Key: "packages/x.zip", VersionID: "v-1",
		Size: 5_000_000_000_123, SHA256: fmt.Sprintf("%064x", 7), CRC32C: "yZRlqg=="}
	return call{
		"archived by " + owner, id,
		func(ctx context.Context, l Ledger) (investigation.Record, error) {
			return l.Archived(ctx, id, owner, receipt, "packages/x.json", now)
		},
		func(r investigation.Record) (investigation.Record, error) {
			return r.Archived(owner, receipt, "packages/x.json", now)
		},
	}
}

func (b *bench) notCollected(id investigation.ID, owner string) call {
	const message = "six links expired"
	return call{
		"notCollected by " + owner, id,
		func(ctx context.Context, l Ledger) (investigation.Record, error) {
			return l.NotCollected(ctx, id, owner, investigation.ReasonExpired, message)
		},
		func(r investigation.Record) (investigation.Record, error) {
			return r.NotCollected(owner, investigation.ReasonExpired, message)
		},
	}
}

// announced gives no record in a ledger's answer; the model's stands in for it.
func (b *bench) announced(id investigation.ID, now time.Time) call {
	return call{
		"announced", id,
		func(ctx context.Context, l Ledger) (investigation.Record, error) {
			err := l.Announced(ctx, id, now)
			if err != nil {
				return investigation.Record{}, err
			}
			return b.model[id].Announced(now)
		},
		func(r investigation.Record) (investigation.Record, error) { return r.Announced(now) },
	}
}

// check makes the call and fails unless the ledger answers as the transition does, and then holds
// what the transition gives. It returns the error they agree on.
func (b *bench) check(c call) error {
	b.t.Helper()
	before, known := b.model[c.id]
	want, wantErr := before, investigation.ErrUnknownAction
	if known {
		want, wantErr = c.model(before)
	}
	got, err := c.do(b.ctx(), b.ledger)
	if !sameKind(err, wantErr) {
		b.t.Fatalf("%s: got error %v, want %v", c.name, err, wantErr)
	}
	switch {
	case err == nil && got != want:
		b.t.Fatalf("%s: got\n%+v, want\n%+v", c.name, got, want)
	case err == nil:
		b.holds(want)
	case known:
		b.holds(before)
	}
	return err
}

// holds fails unless the ledger's record is want, and remembers it.
func (b *bench) holds(want investigation.Record) {
	b.t.Helper()
	b.model[want.ID] = want
	got := b.load(want.ID)
	if len(got) != 1 || got[0] != want {
		b.t.Fatalf("the ledger holds\n%+v, want\n%+v", got, want)
	}
}

func (b *bench) load(ids ...investigation.ID) []investigation.Record {
	b.t.Helper()
	records, err := b.ledger.Load(b.ctx(), ids)
	if err != nil {
		b.t.Fatalf("load: %v", err)
	}
	return records
}

// due fails unless the ledger names these ids, in this order, and gives their records.
func (b *bench) due(lane investigation.Lane, now time.Time, limit int, want ...investigation.ID) {
	b.t.Helper()
	records, err := b.ledger.Due(b.ctx(), b.tenant, lane, now, limit)
	if err != nil {
		b.t.Fatalf("due: %v", err)
	}
	var got []investigation.ID
	for _, rec := range records {
		got = append(got, rec.ID)
		if model := b.model[rec.ID]; rec != model {
			b.t.Errorf("due: got\n%+v, want\n%+v", rec, model)
		}
	}
	if !reflect.DeepEqual(got, want) {
		b.t.Errorf("due in lane %s at %v: got\n%v, want\n%v", lane, now.Sub(t0), got, want)
	}
}

func (b *bench) ctx() context.Context { return b.t.Context() }
