package ledger

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/memory"
)

// errSealer is the error of a failing sealer.
var errSealer = errors.New("the key is out of reach")

// chain fails unless the seals of the tenant's records are numbered 1, 2, 3 … up to the head, and each
// manifest contains its number and the digest of the one before. It returns the number of seals. The ledger
// drops announced manifests, so for those it checks only the seals.
func (b *bench) chain(tenantID string) int {
	b.t.Helper()
	records, err := b.ledger.Records(b.ctx(), tenantID)
	if err != nil {
		b.t.Fatalf("records: %v", err)
	}
	var seals []investigation.Seal
	for _, rec := range records {
		for _, seal := range []investigation.Seal{rec.QuarantineSeal, rec.Seal} {
			if seal.Sequence != 0 {
				seals = append(seals, seal)
			}
		}
	}
	slices.SortFunc(seals, func(x, y investigation.Seal) int { return cmp.Compare(x.Sequence, y.Sequence) })
	var last investigation.Head
	for _, seal := range seals {
		if seal.Sequence != last.Sequence+1 {
			b.t.Errorf("number %d comes after number %d", seal.Sequence, last.Sequence)
		}
		if seal.Manifest != "" {
			var m memory.Manifest
			if err := json.Unmarshal([]byte(seal.Manifest), &m); err != nil {
				b.t.Fatalf("manifest %d: %v", seal.Sequence, err)
			}
			if m.Sequence != seal.Sequence || m.Previous != last.Digest {
				b.t.Errorf("manifest %d says it is %d after %q, want after %q",
					seal.Sequence, m.Sequence, m.Previous, last.Digest)
			}
		}
		last = investigation.Head{Sequence: seal.Sequence, Digest: seal.Digest}
	}
	b.endsIn(tenantID, last)
	return len(seals)
}

// sealedOnce fails unless sealing the action again makes no manifest and changes nothing.
func (b *bench) sealedOnce(id investigation.ID) {
	b.t.Helper()
	before := b.sealer.Made()
	if err := b.check(b.seal(id)); err != nil {
		b.t.Errorf("seal again: %v", err)
	}
	if made := b.sealer.Made() - before; made != 0 {
		b.t.Errorf("%d manifests were made for a sealed record", made)
	}
}

func testSealedByFetcher(t *testing.T, b *bench) {
	b.endsIn(b.tenant, investigation.Head{})
	for i, end := range []func(investigation.ID) call{
		func(id investigation.ID) call { return b.archived(id, "ada", t0.Add(time.Second)) },
		func(id investigation.ID) call { return b.notCollected(id, "ada") },
	} {
		id := b.claimed("ada")
		if err := b.check(end(id)); err != nil {
			t.Fatal(err)
		}
		if got := b.model[id].Seal.Sequence; got != int64(i+1) {
			t.Errorf("got number %d, want %d", got, i+1)
		}
		b.sealedOnce(id)
		b.check(end(id)) // ErrLeaseLost, without using a number
		b.check(b.announced(id, t0.Add(time.Minute)))
		b.sealedOnce(id)
	}
	if n := b.chain(b.tenant); n != 2 {
		t.Errorf("the chain has %d manifests, want 2", n)
	}
}

func testQuarantine(t *testing.T, b *bench) {
	b.check(b.seal(b.observe(b.action("TimeOut"), t0).ID))
	id := b.claimed("ada")
	b.check(b.quarantined(id, "bob")) // ErrLeaseLost
	if err := b.check(b.quarantined(id, "ada")); err != nil {
		t.Fatal(err)
	}
	rec := b.model[id]
	if q, s := rec.QuarantineSeal.Sequence, rec.Seal.Sequence; q != 2 || s != 3 {
		t.Errorf("got numbers %d and %d, want 2 and 3", q, s)
	}
	b.sealedOnce(id)
	if n := b.chain(b.tenant); n != 3 {
		t.Errorf("the chain has %d manifests, want 3", n)
	}
	b.check(b.announced(id, t0.Add(time.Hour)))
	b.sealedOnce(id)
	b.chain(b.tenant)
}

func testSeal(t *testing.T, b *bench) {
	for _, status := range []investigation.Status{"Failed", "TimeOut", "Cancelled"} {
		id := b.observe(b.action(status), t0).ID
		if err := b.check(b.seal(id)); err != nil {
			t.Fatalf("%s: %v", status, err)
		}
		b.sealedOnce(id)
	}
	if n := b.chain(b.tenant); n != 3 {
		t.Errorf("the chain has %d manifests, want 3", n)
	}
}

func testSealEarly(t *testing.T, b *bench) {
	for _, id := range []investigation.ID{
		b.observe(b.action("Pending"), t0).ID, b.ready(), b.claimed("ada"),
	} {
		if err := b.check(b.seal(id)); !errors.Is(err, investigation.ErrIllegalChange) {
			t.Errorf("%s: got %v, want ErrIllegalChange", b.model[id].State, err)
		}
	}
	err := b.check(b.seal(b.action("Failed").ID))
	if !errors.Is(err, investigation.ErrUnknownAction) {
		t.Errorf("got %v, want ErrUnknownAction", err)
	}
	if made := b.sealer.Made(); made != 0 {
		t.Errorf("%d manifests were made", made)
	}
}

func testSealerFails(t *testing.T, b *bench) {
	b.check(b.seal(b.observe(b.action("Failed"), t0).ID))
	b.sealer.Err = errSealer
	held := b.claimed("ada")
	for _, c := range []call{
		b.archived(held, "ada", t0), b.notCollected(held, "ada"), b.quarantined(held, "ada"),
		b.seal(b.observe(b.action("Failed"), t0).ID),
	} {
		if err := b.check(c); !errors.Is(err, errSealer) {
			t.Errorf("%s: got %v, want the sealer's error", c.String(), err)
		}
	}
	b.sealer.Err = nil
	if err := b.check(b.archived(held, "ada", t0)); err != nil {
		t.Errorf("once the sealer works again: %v", err)
	}
	b.chain(b.tenant)
}

func testChainsApart(t *testing.T, b *bench) {
	tenants := []string{newGUID(), newGUID()}
	for range 3 {
		for _, b.tenant = range tenants {
			b.check(b.archived(b.claimed("ada"), "ada", t0))
		}
	}
	for _, tenant := range tenants {
		if n := b.chain(tenant); n != 3 {
			t.Errorf("a chain has %d manifests, want 3", n)
		}
	}
	if b.heads[tenants[0]].Digest == b.heads[tenants[1]].Digest {
		t.Error("two chains have the same head")
	}
}

// testConcurrentSeals lets a crowd, in two ledgers on one store, conclude one action each, in various ways.
// All of them succeed, and no two get the same place in the chain.
func testConcurrentSeals(t *testing.T, b *bench) {
	calls := make([]call, crowd)
	numbers := 0
	for i := range calls {
		switch i % 4 {
		case 0, 1:
			calls[i] = b.archived(b.claimed("ada"), "ada", t0)
		case 2:
			calls[i] = b.quarantined(b.claimed("ada"), "ada")
			numbers++
		case 3:
			calls[i] = b.seal(b.observe(b.action("Failed"), t0).ID)
		}
		numbers++
	}
	records := make([]investigation.Record, crowd)
	errs := together(func(i int) error {
		var err error
		records[i], err = b.do(b.ctx(), calls[i], []Ledger{b.ledger, b.other}[i/4%2])
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, rec := range records {
		b.holds(rec)
	}
	if n := b.chain(b.tenant); n != numbers {
		t.Errorf("the chain has %d manifests, want %d", n, numbers)
	}
}

func testConcurrentSealsOfOne(t *testing.T, b *bench) {
	id := b.observe(b.action("Failed"), t0).ID
	records := make([]investigation.Record, crowd)
	errs := together(func(i int) error {
		var err error
		records[i], err = b.do(b.ctx(), b.seal(id), []Ledger{b.ledger, b.other}[i%2])
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	want, head, err := b.expect(b.seal(id), b.model[id], investigation.Head{})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range records {
		if got != want {
			t.Errorf("got\n%+v, want\n%+v", got, want)
		}
	}
	b.holds(want)
	b.endsIn(b.tenant, head)
}

func testLongManifest(t *testing.T, b *bench) {
	b.sealer.Words = strings.Repeat("Gerät №7 — 調査 🐎 \u2028 <&>\n", 200)
	id := b.claimed("ada")
	b.check(b.quarantined(id, "ada"))
	if got := len(b.model[id].Seal.Manifest); got < 6<<10 {
		t.Errorf("the manifest has only %d bytes", got)
	}
	b.chain(b.tenant)
}

// testRecords: Records returns all records of one tenant, and no chain head.
func testRecords(t *testing.T, b *bench) {
	mine := b.tenant
	b.tenant = newGUID()
	b.check(b.seal(b.observe(b.action("Failed"), t0).ID))
	b.tenant = mine
	var want []investigation.Record
	for i := range 40 {
		a := b.action([]investigation.Status{"Pending", "Succeeded", "Failed"}[i%3])
		a.CreatedAt = t0.Add(-time.Duration(i/2*7%13) * time.Minute)
		b.observe(a, t0)
		if i%3 == 2 {
			b.check(b.seal(a.ID))
		}
		want = append(want, b.model[a.ID])
	}
	slices.SortFunc(want, func(x, y investigation.Record) int {
		return cmp.Or(x.CreatedAt.Compare(y.CreatedAt), strings.Compare(x.ActionID, y.ActionID))
	})
	for name, l := range map[string]Ledger{"one": b.ledger, "other": b.other} {
		got, err := l.Records(b.ctx(), mine)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v; want\n%v", name, brief(got), err, brief(want))
		}
	}
	none, err := b.ledger.Records(b.ctx(), newGUID())
	if err != nil || len(none) != 0 {
		t.Errorf("an unknown tenant: got %v, %v", none, err)
	}
}

func brief(records []investigation.Record) []string {
	var lines []string
	for _, r := range records {
		lines = append(lines, fmt.Sprint(r.CreatedAt.Sub(t0), " ", r.ActionID, " ", r.State))
	}
	return lines
}
