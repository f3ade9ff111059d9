package ratelimit_test

import (
	"fmt"
	"time"

	"packhorse/internal/ratelimit"
)

// A limiter decides on calls. All workers of a world share it. now is the time on the calling worker's
// clock.
type limiter interface {
	// lease allows a call, or says when to ask again; the zero time means "unknown".
	lease(now time.Time) (ticket, bool, time.Time)
	// sent, answered and failed report the progress of the call.
	sent(t ticket, now time.Time)
	answered(t ticket, now time.Time)
	failed(t ticket, now time.Time)
}

// ticket is an allowed call.
type ticket struct {
	owner  string
	slot   int
	sendBy time.Time // the zero time: the limiter does not say
}

// limiters returns every simulated limiter: ours, and those people would write instead.
func limiters() map[string]func() limiter {
	return map[string]func() limiter{
		ours: func() limiter { return &slots{} },

		// The textbook.
		"fixed window":                func() limiter { return &fixedWindows{limits: minute} },
		"fixed windows, minute+hour":  func() limiter { return &fixedWindows{limits: both} },
		"sliding log of sends":        func() limiter { return &slidingLog{} },
		"sliding log of sends + 1 s":  func() limiter { return &slidingLog{guard: time.Second} },
		"weighted windows":            func() limiter { return &weighted{} },
		"weighted windows, floored":   func() limiter { return &weighted{floor: true} },
		"token bucket of 2":           func() limiter { return &tokenBucket{} },
		"GCRA, 30 s, burst 1":         func() limiter { return &gcra{burst: 1} },
		"GCRA, 30 s, burst 2":         func() limiter { return &gcra{burst: 2} },
		"slots without the guard":     func() limiter { return &slots{noGuard: true} },
		"slots settled when sent":     func() limiter { return &slots{settleWhenSent: true} },
		"slots given back on failure": func() limiter { return &slots{refund: true} },
		"slots with an old clock":     func() limiter { return &slots{lateSends: true} },
	}
}

const ours = "slots"

// slots is the limiter of this package; each switch removes one thing that it depends on.
type slots struct {
	state                                      ratelimit.State
	leases                                     int
	noGuard, settleWhenSent, refund, lateSends bool
}

func (s *slots) lease(now time.Time) (ticket, bool, time.Time) {
	s.leases++
	owner := fmt.Sprint("call ", s.leases)
	next, d := s.state.Lease(packageURI, owner, now)
	s.state = next
	t := ticket{owner: owner, slot: d.Slot, sendBy: d.SendBy}
	if s.lateSends {
		t.sendBy = time.Time{}
	}
	return t, d.Allowed, d.RetryAt
}

func (s *slots) sent(t ticket, now time.Time) {
	if s.settleWhenSent {
		s.settle(t, now)
	}
}

func (s *slots) answered(t ticket, now time.Time) {
	if !s.settleWhenSent {
		s.settle(t, now)
	}
}

func (s *slots) failed(t ticket, now time.Time) {
	if s.refund && s.state.Slots[t.slot].Owner == t.owner {
		s.state.Slots[t.slot].FreeAt = now
	}
}

func (s *slots) settle(t ticket, now time.Time) {
	s.state = s.state.Settle(packageURI, t.owner, t.slot, now)
	if slot := &s.state.Slots[t.slot]; s.noGuard && slot.Owner == t.owner {
		slot.FreeAt = slot.FreeAt.Add(-ratelimit.Guard)
	}
}

// textbook is what most limiters have in common: they look at the clock once, when they allow a call, and
// ignore what happens to it.
type textbook struct{}

func (textbook) sent(ticket, time.Time)     {}
func (textbook) answered(ticket, time.Time) {}
func (textbook) failed(ticket, time.Time)   {}

// limit is a number of calls per window.
type limit struct {
	window time.Duration
	calls  int
}

var (
	minute = []limit{{time.Minute, 2}}
	both   = []limit{{time.Minute, 2}, {time.Hour, 120}}
)

// fixedWindows counts in windows that start on the minute and on the hour.
type fixedWindows struct {
	textbook
	limits []limit
	counts map[time.Time]map[time.Duration]int
}

func (f *fixedWindows) lease(now time.Time) (ticket, bool, time.Time) {
	if f.counts == nil {
		f.counts = map[time.Time]map[time.Duration]int{}
	}
	for _, l := range f.limits {
		if begin := now.Truncate(l.window); f.counts[begin][l.window] >= l.calls {
			return ticket{}, false, begin.Add(l.window)
		}
	}
	for _, l := range f.limits {
		begin := now.Truncate(l.window)
		if f.counts[begin] == nil {
			f.counts[begin] = map[time.Duration]int{}
		}
		f.counts[begin][l.window]++
	}
	return ticket{}, true, time.Time{}
}

// slidingLog keeps when the last calls were allowed.
type slidingLog struct {
	textbook
	guard time.Duration
	log   [2]time.Time // the older one first
}

func (s *slidingLog) lease(now time.Time) (ticket, bool, time.Time) {
	if free := s.log[0].Add(time.Minute + s.guard); free.After(now) {
		return ticket{}, false, free
	}
	s.log = [2]time.Time{s.log[1], now}
	return ticket{}, true, time.Time{}
}

// weighted estimates a sliding window from the counts of two fixed ones.
type weighted struct {
	textbook
	floor             bool
	begin             time.Time
	previous, current float64
}

func (w *weighted) lease(now time.Time) (ticket, bool, time.Time) {
	if begin := now.Truncate(time.Minute); begin.After(w.begin) {
		if begin.Sub(w.begin) > time.Minute {
			w.current = 0
		}
		w.previous, w.current, w.begin = w.current, 0, begin
	}
	carried := w.previous * (1 - now.Sub(w.begin).Minutes())
	if w.floor {
		carried = float64(int(carried))
	}
	if carried+w.current+1 > 2 {
		return ticket{}, false, time.Time{}
	}
	w.current++
	return ticket{}, true, time.Time{}
}

// tokenBucket holds two tokens and gets two a minute.
type tokenBucket struct {
	textbook
	tokens float64
	at     time.Time
}

func (b *tokenBucket) lease(now time.Time) (ticket, bool, time.Time) {
	switch {
	case b.at.IsZero():
		b.tokens, b.at = 2, now
	case now.After(b.at):
		b.tokens, b.at = min(2, b.tokens+2*now.Sub(b.at).Minutes()), now
	}
	if b.tokens < 1 {
		return ticket{}, false, b.at.Add(time.Duration((1 - b.tokens) / 2 * float64(time.Minute)))
	}
	b.tokens--
	return ticket{}, true, time.Time{}
}

// gcra keeps the theoretical arrival time of the next call, one every 30 s.
type gcra struct {
	textbook
	burst int
	tat   time.Time
}

func (g *gcra) lease(now time.Time) (ticket, bool, time.Time) {
	const interval = 30 * time.Second
	if free := g.tat.Add(-time.Duration(g.burst-1) * interval); free.After(now) {
		return ticket{}, false, free
	}
	if g.tat.Before(now) {
		g.tat = now
	}
	g.tat = g.tat.Add(interval)
	return ticket{}, true, time.Time{}
}
