// Package ledger is the conformance suite for ledgers: round trip, atomicity, order, concurrency and
// damage. Package investigation tests the changes themselves.
//
// Call [Run] from the test of an implementation. It compares every answer, and every record read back,
// with the result of the pure transition in package investigation for the same arguments.
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

// Ledger is what both use cases and the operator's tools need from a ledger.
type Ledger interface {
	poll.Ledger
	fetch.Ledger

	// Head returns the end of the tenant's chain of manifests, by a consistent read.
	Head(ctx context.Context, tenantID string) (investigation.Head, error)

	// Records returns all records of the tenant in the order of investigation.ByCreation.
	Records(ctx context.Context, tenantID string) ([]investigation.Record, error)
}

// Spoil replaces one field of an action's stored record with value, without any check by the ledger. The
// field has its stored name, such as "lastUpdatedAt". value is a string, an int, or nil to remove the
// field.
type Spoil func(t *testing.T, id investigation.ID, field string, value any)

// Run tests a ledger. Every subtest calls open once. It returns two ledgers on one store, or the same
// ledger twice, and a function that damages the store. It may return the same store each time, because
// every subtest uses its own tenants, and should close what it opens with t.Cleanup.
//
// The due index must be consistent by the time a write returns. If it is not, as in DynamoDB itself, the
// tests of due records can fail for that reason alone.
func Run(t *testing.T, open func(t *testing.T) (one, other Ledger, spoil Spoil)) {
	tests := []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"first sight of each status", testFirstSight},
		{"a waiting action ends", testWaitingEnds},
		{"later sights change nothing", testDecidedStays},
		{"every field comes back", testRoundTrip},
		{"text comes back unchanged", testWords},
		{"load", testLoad},
		{"load more than a batch", testLoadMany},
		{"due in order, within the limit", testDueOrder},
		{"due more than a page", testDueMany},
		{"due by lane and tenant", testDueApart},
		{"due by state", testDueByState},
		{"archived until announced", testArchived},
		{"not collected until announced", testNotCollected},
		{"sealed by a fetcher", testSealedByFetcher},
		{"a quarantine has its own manifest", testQuarantine},
		{"sealed without a fetcher", testSeal},
		{"an undecided action is not sealed", testSealEarly},
		{"a sealer that fails changes nothing", testSealerFails},
		{"the chains of two tenants are separate", testChainsApart},
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
		{"an invalid action is not written", testBadAction},
		{"a change to an invalid record is not written", testBadChange},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			one, other, spoil := open(t)
			tt.test(t, newBench(t, one, other, spoil))
		})
	}
}

// t0 is the current time in every test. It is finer than the ledger's milliseconds.
var t0 = time.Date(2026, 11, 3, 9, 0, 0, 123_456_789, time.UTC)

// lease is how long claims last in the tests.
const lease = 2 * time.Minute

// bench is a ledger under test, with its own tenant.
type bench struct {
	t      *testing.T
	ledger Ledger
	other  Ledger // on the same store
	spoil  Spoil
	tenant string
	sealer *memory.Sealer

	model map[investigation.ID]investigation.Record // what the ledger should hold
	heads map[string]investigation.Head             // the heads it should hold, by tenant
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

// action returns a new action of the bench's tenant with every field set.
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

// observe makes the ledger observe the action, and checks the result.
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

// ready returns the id of a new action that is ready at t0.
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
	seals  bool // made with Seal
}

func (c call) String() string { return fmt.Sprintf("%s action %s", c.change.Name, c.id.ActionID) }

// do makes the call.
func (b *bench) do(ctx context.Context, c call, l Ledger) (investigation.Record, error) {
	if c.seals {
		return l.Seal(ctx, c.id, c.change, b.sealer)
	}
	return l.Change(ctx, c.id, c.change)
}

// expect returns the record and the head that the call should result in.
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

// strangers returns two strangers in an action's places.
func strangers(stem string) investigation.Strangers {
	return investigation.Strangers("").Add(
		investigation.Stranger{Key: stem + ".zip", VersionID: "v-0", Size: 7, SHA256: fmt.Sprintf("%064x", 9),
			FoundAt: t0.Add(123 * time.Millisecond)},
		investigation.Stranger{Key: stem + "~1.zip", Size: 1 << 40, FoundAt: t0, Note: "it was not read"})
}

// retention returns a lock of ten years, in whole seconds as S3 keeps it, with a legal hold.
func retention(from time.Time) investigation.Retention {
	return investigation.Retention{Mode: "COMPLIANCE",
		Until: from.AddDate(10, 0, 0).Truncate(time.Second), LegalHold: true}
}

func (b *bench) notCollected(id investigation.ID, owner string) call {
	return b.closed(id, owner, investigation.Closing{At: t0, Reason: investigation.ReasonExpired,
		Message: "six links expired"})
}

// quarantined is notCollected with a quarantined object.
func (b *bench) quarantined(id investigation.ID, owner string) call {
	return b.closed(id, owner, investigation.Closing{At: t0, Reason: investigation.ReasonInvalid,
		Message: "the download is not a package",
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

// check makes the call and fails unless the ledger returns what the transition returns, and then holds that
// record. It returns the error that they agree on.
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

// endsIn fails unless want is the end of the tenant's chain, and remembers it.
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

// due fails unless the ledger returns the records of these ids, in this order.
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
