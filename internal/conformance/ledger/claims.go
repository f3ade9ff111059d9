package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"packhorse/internal/investigation"
)

// sameKind reports whether two errors mean the same to a caller.
func sameKind(got, want error) bool {
	if refusal, ok := errors.AsType[*investigation.NotClaimableError](want); ok {
		gotRefusal, ok := errors.AsType[*investigation.NotClaimableError](got)
		return ok && gotRefusal.ID == refusal.ID && gotRefusal.State == refusal.State &&
			gotRefusal.Until.Equal(refusal.Until)
	}
	for _, kind := range []error{
		investigation.ErrUnknownAction, investigation.ErrLeaseLost, investigation.ErrIllegalChange,
	} {
		if errors.Is(got, kind) != errors.Is(want, kind) {
			return false
		}
	}
	return (got == nil) == (want == nil)
}

func testArchived(_ *testing.T, b *bench) {
	id := b.claimed("ada")
	b.check(b.archived(id, "bob", t0))
	b.check(b.archived(id, "ada", t0.Add(time.Second)))
	b.check(b.archived(id, "ada", t0.Add(2*time.Second))) // ErrLeaseLost: nobody owns it now
	b.check(b.claim(id, "bob", t0.Add(time.Hour)))
	b.announce(id)
}

func testNotCollected(_ *testing.T, b *bench) {
	id := b.claimed("ada")
	b.check(b.notCollected(id, "bob"))
	b.check(b.notCollected(id, "ada"))
	b.check(b.notCollected(id, "ada"))
	b.check(b.claim(id, "bob", t0.Add(time.Hour)))
	b.announce(id)
	cancelled := b.observe(b.action("Cancelled"), t0).ID
	b.check(b.seal(cancelled))
	b.announce(cancelled)
}

// announce checks that a decided record is due until it is announced, and that announcing it again changes
// nothing.
func (b *bench) announce(id investigation.ID) {
	b.t.Helper()
	b.due(settled, t0.Add(time.Hour), 10, id)
	if err := b.check(b.announced(id, t0.Add(time.Hour))); err != nil {
		b.t.Errorf("announce: %v", err)
	}
	b.due(settled, t0.Add(time.Hour), 10)
	if err := b.check(b.announced(id, t0.Add(2*time.Hour))); err != nil {
		b.t.Errorf("announce again: %v", err)
	}
	b.check(b.claim(id, "bob", t0.Add(time.Hour)))
}

// crowd is how many goroutines do the same at once.
const crowd = 20

// together calls f in that many goroutines at once and returns their errors.
func together(f func(i int) error) []error {
	errs := make([]error, crowd)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range crowd {
		all.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	all.Wait()
	return errs
}

// oneWins lets a crowd claim the action at the same instant.
func (b *bench) oneWins(id investigation.ID, now time.Time) {
	b.t.Helper()
	errs := together(func(i int) error {
		_, err := b.ledger.Change(b.ctx(), id, investigation.Claim(fmt.Sprint("claimer ", i), now, now.Add(lease)))
		return err
	})
	winner := ""
	for i, err := range errs {
		_, refused := errors.AsType[*investigation.NotClaimableError](err)
		switch {
		case err == nil && winner == "":
			winner = fmt.Sprint("claimer ", i)
		case err == nil:
			b.t.Errorf("%s and claimer %d both won", winner, i)
		case !refused:
			b.t.Errorf("claimer %d: got %v, want a refusal", i, err)
		}
	}
	want, err := investigation.Claim(winner, now, now.Add(lease)).Apply(b.model[id])
	if err != nil {
		b.t.Fatalf("nobody could have won: %v", err)
	}
	b.holds(want)
}

func testConcurrentClaims(_ *testing.T, b *bench) { b.oneWins(b.ready(), t0) }

func testConcurrentTakeover(_ *testing.T, b *bench) {
	id := b.claimed("ada")
	b.oneWins(id, t0.Add(lease))
	b.check(b.archived(id, "ada", t0))
}

func testConcurrentObserve(t *testing.T, b *bench) {
	for _, status := range []investigation.Status{"Pending", "Succeeded"} {
		a := b.action(status)
		records := make([]investigation.Record, crowd)
		errs := together(func(i int) error {
			var err error
			records[i], err = b.ledger.Change(b.ctx(), a.ID, investigation.Observe(a, t0.Add(time.Duration(i)*time.Second)))
			return err
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatalf("observe: %v", err)
		}
		want, _ := investigation.Observe(a, records[0].ObservedAt).Apply(investigation.Record{})
		for _, got := range records {
			if got != want {
				t.Errorf("got\n%+v, want\n%+v", got, want)
			}
		}
		b.holds(want)
	}
}

// testConcurrentArchived: an owner whose lease just expired races with a worker that takes over. One wins,
// and the other gets an error.
func testConcurrentArchived(t *testing.T, b *bench) {
	for range crowd {
		id := b.claimed("ada")
		held := b.model[id]
		errs := together(func(i int) error {
			c := b.archived(id, "ada", t0.Add(lease))
			if i%2 == 1 {
				c = b.claim(id, "bob", t0.Add(lease))
			}
			_, err := b.do(b.ctx(), c, b.ledger)
			return err
		})
		archived, claimed := 0, 0
		for i, err := range errs {
			switch {
			case err == nil && i%2 == 0:
				archived++
			case err == nil:
				claimed++
			}
		}
		winner := b.archived(id, "ada", t0.Add(lease))
		if claimed > 0 {
			winner = b.claim(id, "bob", t0.Add(lease))
		}
		want, head, err := b.expect(winner, held, b.heads[b.tenant])
		if err != nil {
			t.Fatal(err)
		}
		// bob's ten claims are one claim and its repetitions; ada can archive only once.
		adaWon, bobWon := archived == 1 && claimed == 0, archived == 0 && claimed == crowd/2
		if !adaWon && !bobWon {
			t.Errorf("%d archived and %d claimed it", archived, claimed)
		}
		b.holds(want)
		b.endsIn(b.tenant, head)
	}
}

func testCancelled(t *testing.T, b *bench) {
	ready, held := b.ready(), b.claimed("ada")
	settled, sealed := b.observe(b.action("Failed"), t0).ID, b.observe(b.action("Failed"), t0).ID
	b.check(b.seal(sealed))
	fresh := b.action("Pending")
	ctx, cancel := context.WithCancel(b.ctx())
	cancel()
	calls := map[string]func() error{
		"load": func() error { _, err := b.ledger.Load(ctx, []investigation.ID{ready}); return err },
		"due": func() error {
			_, err := b.ledger.Due(ctx, b.tenant, live, t0, 10)
			return err
		},
		"observe": func() error { _, err := b.ledger.Change(ctx, fresh.ID, investigation.Observe(fresh, t0)); return err },
		"head":    func() error { _, err := b.ledger.Head(ctx, b.tenant); return err },
		"records": func() error { _, err := b.ledger.Records(ctx, b.tenant); return err },
	}
	for _, c := range []call{
		b.claim(ready, "bob", t0), b.renew(held, "ada", t0.Add(time.Hour)),
		b.release(held, "ada", investigation.Release{}), b.archived(held, "ada", t0),
		b.notCollected(held, "ada"), b.seal(settled), b.announced(sealed, t0),
	} {
		calls[c.String()] = func() error { _, err := b.do(ctx, c, b.ledger); return err }
	}
	for name, f := range calls {
		if err := f(); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	for id := range b.model {
		b.holds(b.model[id])
	}
	b.endsIn(b.tenant, b.heads[b.tenant])
	if got := b.load(fresh.ID); len(got) != 0 {
		t.Errorf("the action was observed anyway: %+v", got)
	}
}

// testWalk makes random calls, legal or not, and compares every answer with the transition's.
func testWalk(t *testing.T, b *bench) {
	const steps = 400
	random := rand.New(rand.NewPCG(7, 0))
	actions := make([]investigation.Action, 4)
	for i := range actions {
		actions[i] = b.action("Pending")
	}
	now := t0
	reached := map[investigation.State]bool{}
	for range steps {
		now = now.Add(time.Duration(random.Int64N(int64(lease))))
		i := random.IntN(len(actions))
		a := &actions[i]
		owner := []string{"ada", "bob", "eve"}[random.IntN(3)]
		switch random.IntN(10) {
		case 0:
			a.Status = []investigation.Status{"InProgress", "Succeeded", "Succeeded", "Failed"}[random.IntN(4)]
			fallthrough
		case 1:
			b.observe(*a, now)
		case 2, 3, 4:
			b.check(b.claim(a.ID, owner, now))
		case 5:
			b.check(b.renew(a.ID, owner, now.Add(lease)))
		case 6:
			b.check(b.release(a.ID, owner, investigation.Release{
				DueAt: now.Add(lease), Message: "m", Charge: investigation.Charge(random.IntN(3))}))
		case 7:
			b.check([]call{b.archived(a.ID, owner, now), b.notCollected(a.ID, owner),
				b.quarantined(a.ID, owner)}[random.IntN(3)])
		case 8:
			b.check(b.seal(a.ID))
		case 9:
			b.check(b.announced(a.ID, now))
		}
		reached[b.model[a.ID].State] = true
		if b.model[a.ID].State == investigation.StateDone {
			actions[i] = b.action("Pending")
		}
	}
	b.chain(b.tenant)
	if want := len(investigation.States()); len(reached) != want {
		t.Errorf("the walk reached only %v", reflect.ValueOf(reached).MapKeys())
	}
}
