package pipeline

import (
	"context"
	"sync"

	"packhorse/internal/investigation"
)

// bus is the in-process twin of the event bus: Ready and Settled events go to the workers, outcomes to the
// reporter. It loses no events while the process lives; after a crash the poller hands them over again.
type bus struct {
	reporter Reporter
	work     chan job

	mu     sync.Mutex // guards queued
	queued map[job]bool
}

// job is an event for a worker.
type job struct {
	id       investigation.ID
	conclude bool // conclude the action, do not fetch its package
}

// queueMax bounds the events that wait for a worker. The poller never hands over more at once than the budget
// allows and the workers can conclude, so the queue fills only if the workers stall for hours.
const queueMax = 128

func newBus(reporter Reporter) *bus {
	return &bus{
		reporter: reporter,
		work:     make(chan job, queueMax),
		queued:   map[job]bool{},
	}
}

// Ready queues actions for fetching. It does not take an action that is already queued, or any action while
// the queue is full: the poller offers them again.
func (b *bus) Ready(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	return b.queue(ids, false), nil
}

// Settled queues actions for concluding, in the same way.
func (b *bus) Settled(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	return b.queue(ids, true), nil
}

func (b *bus) queue(ids []investigation.ID, conclude bool) (taken []investigation.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		j := job{id: id, conclude: conclude}
		if b.queued[j] {
			continue
		}
		select {
		case b.work <- j:
			b.queued[j] = true
			taken = append(taken, id)
		default:
		}
	}
	return taken
}

// started marks the job as no longer queued.
func (b *bus) started(j job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.queued, j)
}

// Announce passes every outcome to the reporter.
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
