// Package counter is the conformance test suite for implementations of ratelimit.Counter.
//
// Call [Run] from the tests of an implementation, with a function that opens a Counter over a fresh store:
//
//	func TestCounter(t *testing.T) {
//		conformance.Run(t, func(t *testing.T) ratelimit.Counter { return open(t) })
//	}
package counter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"packhorse/internal/ratelimit"
)

// budget is the budget of getPackageUri.
var budget = ratelimit.Budget{Name: "tenant#client#getPackageUri", PerMinute: 2, PerHour: 120}

// start has no fraction of a second, so instants are equal after a round trip through a store.
var start = time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)

// hold is how long a slot stays in use after its answer.
const hold = time.Minute + ratelimit.Guard

// Run checks the contract of ratelimit.Counter. Each of its tests opens a fresh Counter.
func Run(t *testing.T, open func(t *testing.T) ratelimit.Counter) {
	for name, test := range map[string]func(*testing.T, ratelimit.Counter){
		"LeasesEverySlotAndNoMore":  testSlots,
		"SettleFreesAfterTheWindow": testSettle,
		"UnsettledFreesAtDeadline":  testUnsettled,
		"LeaseIsIdempotentByOwner":  testIdempotent,
		"SettleOfAnotherIsIgnored":  testForeignSettle,
		"CooldownOnlyLengthens":     testCooldown,
		"TimeGoingBackwards":        testBackwards,
		"BudgetsAreIndependent":     testIndependent,
		"ASmallerBudgetWaits":       testShrunk,
		"PeekChangesNothing":        testPeek,
		"ManySpendersAtOnce":        testConcurrent,
		"ACancelledContextFails":    testCancelled,
		"ABadBudgetFails":           testBadBudget,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// lease leases for owner and fails the test unless allowed matches the answer.
func lease(t *testing.T, c ratelimit.Counter, b ratelimit.Budget, owner string, now time.Time,
	allowed bool,
) ratelimit.Decision {
	t.Helper()
	d, err := c.Lease(t.Context(), b, owner, now)
	if err != nil {
		t.Fatalf("lease for %s: %v", owner, err)
	}
	if d.Allowed != allowed {
		t.Fatalf("lease for %s at +%v: got allowed %v, want %v (%+v)",
			owner, now.Sub(start), d.Allowed, allowed, d)
	}
	return d
}

func testSlots(t *testing.T, c ratelimit.Counter) {
	a := lease(t, c, budget, "a", start, true)
	b := lease(t, c, budget, "b", start.Add(time.Second), true)
	if a.Slot == b.Slot {
		t.Errorf("both were given slot %d", a.Slot)
	}
	if want := start.Add(ratelimit.MaxCall); !a.SendBy.Equal(want) {
		t.Errorf("got SendBy %v, want %v", a.SendBy, want)
	}
	denied := lease(t, c, budget, "c", start.Add(2*time.Second), false)
	if want := start.Add(ratelimit.MaxCall + hold); !denied.RetryAt.Equal(want) {
		t.Errorf("got RetryAt %v, want %v", denied.RetryAt, want)
	}
}

func testSettle(t *testing.T, c ratelimit.Counter) {
	d := lease(t, c, budget, "a", start, true)
	lease(t, c, budget, "b", start, true)
	answered := start.Add(700 * time.Millisecond)
	if err := c.Settle(t.Context(), budget, "a", d.Slot, answered); err != nil {
		t.Fatal(err)
	}
	free := answered.Add(hold)
	denied := lease(t, c, budget, "c", free.Add(-time.Millisecond), false)
	if !denied.RetryAt.Equal(free) {
		t.Errorf("got RetryAt %v, want %v", denied.RetryAt, free)
	}
	lease(t, c, budget, "c", free, true)
}

func testUnsettled(t *testing.T, c ratelimit.Counter) {
	lease(t, c, budget, "a", start, true)
	lease(t, c, budget, "b", start, true)
	free := start.Add(ratelimit.MaxCall + hold)
	lease(t, c, budget, "c", free.Add(-time.Millisecond), false)
	lease(t, c, budget, "c", free, true)
	lease(t, c, budget, "d", free, true)
}

func testIdempotent(t *testing.T, c ratelimit.Counter) {
	first := lease(t, c, budget, "a", start, true)
	again := lease(t, c, budget, "a", start.Add(5*time.Second), true)
	if again.Slot != first.Slot || !again.SendBy.Equal(first.SendBy) {
		t.Errorf("the repeated lease is another one: %+v, then %+v", first, again)
	}
	lease(t, c, budget, "b", start, true)
	lease(t, c, budget, "c", start, false)
}

func testForeignSettle(t *testing.T, c ratelimit.Counter) {
	d := lease(t, c, budget, "a", start, true)
	lease(t, c, budget, "b", start, true)
	for _, slot := range []int{d.Slot, 7, -1} {
		if err := c.Settle(t.Context(), budget, "somebody", slot, start); err != nil {
			t.Fatal(err)
		}
	}
	lease(t, c, budget, "c", start.Add(hold), false)
}

func testCooldown(t *testing.T, c ratelimit.Counter) {
	until := start.Add(5 * time.Minute)
	for _, at := range []time.Time{until, start.Add(time.Minute)} {
		if err := c.CoolDown(t.Context(), budget, at); err != nil {
			t.Fatal(err)
		}
	}
	denied := lease(t, c, budget, "a", until.Add(-time.Millisecond), false)
	if !denied.RetryAt.Equal(until) {
		t.Errorf("got RetryAt %v, want %v", denied.RetryAt, until)
	}
	lease(t, c, budget, "a", until, true)
}

func testBackwards(t *testing.T, c ratelimit.Counter) {
	d := lease(t, c, budget, "a", start, true)
	// The answer is earlier than the question: the clock was set back. The time of the question counts.
	if err := c.Settle(t.Context(), budget, "a", d.Slot, start.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	lease(t, c, budget, "b", start, true)
	lease(t, c, budget, "c", start.Add(hold-time.Millisecond), false)
	lease(t, c, budget, "c", start.Add(-24*time.Hour), false)
	lease(t, c, budget, "c", start.Add(hold), true)
}

func testIndependent(t *testing.T, c ratelimit.Counter) {
	other := budget
	other.Name = "tenant#client#machineactions"
	for _, owner := range []string{"a", "b"} {
		lease(t, c, budget, owner, start, true)
		lease(t, c, other, owner, start, true)
	}
	if err := c.CoolDown(t.Context(), budget, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	lease(t, c, other, "c", start.Add(2*time.Minute), true)
}

func testShrunk(t *testing.T, c ratelimit.Counter) {
	lease(t, c, budget, "a", start, true)
	lease(t, c, budget, "b", start.Add(10*time.Second), true)
	smaller := budget
	smaller.PerMinute = 1
	free := start.Add(10*time.Second + ratelimit.MaxCall + hold)
	denied := lease(t, c, smaller, "c", start.Add(ratelimit.MaxCall+hold), false)
	if !denied.RetryAt.Equal(free) {
		t.Errorf("got RetryAt %v, want %v", denied.RetryAt, free)
	}
	lease(t, c, smaller, "c", free, true)
	lease(t, c, smaller, "d", free, false)
}

func testPeek(t *testing.T, c ratelimit.Counter) {
	s, err := c.Peek(t.Context(), budget)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range s.FreeAt(budget) {
		if at.After(start) {
			t.Errorf("an unused budget is not free until %v", at)
		}
	}
	lease(t, c, budget, "a", start, true)
	s, err = c.Peek(t.Context(), budget)
	if err != nil {
		t.Fatal(err)
	}
	free := s.FreeAt(budget)
	if len(free) != 2 || free[0].After(start) || !free[1].Equal(start.Add(ratelimit.MaxCall+hold)) {
		t.Errorf("got %v", free)
	}
	lease(t, c, budget, "b", start, true)
}

func testConcurrent(t *testing.T, c ratelimit.Counter) {
	const spenders = 40
	var spenderGroup sync.WaitGroup
	var leased atomic.Int32
	for i := range spenders {
		spenderGroup.Go(func() {
			d, err := c.Lease(t.Context(), budget, fmt.Sprintf("spender %d", i), start)
			if err != nil {
				t.Errorf("spender %d: %v", i, err)
			}
			if d.Allowed {
				leased.Add(1)
			}
		})
	}
	spenderGroup.Wait()
	if leased.Load() != 2 {
		t.Errorf("%d of %d spenders were given one of 2 slots", leased.Load(), spenders)
	}
}

func testCancelled(t *testing.T, c ratelimit.Counter) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Lease(ctx, budget, "a", start)
	if err == nil {
		t.Error("a lease with a cancelled context succeeded")
	}
}

func testBadBudget(t *testing.T, c ratelimit.Counter) {
	for _, bad := range []ratelimit.Budget{
		{PerMinute: 2, PerHour: 120}, {Name: "x", PerHour: 1}, {Name: "x", PerMinute: 1},
	} {
		_, err := c.Lease(t.Context(), bad, "a", start)
		if !errors.Is(err, ratelimit.ErrBadBudget) {
			t.Errorf("%+v: got %v", bad, err)
		}
	}
}
