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
)

// openArchive opens the user's bucket or the embedded one, and makes sure that it can be used before any
// budget is spent.
func (r *Runtime) openArchive(ctx context.Context, logger *slog.Logger) error {
	client, bucket, err := r.s3Client(ctx)
	if err != nil {
		return err
	}
	r.bucket = bucket
	r.archive = archive.New(client, bucket, r.settings.Lock(), archive.PartSize, archive.PartsInFlight,
		time.Now, logger)
	return r.archive.Ready(ctx)
}

func (r *Runtime) s3Client(ctx context.Context) (*s3.Client, string, error) {
	if r.options.Bucket == "" {
		err := datafolder.CheckAttributes(r.options.Data)
		if err != nil {
			return nil, "", err
		}
		server, err := embedded.StartS3(ctx, embedded.S3Config{
			Dir: filepath.Join(r.options.Data, datafolder.S3), Bucket: datafolder.Bucket,
			ObjectLock: true,
		})
		if err != nil {
			return nil, "", err
		}
		r.onClose(server.Close)
		r.space = embedded.NewSpace(filepath.Join(r.options.Data, datafolder.S3), embedded.FreeBytes, time.Now)
		return server.Client(), datafolder.Bucket, nil
	}
	r.space = fetch.Unlimited{}
	client, err := evidence.S3(ctx, r.options.Endpoint)
	return client, r.options.Bucket, err
}
