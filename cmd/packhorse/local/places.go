package local

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/cmd/packhorse/local/pipeline"
	"packhorse/internal/archive"
	"packhorse/internal/custody"
	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/settings"
)

// places are the archives of a run: one for each bucket and lock that tenants ask for.
type places struct {
	client   *s3.Client
	bucket   string // of the tenants that do not name one
	embedded bool   // there is no other bucket
	space    fetch.Space
	close    func() error
	logger   *slog.Logger

	mu   sync.Mutex // guards open
	open map[placeKey]*place
}

type placeKey struct {
	bucket string
	lock   investigation.Lock
	own    bool
}

// place is an archive.
type place struct {
	archive *archive.Archive
	custody *custody.Writer

	mu    sync.Mutex // guards ready; held during the preflight
	ready bool       // a preflight made sure that it can be used
}

// openPlaces connects to the user's bucket or starts the embedded server.
func openPlaces(ctx context.Context, o Options, logger *slog.Logger) (*places, error) {
	p := &places{bucket: o.Bucket, space: fetch.Unlimited{}, logger: logger, open: map[placeKey]*place{}}
	p.close = func() error { return nil }
	if o.Bucket != "" {
		var err error
		p.client, err = evidence.S3(ctx, o.Endpoint)
		return p, err
	}
	err := datafolder.CheckAttributes(o.Data)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(o.Data, datafolder.S3)
	server, err := embedded.StartS3(ctx, embedded.S3Config{
		Dir: dir, Bucket: datafolder.Bucket, ObjectLock: true,
	})
	if err != nil {
		return nil, err
	}
	p.bucket, p.embedded, p.client, p.close = datafolder.Bucket, true, server.Client(), server.Close
	p.space = embedded.NewSpace(dir, embedded.FreeBytes, time.Now)
	return p, nil
}

// of returns the place of a tenant's packages, after a preflight. The tenant of the environment has an archive of its
// own, with the memory that one tenant needs.
func (p *places) of(ctx context.Context, s settings.Settings, own bool, signer *custody.Local,
	provenance func(context.Context) (manifest.Provenance, error),
) (*place, error) {
	key := placeKey{bucket: p.bucket, lock: s.Lock(), own: own}
	parts := archive.PartsInFlight
	if !own {
		parts = pipeline.FetchesMax
		if s.ArchiveBucket != "" {
			key.bucket = s.ArchiveBucket
		}
	}
	if p.embedded && key.bucket != p.bucket {
		return nil, fmt.Errorf("the tenant's packages belong in the bucket %q, which the data directory does not have: "+
			"run with --bucket, or add the tenant again with --replace and without --bucket", key.bucket)
	}
	one := p.at(key, parts, signer, provenance)
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.ready {
		return one, nil
	}
	err := fetch.NewPreflight(one.archive, one.custody).Run(ctx)
	one.ready = err == nil
	return one, err
}

// at returns the place with a key.
func (p *places) at(key placeKey, parts int, signer *custody.Local,
	provenance func(context.Context) (manifest.Provenance, error),
) *place {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.open[key]
	if one == nil {
		one = &place{
			archive: archive.New(p.client, key.bucket, key.lock, archive.PartSize, parts, time.Now, p.logger),
			custody: custody.NewWriter(signer, key.bucket, key.lock, provenance, time.Now),
		}
		p.open[key] = one
	}
	return one
}
