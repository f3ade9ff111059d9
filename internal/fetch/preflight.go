package fetch

import (
	"context"
	"sync"

	"github.com/aws/aws-lambda-go/events"

	"packhorse/internal/investigation"
)

// Bucket is what a [Preflight] needs of the archive.
type Bucket interface {
	// Ready reports whether the bucket can be used, and takes objects with the lock they are to have.
	Ready(ctx context.Context) error

	// StoreManifest is that of [Archive]. Keys are published through it.
	StoreManifest(ctx context.Context, key string, manifest []byte) (investigation.Placed, error)
}

// Publisher publishes the key that signs.
type Publisher interface {
	// Publish hands the public key to put. It MAY be repeated: put leaves alone what is there already.
	Publish(ctx context.Context,
		put func(ctx context.Context, key string, pem []byte) (investigation.Placed, error)) error
}

// Preflight makes sure that evidence can be stored and checked later: the bucket takes objects, and the
// public key lies in it. Run it before every fetch, so that a bucket or a key that cannot be used costs no
// call of the budget. It is safe for concurrent use.
type Preflight struct {
	bucket Bucket
	keys   Publisher

	mu        sync.Mutex // guards published
	published bool
}

// NewPreflight returns a Preflight that has not published the key yet.
func NewPreflight(bucket Bucket, keys Publisher) *Preflight {
	return &Preflight{bucket: bucket, keys: keys}
}

// Run asks the bucket each time whether it is ready, and publishes the key until that first succeeds;
// later runs publish nothing.
func (p *Preflight) Run(ctx context.Context) error {
	err := p.bucket.Ready(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.published {
		return nil
	}
	err = p.keys.Publish(ctx, p.bucket.StoreManifest)
	p.published = err == nil
	return err
}

// Handle carries out one event of the bus, as [Handler.Handle] does.
type Handle func(ctx context.Context, event events.EventBridgeEvent) (Answer, error)

// Before returns a Handle that runs the preflight first, and calls next only if that
// succeeds. A failure leaves the action as it was: the poller hands it over again.
func (p *Preflight) Before(next Handle) Handle {
	return func(ctx context.Context, event events.EventBridgeEvent) (Answer, error) {
		err := p.Run(ctx)
		if err != nil {
			return Answer{}, err
		}
		return next(ctx, event)
	}
}
