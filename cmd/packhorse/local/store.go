package local

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/internal/archive"
	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
)

// store is an open archive and the space left for it.
type store struct {
	archive *archive.Archive
	bucket  string
	space   fetch.Space
	close   func() error
}

// openStore opens the user's bucket or the embedded one. The preflight later checks that it is usable.
func openStore(ctx context.Context, o Options, lock investigation.Lock, logger *slog.Logger) (store, error) {
	s, client, err := connect(ctx, o)
	if err != nil {
		return store{}, err
	}
	s.archive = archive.New(client, s.bucket, lock, archive.PartSize, archive.PartsInFlight, time.Now, logger)
	return s, nil
}

// connect returns a store that still lacks its archive, and the client to build that with.
func connect(ctx context.Context, o Options) (store, *s3.Client, error) {
	if o.Bucket != "" {
		client, err := evidence.S3(ctx, o.Endpoint)
		s := store{bucket: o.Bucket, space: fetch.Unlimited{}, close: func() error { return nil }}
		return s, client, err
	}
	err := datafolder.CheckAttributes(o.Data)
	if err != nil {
		return store{}, nil, err
	}
	dir := filepath.Join(o.Data, datafolder.S3)
	server, err := embedded.StartS3(ctx, embedded.S3Config{
		Dir: dir, Bucket: datafolder.Bucket, ObjectLock: true,
	})
	if err != nil {
		return store{}, nil, err
	}
	s := store{
		bucket: datafolder.Bucket, space: embedded.NewSpace(dir, embedded.FreeBytes, time.Now),
		close: server.Close,
	}
	return s, server.Client(), nil
}
