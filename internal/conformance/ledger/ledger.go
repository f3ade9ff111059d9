// Package ledger holds what every ledger must do, as tests: round trip, atomicity, order, concurrency
// and damage. What the changes themselves do is tested in package investigation.
//
// Call [Run] from the test of an implementation. It compares each answer, and each record read
// back, with what the pure transition of package investigation gives for the same arguments.
package ledger

import (
	"context"
	"crypto/rand"
	"fmt"
	"reflect"
	"testing"
	"time"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/memory"
	"packhorse/internal/poll"
)

// Ledger is what both use cases need of a ledger, and who looks after it.
type Ledger interface {
	poll.Ledger
	fetch.Ledger

	// Head returns the end of the tenant's chain of manifests, read consistently.
	Head(ctx context.Context, tenantID string) (investigation.Head, error)

	// Records returns everything the ledger knows of the tenant, in the order of creation (and of
	// the action's id, where that is the same).
	Records(ctx context.Context, tenantID string) ([]investigation.Record, error)
}

// Spoil puts value in the place of one field of the record that a store has of an action, past every
// check of the ledger. The field has its stored name, such as "lastUpdatedAt"; value is a string, an
// int, or nil, which takes the field away.
type Spoil func(t *testing.T, id investigation.ID, field string, value any)

// Run tests a ledger. open is called once in every subtest and returns two ledgers on one store, or
// the same twice, and what damages that store. It may give the same store each time: the subtests keep
// to tenants of their own. It closes what it opens with t.Cleanup.
//
// The due index has to be consistent by the time a write returns. Where it is not (DynamoDB itself)
// a test of the due records can fail for that alone.
func Run(t *testing.T, open func(t *testing.T) (one, other Ledger, spoil Spoil)) {
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
		{"archived until announced", testArchived},
		{"not collected until announced", testNotCollected},
		{"sealed by a fetcher", testSealedByFetcher},
		{"a quarantine has a manifest of its own", testQuarantine},
		{"sealed without a fetcher", testSeal},
		{"an open outcome is not sealed", testSealEarly},
		{"a sealer that fails changes nothing", testSealerFails},
		{"the chains of two tenants are apart", testChainsApart},
		{"many seal, one chain", testConcurrentSeals},
		{"one action is sealed by many, once", testConcurrentSealsOfOne},
		{"a long manifest comes back", testLongManifest},
		{"the records of a tenant, in order", testRecords},
		{"unknown actions", testUnknown},
		{"many claim, one wins", testConcurrentClaims},
		{"many take over, one wins", testConcurrentTakeover},
		{"many observe, one record", testConcurrentObserve},
		{"archived against a takeover", testConcurrentArchived},
		{"a cancelled context changes nothing", testCancelled},
		{"a long random walk", testWalk},
		{"one damaged record does not stop the others", testDamage},
		{"an action that makes no sense is not written", testBadAction},
		{"a change that makes no sense is not written", testBadChange},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			one, other, spoil := open(t)
			tt.test(t, newBench(t, one, other, spoil))
		})
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
	other  Ledger // on the same store
	spoil  Spoil
	tenant string
	sealer *memory.Sealer

	model map[investigation.ID]investigation.Record // what the ledger should hold
	heads map[string]investigation.Head             // likewise, by tenant
}

func newBench(t *testing.T, one, other Ledger, spoil Spoil) *bench {
	return &bench{t: t, ledger: one, other: other, spoil: spoil, tenant: newGUID(), sealer: &memory.Sealer{},
		model: map[investigation.ID]investigation.Record{}, heads: map[string]investigation.Head{}}
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
		CaseID:           "case 7",
		RequestSource:    "Portal",
		Status:           status,
		CreatedAt:        t0.Add(-10 * time.Minute).Truncate(100 * time.Nanosecond),
		LastUpdatedAt:    t0.Add(-time.Minute).Truncate(100 * time.Nanosecond),
	}
}

// observe has the ledger observe the action, and checks it.
func (b *bench) observe(a investigation.Action, now time.Time) investigation.Record {
	b.t.Helper()
	observe := investigation.Observe(a, now)
	want, err := observe.Apply(b.model[a.ID])
	if err != nil {
		b.t.Fatal(err)
	}
	got, err := b.ledger.Change(b.ctx(), a.ID, observe)
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

// call is one change of a record by the ledger.
type call struct {
	id     investigation.ID
	change investigation.Change
	seals  bool // the result is sealed, too
}

func (c call) String() string { return fmt.Sprintf("%s action %s", c.change.Name, c.id.ActionID) }

// do makes the call.
func (b *bench) do(ctx context.Context, c call, l Ledger) (investigation.Record, error) {
	if c.seals {
		return l.Seal(ctx, c.id, c.change, b.sealer)
	}
	return l.Change(ctx, c.id, c.change)
}

// expect returns what the call makes of a record and its tenant's head.
func (b *bench) expect(c call, r investigation.Record, head investigation.Head) (
	investigation.Record, investigation.Head, error,
) {
	next, err := c.change.Apply(r)
	if err != nil || !c.seals {
		return next, head, err
	}
	return next.Sealed(head, &memory.Sealer{Words: b.sealer.Words, Err: b.sealer.Err})
}

func (b *bench) claim(id investigation.ID, owner string, now time.Time) call {
	return call{id: id, change: investigation.Claim(owner, now, now.Add(lease))}
}

func (b *bench) renew(id investigation.ID, owner string, until time.Time) call {
	return call{id: id, change: investigation.Renew(owner, until)}
}

func (b *bench) release(id investigation.ID, owner string, rel investigation.Release) call {
	return call{id: id, change: investigation.GiveBack(owner, rel)}
}

func (b *bench) archived(id investigation.ID, owner string, now time.Time) call {
	receipt := investigation.Receipt{Bucket: "evidence", Key: "packages/" + id.ActionID + ".zip",
		VersionID: "v-1", Size: 5_000_000_000_123, SHA256: fmt.Sprintf("%064x", 7), CRC32C: "yZRlqg==",
		PartSize: 64 << 20, Retention: retention(t0)}
	return call{id: id, seals: true, change: investigation.Archive(owner, investigation.Arrival{
		At: now, Receipt: receipt, Strangers: strangers("packages/" + id.ActionID),
	})}
}

// strangers is what somebody put in an action's places.
func strangers(stem string) investigation.Strangers {
	return investigation.Strangers("").Add(
		investigation.Stranger{Key: stem + ".zip", VersionID: "v-0", Size: 7, SHA256: fmt.Sprintf("%064x", 9),
			FoundAt: t0.Add(123 * time.Millisecond)},
		investigation.Stranger{Key: stem + "~1.zip", Size: 1 << 40, FoundAt: t0, Note: "it was not read"})
}

// retention is a lock for ten years, in the whole seconds of S3, and a legal hold.
func retention(from time.Time) investigation.Retention {
	return investigation.Retention{Mode: "COMPLIANCE",
		Until: from.AddDate(10, 0, 0).Truncate(time.Second), LegalHold: true}
}

func (b *bench) notCollected(id investigation.ID, owner string) call {
	return b.closed(id, owner, investigation.Closing{At: t0, Reason: investigation.ReasonExpired,
		Message: "six links expired"})
}

// quarantined is notCollected with something that came in the package's place.
func (b *bench) quarantined(id investigation.ID, owner string) call {
	return b.closed(id, owner, investigation.Closing{At: t0, Reason: investigation.ReasonInvalid,
		Message: "what came is not a package",
		Quarantine: investigation.Receipt{Bucket: "evidence", Key: "quarantine/" + id.ActionID + ".bin",
			VersionID: "v-2", Size: 17, SHA256: fmt.Sprintf("%064x", 8), CRC32C: "yZRlqh==",
			PartSize: 8 << 20, Retention: retention(t0)}})
}

func (b *bench) closed(id investigation.ID, owner string, c investigation.Closing) call {
	return call{id: id, seals: true, change: investigation.Close(owner, c)}
}

func (b *bench) seal(id investigation.ID) call {
	return call{id: id, seals: true, change: investigation.Unchanged()}
}

func (b *bench) announced(id investigation.ID, now time.Time) call {
	return call{id: id, change: investigation.Announce(investigation.Conclusion{
		At: now, Strangers: strangers("packages/" + id.ActionID + ".json"),
	})}
}

// check makes the call and fails unless the ledger answers as the transition does, and then holds
// what the transition gives. It returns the error they agree on.
func (b *bench) check(c call) error {
	b.t.Helper()
	before, known := b.model[c.id]
	head := b.heads[c.id.TenantID]
	want, wantHead, wantErr := before, head, investigation.ErrUnknownAction
	if known {
		want, wantHead, wantErr = b.expect(c, before, head)
	}
	got, err := b.do(b.ctx(), c, b.ledger)
	if !sameKind(err, wantErr) {
		b.t.Fatalf("%s: got error %v, want %v", c, err, wantErr)
	}
	switch {
	case err == nil && got != want:
		b.t.Fatalf("%s: got\n%+v, want\n%+v", c, got, want)
	case err == nil:
		b.holds(want)
		head = wantHead
	case known:
		b.holds(before)
	}
	if c.seals {
		b.endsIn(c.id.TenantID, head)
	}
	return err
}

// endsIn fails unless the tenant's chain has this end, and remembers it.
func (b *bench) endsIn(tenantID string, want investigation.Head) {
	b.t.Helper()
	b.heads[tenantID] = want
	got, err := b.ledger.Head(b.ctx(), tenantID)
	if err != nil || got != want {
		b.t.Fatalf("the head is %+v, %v, want %+v", got, err, want)
	}
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
