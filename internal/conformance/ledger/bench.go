package ledger

import (
	"context"
	"crypto/rand"
	"fmt"
	"reflect"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/memory"
)

// t0 is the current time in every test. It is finer than the ledger's milliseconds.
var t0 = time.Date(2026, 11, 3, 9, 0, 0, 123_456_789, time.UTC)

// lease is how long the claims of the tests last.
const lease = 2 * time.Minute

// bench is a ledger under test, with its own tenant.
type bench struct {
	t      *testing.T
	ledger Ledger
	other  Ledger // on the same store
	spoil  Spoil
	tenant string
	sealer *memory.Sealer

	model map[investigation.ID]investigation.Record // the expected records
	heads map[string]investigation.Head             // the expected heads, by tenant
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

// check makes the call and fails unless the ledger returns and then holds the same as the transition. It
// returns the error that both agree on.
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

// endsIn fails unless the tenant's chain has this head, and remembers it.
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

// due fails unless the ledger returns the records of these ids in this order.
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
