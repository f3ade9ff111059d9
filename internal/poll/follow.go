package poll

import (
	"cmp"
	"slices"
	"time"

	"packhorse/internal/investigation"
)

const (
	// wholeEvery is how often the whole look-back is listed. What the listings in between miss is found then:
	// actions that appear late, out of order, or that change after their end.
	wholeEvery = 10 * time.Minute

	// overlap is how far before the last listing the next one begins: Defender may show an action some time
	// after it was created, and the clocks may differ.
	overlap = 5 * time.Minute

	// askingFailuresMax is how often asking by id may fail before it is given up. A failure of the service itself
	// shows in whole listings, too, and those do not count.
	askingFailuresMax = 3

	// waitingMax bounds the waiting actions that are asked for by id. Any others are found in whole listings.
	waitingMax = 10_000
)

// follow decides what a sweep lists. The whole look-back would cost as much as the tenant has actions, most of
// which ended long ago. So most sweeps list what was created since the last one, and ask by id for actions
// that are known to be waiting.
type follow struct {
	listedAt time.Time // when the last listing began that was read to its end; zero if there was none
	wholeAt  time.Time // the same for listings of the whole look-back
	waiting  map[string]waiting
	missed   int  // actions of the listing under way that the ledger failed for
	refused  bool // the service does not list by id
	failures int  // listings that asked by id and failed, since one succeeded

	began time.Time // the listing under way
	whole bool
}

// waiting is an action that has not ended.
type waiting struct {
	createdAt time.Time
	askedAt   time.Time // the last time; zero if never
}

func newFollow() follow { return follow{waiting: map[string]waiting{}} }

// begin returns what to list now.
func (f *follow) begin(now time.Time, lookback time.Duration) investigation.Listing {
	f.began, f.missed = now, 0
	f.whole = f.refused || f.wholeAt.IsZero() || now.Sub(f.wholeAt) >= wholeEvery
	if f.whole {
		return investigation.NewListing(now.Add(-lookback))
	}
	return investigation.NewListing(f.listedAt.Add(-overlap)).Asking(f.ask(now))
}

// ask returns the waiting actions to ask for: young ones first, because they may become ready at any moment,
// then those that were not asked for the longest.
func (f *follow) ask(now time.Time) []string {
	ids := make([]string, 0, len(f.waiting))
	for id := range f.waiting {
		ids = append(ids, id)
	}
	old := func(id string) int {
		if now.Sub(f.waiting[id].createdAt) < YoungFor {
			return 0
		}
		return 1
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(old(a), old(b)), f.waiting[a].askedAt.Compare(f.waiting[b].askedAt), cmp.Compare(a, b))
	})
	ids = ids[:min(len(ids), investigation.AlsoMax)]
	for _, id := range ids {
		w := f.waiting[id]
		w.askedAt = now
		f.waiting[id] = w
	}
	return ids
}

// saw notes an action and the state that the ledger has it in.
func (f *follow) saw(a investigation.Action, state investigation.State) {
	w, known := f.waiting[a.ActionID]
	switch {
	case state != investigation.StateWaiting:
		delete(f.waiting, a.ActionID)
	case known || len(f.waiting) < waitingMax:
		w.createdAt = a.CreatedAt
		f.waiting[a.ActionID] = w
	}
}

// miss notes an action that the ledger failed for. The next listing asks for it, as if it were waiting.
func (f *follow) miss(a investigation.Action) {
	f.missed++
	f.saw(a, investigation.StateWaiting)
}

// end notes that the listing was read to its end. If the ledger failed for more actions than the next listing can
// ask for, that lists everything.
func (f *follow) end(lookback time.Duration) {
	f.listedAt = f.began
	if f.missed > investigation.AlsoMax {
		f.wholeAt = time.Time{}
		return
	}
	if !f.whole {
		f.failures = 0
		return
	}
	f.wholeAt = f.began
	for id, w := range f.waiting {
		if f.began.Sub(w.createdAt) > lookback {
			delete(f.waiting, id)
		}
	}
}

// fail notes that the listing failed. The next one is whole, because a service may fail at what it does not
// understand; if asking by id fails repeatedly, it is given up. fail reports whether that happened now.
func (f *follow) fail() (gaveUp bool) {
	if f.whole {
		return false
	}
	f.wholeAt = time.Time{}
	f.failures++
	f.refused = f.failures == askingFailuresMax
	return f.refused
}

// refuse notes that the service does not list by id: from now on, every listing is whole.
func (f *follow) refuse() { f.refused = true }
