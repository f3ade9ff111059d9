package poll_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/memory"
	"packhorse/internal/poll"
)

// directory is a tenant that answers listings as Defender does, and keeps them.
type directory struct {
	actions  []investigation.Action
	listings []investigation.Listing
	cannot   bool  // does not list by id
	breaks   error // what asking by id ends in
}

func (d *directory) List(_ context.Context, at investigation.Listing,
	see func([]investigation.Action, []error) bool,
) (investigation.Listing, error) {
	d.listings = append(d.listings, at)
	if d.cannot && at.Also != "" {
		return at, fmt.Errorf("list: %w: 400", investigation.ErrCannotAsk)
	}
	if d.breaks != nil && at.Also != "" {
		return at, d.breaks
	}
	var shown []investigation.Action
	for _, a := range d.actions {
		if at.Lists(a) && !a.CreatedAt.After(time.Now()) {
			shown = append(shown, a)
		}
	}
	at.Done = see(shown, nil)
	return at, nil
}

// last returns the last listing, and how far back it goes.
func (d *directory) last() (investigation.Listing, time.Duration) {
	last := d.listings[len(d.listings)-1]
	return last, time.Since(last.Since)
}

func (d *directory) end(id string, status investigation.Status) {
	for i, a := range d.actions {
		if a.ActionID == id {
			d.actions[i].Status, d.actions[i].LastUpdatedAt = status, time.Now().UTC()
		}
	}
}

// TestSweepsFollowChange: after a whole listing, sweeps list what is new and ask for what is waiting; every ten
// minutes one lists everything again. Whatever changes is found at once or then.
func TestSweepsFollowChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tenant := &directory{}
		for _, pages := range waiting(1, 3) {
			tenant.actions = append(tenant.actions, pages...)
		}
		tenant.end(tenant.actions[2].ActionID, "Succeeded")
		ledger := memory.NewLedger()
		p := pollerOf(t, tenant, ledger, &strings.Builder{})
		sweep := func() {
			t.Helper()
			if err := p.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		state := func(a investigation.Action) investigation.State {
			records, err := ledger.Load(t.Context(), []investigation.ID{a.ID})
			if err != nil || len(records) == 0 {
				return investigation.StateUnknown
			}
			return records[0].State
		}
		sweep()
		if got, back := tenant.last(); got.Also != "" || back != 168*time.Hour {
			t.Errorf("the first listing goes back %v and asks for %q", back, got.Also)
		}

		time.Sleep(time.Minute)
		late := someAction("Pending", time.Hour) // appears an hour after it was created
		late.ActionID = strings.Repeat("e", 40)
		recent := someAction("Succeeded", 10*time.Second)
		recent.ActionID = strings.Repeat("f", 40)
		tenant.actions = append(tenant.actions, recent, late)
		tenant.end(tenant.actions[0].ActionID, "Succeeded")
		sweep()
		got, back := tenant.last()
		if want := tenant.actions[0].ActionID + " " + tenant.actions[1].ActionID; got.Also != want || back != 6*time.Minute {
			t.Errorf("the second listing goes back %v and asks for %q", back, got.Also)
		}
		if state(tenant.actions[0]) != investigation.StateReady || state(recent) != investigation.StateReady ||
			state(late) != investigation.StateUnknown {
			t.Errorf("states %s, %s, %s", state(tenant.actions[0]), state(recent), state(late))
		}

		time.Sleep(time.Minute)
		sweep()
		if got, _ := tenant.last(); got.Also != tenant.actions[1].ActionID {
			t.Errorf("the third listing asks for %q", got.Also)
		}

		time.Sleep(8 * time.Minute)
		sweep()
		if got, back := tenant.last(); got.Also != "" || back != 168*time.Hour || state(late) != investigation.StateWaiting {
			t.Errorf("after ten minutes the listing goes back %v and asks for %q; the late action is %s", back, got.Also, state(late))
		}
	})
}

// TestManyWaiting: no listing asks for more than its share, young actions come every time, and the others in turn.
func TestManyWaiting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tenant := &directory{}
		for _, pages := range waiting(1, 100) {
			tenant.actions = append(tenant.actions, pages...)
		}
		young := someAction("Pending", 20*time.Minute)
		young.ActionID = strings.Repeat("f", 40)
		tenant.actions = append(tenant.actions, young)
		p := pollerOf(t, tenant, memory.NewLedger(), &strings.Builder{})
		asked := map[string]int{}
		for range 5 {
			if err := p.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			last, _ := tenant.last()
			for _, id := range last.Asked() {
				asked[id]++
			}
			if n := len(last.Asked()); n > investigation.AlsoMax {
				t.Errorf("asked for %d", n)
			}
			time.Sleep(time.Minute)
		}
		if len(asked) != 101 || asked[young.ActionID] != 4 {
			t.Errorf("asked for %d actions, %d times for the young one", len(asked), asked[young.ActionID])
		}
	})
}

// TestCannotAsk: if Defender does not list by id, every sweep lists everything, and it is said once.
func TestCannotAsk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tenant := &directory{cannot: true, actions: waiting(1, 1)[0]}
		var log strings.Builder
		p := pollerOf(t, tenant, memory.NewLedger(), &log)
		for range 4 {
			if err := p.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		asking := 0
		for _, listing := range tenant.listings {
			if listing.Also != "" {
				asking++
			}
		}
		if last, back := tenant.last(); asking != 1 || back < 168*time.Hour || last.Also != "" ||
			strings.Count(log.String(), "Defender does not list") != 1 {
			t.Errorf("asked %d times; the last listing goes back %v; log: %s", asking, back, log.String())
		}
	})
}

// TestAskingBreaks: a service that fails at asking by id is asked three times, each time followed by a whole listing,
// and then no more. Failures that do not repeat leave things as they were.
func TestAskingBreaks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tenant := &directory{actions: waiting(1, 1)[0]}
		var log strings.Builder
		p := pollerOf(t, tenant, memory.NewLedger(), &log)
		sweep := func(breaks error) (asking bool) {
			tenant.breaks = breaks
			err := p.Sweep(t.Context())
			last, _ := tenant.last()
			if asking = last.Also != ""; (err != nil) != (asking && breaks != nil) {
				t.Errorf("asking for %q: %v", last.Also, err)
			}
			time.Sleep(time.Minute)
			return asking
		}
		broken := errors.New("500 Internal Server Error")
		var got []bool
		for _, breaks := range []error{nil, nil, broken, broken, nil, nil, broken, broken, broken, broken, broken, broken, broken, nil} {
			got = append(got, sweep(breaks))
		}
		want := []bool{false, true, true, false, true, true, true, false, true, false, true, false, false, false}
		if !slices.Equal(got, want) || strings.Count(log.String(), "Defender does not list") != 1 {
			t.Errorf("asked %v, want %v; log: %s", got, want, log.String())
		}
	})
}

// TestAnotherPollersFind: a poller that found nothing due, and so does not ask the ledger for a while, asks when its
// sweep shows what another poller has written meanwhile.
func TestAnotherPollersFind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tenant, ledger := &far{pages: [][]investigation.Action{nil}}, newRemote()
		ours, theirs := &takes{at: map[string]time.Time{}}, &takes{at: map[string]time.Time{}}
		quiet, other := farPoller(tenant, ledger, ours), farPoller(tenant, ledger, theirs)
		step := func(p *poll.Poller) {
			t.Helper()
			if _, err := p.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		step(quiet)
		ready := someAction("Succeeded", 10*time.Second)
		tenant.pages[0] = append(tenant.pages[0], ready)
		time.Sleep(time.Minute)
		step(other)
		step(quiet)
		if len(theirs.at) != 1 || len(ours.at) != 1 {
			t.Errorf("the poller that found the package handed over %d, the other %d", len(theirs.at), len(ours.at))
		}
	})
}
