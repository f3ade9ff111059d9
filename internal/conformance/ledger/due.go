package ledger

import (
	"slices"
	"testing"
	"time"

	"packhorse/internal/investigation"
)

const (
	live    = investigation.LaneLive
	backlog = investigation.LaneBacklog
	settled = investigation.LaneSettled
)

func testDueOrder(_ *testing.T, b *bench) {
	at := func(after time.Duration) investigation.ID {
		return b.observe(b.action("Succeeded"), t0.Add(after)).ID
	}
	third, first, fourth := at(30*time.Second), at(10*time.Second), at(40*time.Second)
	second := at(10*time.Second + time.Millisecond)

	b.due(live, t0.Add(time.Hour), 10, first, second, third, fourth)
	b.due(live, t0.Add(time.Hour), 4, first, second, third, fourth)
	b.due(live, t0.Add(time.Hour), 2, first, second)
	b.due(live, t0.Add(time.Hour), 1, first)
	b.due(live, t0.Add(30*time.Second), 10, first, second, third)
	b.due(live, t0.Add(9*time.Second), 10)
	b.due(backlog, t0.Add(time.Hour), 10)

	// To the millisecond: the index must not be coarser than the record.
	instant := b.model[first].DueAt
	b.due(live, instant.Add(-1), 10)
	b.due(live, instant, 10, first)
	b.due(live, instant.Add(time.Millisecond-1), 10, first)
	b.due(live, instant.Add(time.Millisecond), 10, first, second)
}

func testDueMany(t *testing.T, b *bench) {
	const many = 130 // more than one DynamoDB batch
	var want []investigation.ID
	for i := range many {
		a := b.action("Succeeded")
		rec, err := b.ledger.Change(b.ctx(), a.ID, investigation.Observe(a, t0.Add(time.Duration(many-i)*time.Second)))
		if err != nil {
			t.Fatalf("observe: %v", err)
		}
		b.model[a.ID] = rec
		want = append(want, a.ID)
	}
	slices.Reverse(want)
	b.due(live, t0.Add(time.Hour), 200, want...)
	b.due(live, t0.Add(time.Hour), 110, want[:110]...)
}

func testDueApart(_ *testing.T, b *bench) {
	old := b.action("Succeeded")
	old.CreatedAt, old.LastUpdatedAt = t0.Add(-72*time.Hour), t0.Add(-70*time.Hour)
	b.observe(old, t0)
	fresh := b.ready()
	b.due(live, t0, 10, fresh)
	b.due(backlog, t0, 10, old.ID)
	b.due("", t0.Add(time.Hour), 10)

	// The same action id in another tenant is another action.
	mine := b.tenant
	b.tenant = newGUID()
	b.due(live, t0, 10)
	theirs := b.model[fresh].Action
	theirs.TenantID = b.tenant
	b.observe(theirs, t0)
	b.check(b.claim(theirs.ID, "ada", t0))
	b.due(live, t0, 10)
	b.due(live, t0.Add(lease), 10, theirs.ID)
	b.tenant = mine
	b.holds(b.model[fresh])
	b.due(live, t0.Add(lease), 10, fresh)
	b.check(b.claim(fresh, "bob", t0))
}

func testDueByState(_ *testing.T, b *bench) {
	far := t0.Add(1000 * time.Hour)
	waiting := b.action("Pending")
	b.observe(waiting, t0)
	b.due(live, far, 10)

	id := b.ready()
	b.due(live, t0, 10, id)
	b.check(b.claim(id, "ada", t0))
	b.due(live, t0.Add(lease-time.Millisecond), 10) // ada is working on it
	b.due(live, t0.Add(lease), 10, id)              // its lease ran out
	b.check(b.renew(id, "ada", t0.Add(2*lease)))
	b.due(live, t0.Add(lease), 10)
	b.due(live, t0.Add(2*lease), 10, id)
	b.check(b.release(id, "ada", investigation.Release{DueAt: t0.Add(time.Hour)}))
	b.due(live, t0.Add(time.Hour-time.Millisecond), 10)
	b.due(live, t0.Add(time.Hour), 10, id)
	b.check(b.claim(id, "ada", t0.Add(time.Hour)))
	b.check(b.archived(id, "ada", t0.Add(time.Hour)))
	b.due(live, far, 10)                  // it left the lane of packages
	b.due(settled, t0.Add(time.Hour), 10) // the owner has until its lease ends to announce it
	b.due(settled, t0.Add(time.Hour+lease), 10, id)
	b.check(b.announced(id, t0.Add(time.Hour)))
	b.due(settled, far, 10)

	failed := b.observe(b.action("Failed"), t0)
	b.due(settled, t0, 10, failed.ID)
	b.check(b.seal(failed.ID))
	b.due(settled, t0, 10, failed.ID)
	b.check(b.announced(failed.ID, t0))
	b.due(settled, far, 10)
}
