package process

import (
	"context"
	"sync"

	"packhorse/internal/investigation"
)

// bus is the in-process twin of the event bus: Ready events go to the workers, outcomes to the
// reporter. It loses nothing while the process lives, and what a dead process lost the poller
// dispatches again.
type bus struct {
	reporter Reporter
	ready    chan investigation.ID

	mu     sync.Mutex // guards queued
	queued map[investigation.ID]bool
}

// queueMax bounds the Ready events that wait for a worker. The poller hands over no more than the
// budget frees, so that only hours of stalled workers fill it.
const queueMax = 128

func newBus(reporter Reporter) *bus {
	return &bus{
		reporter: reporter,
		ready:    make(chan investigation.ID, queueMax),
		queued:   map[investigation.ID]bool{},
	}
}

// Ready queues the actions. One that waits in the queue already, or finds it full, is not taken
// twice: the poller offers it again.
func (b *bus) Ready(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var taken []investigation.ID
	for _, id := range ids {
		if b.queued[id] {
			continue
		}
		select {
		case b.ready <- id:
			b.queued[id] = true
			taken = append(taken, id)
		default:
		}
	}
	return taken, nil
}

// started takes the action out of the queue's memory.
func (b *bus) started(id investigation.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.queued, id)
}

// Announce reports every outcome.
func (b *bus) Announce(_ context.Context, records []investigation.Record) (
	[]investigation.ID, error,
) {
	ids := make([]investigation.ID, len(records))
	for i, rec := range records {
		b.reporter.Settled(rec)
		ids[i] = rec.ID
	}
	return ids, nil
}
