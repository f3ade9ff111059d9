package ratelimit_test

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/internal/mde/mdesim"
	"packhorse/internal/racing"
	"packhorse/internal/ratelimit"
)

const (
	// seedsDefault is how many worlds are tried; PACKHORSE_SEEDS overrides it.
	seedsDefault = 500
	// seedsRaced is how many the race detector watches.
	seedsRaced = 40
	// mutantSeeds is how many worlds are enough to catch a broken limiter.
	mutantSeeds = 100
	// length is how long a world lasts.
	length  = 3 * time.Hour
	workers = 4
	// skew is how far a worker's clock is off, either way.
	skew = 100 * time.Millisecond
)

// The property this package exists for: no matter what happens to the workers, the server never counts
// more calls in any window than it allows; and the workers use nearly all that it allows. Every other
// limiter we know breaks it.
func TestLimiters(t *testing.T) {
	seeds := racing.Size(seedsDefault, seedsRaced)
	if text := os.Getenv("PACKHORSE_SEEDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("PACKHORSE_SEEDS=%q: want a number of seeds, such as 20000", text)
		}
		seeds = n
	}
	var mu sync.Mutex
	var table []string
	t.Run("limiters", func(t *testing.T) {
		for name, newLimiter := range limiters() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				n := seeds
				if name != ours {
					n = min(n, mutantSeeds)
				}
				row := try(newLimiter, n)
				mu.Lock()
				table = append(table, fmt.Sprintf("| %-27s %s", name, row))
				mu.Unlock()
				switch {
				case name != ours && row.broken == 0:
					t.Errorf("not caught in %d seeds", n)
				case name == ours && row.broken > 0:
					t.Errorf("broke the limit in %d of %d seeds, first with seed %d: %s",
						row.broken, n, row.firstBroken, row)
				case name == ours && row.worstUse < 0.98:
					t.Errorf("used %.2f %% of the budget in an undisturbed world", 100*row.worstUse)
				}
			})
		}
	})
	slices.Sort(table)
	t.Logf("%d seeds, %d for each mutant\n| limiter | most in 60 s | on the minute | in an hour |"+
		" worlds broken | used, undisturbed |\n%s", seeds, mutantSeeds, strings.Join(table, "\n"))
}

// outcome is the result of many worlds with one limiter.
type outcome struct {
	seeds, broken, firstBroken         int
	mostSliding, mostAligned, mostHour int
	worstUse                           float64 // among the undisturbed worlds; 1 is the whole budget
}

func (o outcome) String() string {
	return fmt.Sprintf("| %d | %d | %d | %d/%d | %.1f %% |",
		o.mostSliding, o.mostAligned, o.mostHour, o.broken, o.seeds, 100*o.worstUse)
}

// try runs worlds with the seeds 0 to n-1. Every fourth is undisturbed.
func try(newLimiter func() limiter, n int) outcome {
	o := outcome{seeds: n, worstUse: math.Inf(1)}
	for seed := range n {
		calm := seed%4 == 0
		calls := newWorld(newLimiter(), uint64(seed), calm).run()
		sliding := mdesim.MostIn(calls, time.Minute)
		aligned := mdesim.MostInAligned(calls, time.Minute)
		hour := mdesim.MostIn(calls, time.Hour)
		if sliding > 2 || aligned > 2 || hour > 120 {
			if o.broken == 0 {
				o.firstBroken = seed
			}
			o.broken++
		}
		o.mostSliding = max(o.mostSliding, sliding)
		o.mostAligned = max(o.mostAligned, aligned)
		o.mostHour = max(o.mostHour, hour)
		if calm {
			o.worstUse = min(o.worstUse, float64(len(calls))/(2*length.Minutes()))
		}
	}
	return o
}

// world is a discrete-event simulation of workers that call one server through one limiter. Time passes
// only from event to event.
type world struct {
	limiter limiter
	random  *rand.Rand
	calm    bool // nothing goes wrong and nothing is slow
	now     time.Time
	events  events
	calls   []time.Time // when the server counted each call
}

func newWorld(l limiter, seed uint64, calm bool) *world {
	return &world{limiter: l, random: rand.New(rand.NewPCG(seed, 1)), calm: calm, now: start}
}

// run runs the workers and returns when the server counted each call.
func (w *world) run() []time.Time {
	for range workers {
		clock := time.Duration((2*w.random.Float64() - 1) * float64(skew))
		w.after(w.between(0, time.Second), func() { w.ask(clock) })
	}
	for len(w.events) > 0 {
		e := heap.Pop(&w.events).(event)
		if e.at.After(start.Add(length)) {
			break
		}
		w.now = e.at
		e.do()
	}
	return w.calls
}

// ask plays one call of a worker, up to its next lease. clock is how far the worker's clock is off.
func (w *world) ask(clock time.Duration) {
	asked := w.now.Add(clock)
	w.after(w.storeDelay(), func() {
		ticket, allowed, retryAt := w.limiter.lease(asked)
		w.after(w.storeDelay()+w.pause(), func() {
			if !allowed {
				w.after(w.patience(retryAt.Add(-clock)), func() { w.ask(clock) })
				return
			}
			w.send(ticket, clock)
		})
	})
}

// send sends the request, unless it is too late by the worker's clock, or the worker dies.
func (w *world) send(t ticket, clock time.Duration) {
	again := func() { w.ask(clock) }
	if w.chance(0.005) { // the worker dies before it sends
		w.after(w.between(time.Second, 20*time.Second), again)
		return
	}
	left := ratelimit.MaxCall
	if !t.sendBy.IsZero() {
		left = t.sendBy.Sub(w.now.Add(clock))
		if left <= 0 {
			w.limiter.failed(t, w.now.Add(clock))
			again()
			return
		}
	}
	w.limiter.sent(t, w.now.Add(clock))
	latency := w.latency()
	counted := w.now.Add(time.Duration(w.random.Float64() * float64(min(latency, left))))
	w.after(counted.Sub(w.now), func() { w.calls = append(w.calls, w.now) })
	switch {
	case w.chance(0.01): // the worker dies while it waits for the answer
		w.after(w.between(time.Second, 20*time.Second), again)
	case latency > left || w.chance(0.01): // no answer: the deadline passed, or the connection broke
		w.after(min(latency, left), func() {
			w.limiter.failed(t, w.now.Add(clock))
			again()
		})
	default:
		w.after(latency, func() {
			answered := w.now.Add(clock)
			w.after(w.storeDelay(), func() { w.limiter.answered(t, answered) })
			again()
		})
	}
}

// patience returns how long a worker waits after a denial.
func (w *world) patience(retryAt time.Time) time.Duration {
	if retryAt.Year() < start.Year() { // the limiter did not say
		return w.between(time.Second, 4*time.Second)
	}
	return max(0, retryAt.Sub(w.now)) + w.between(time.Millisecond, 30*time.Millisecond)
}

// latency returns how long the server takes to answer.
func (w *world) latency() time.Duration {
	switch {
	case w.chance(0.03):
		return w.between(3*time.Second, 40*time.Second)
	case w.chance(0.1):
		return w.between(400*time.Millisecond, 3*time.Second)
	default:
		return w.between(80*time.Millisecond, 400*time.Millisecond)
	}
}

// storeDelay returns the delay to the counter's store, or back.
func (w *world) storeDelay() time.Duration {
	if w.chance(0.01) {
		return w.between(50*time.Millisecond, 3*time.Second)
	}
	return w.between(time.Millisecond, 8*time.Millisecond)
}

// pause returns how long the worker is frozen between two steps.
func (w *world) pause() time.Duration {
	if w.chance(0.005) {
		return w.between(time.Second, 2*time.Minute)
	}
	return 0
}

// chance returns true with the given probability, but never in a calm world.
func (w *world) chance(probability float64) bool {
	return !w.calm && w.random.Float64() < probability
}

func (w *world) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.random.Int64N(int64(most-least)))
}

func (w *world) after(d time.Duration, do func()) {
	heap.Push(&w.events, event{w.now.Add(d), do})
}

// event is something that happens at an instant.
type event struct {
	at time.Time
	do func()
}

// events is a heap, with the next event first.
type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }

func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
