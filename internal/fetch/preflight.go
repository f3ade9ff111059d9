package fetch

import (
	"context"
	"sync"

	"packhorse/internal/investigation"
)

// Bucket is what a [Preflight] needs of the archive.
type Bucket interface {
	// Ready returns nil if the bucket can be used, and accepts objects with the configured lock.
	Ready(ctx context.Context) error

	// StoreManifest is the method of [Archive]. It also stores published keys.
	StoreManifest(ctx context.Context, key string, manifest []byte) (investigation.Placed, error)
}

// Publisher publishes the public half of the signing key.
type Publisher interface {
	// Publish passes the public key to put. It may be repeated: put does not replace a stored key.
	Publish(ctx context.Context,
		put func(ctx context.Context, key string, pem []byte) (investigation.Placed, error)) error
}

// Preflight makes sure that a tenant's evidence can be stored and checked later: the bucket accepts objects, and
// contains the public key. Run it before every fetch, so that an unusable bucket or key does not cost a call
// of the budget. It is safe for concurrent use.
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

// Run checks the bucket every time. It publishes the key until that first succeeds, and not again. A nil Preflight
// checks nothing.
func (p *Preflight) Run(ctx context.Context) error {
	if p == nil {
		return nil
	}
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
