package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packhorse/internal/archive"
	"packhorse/internal/event"
	"packhorse/internal/investigation"
	"packhorse/internal/memory"
)

// s3Port is one process's access to the bucket. Writes that commit something are rows of the
// tables.
type s3Port struct {
	*memory.Bucket
	p *proc
}

// rowOf returns the step that stores something under a key.
func rowOf(key string) string {
	switch {
	case strings.HasSuffix(key, ".sig"):
		return "signature"
	case strings.HasSuffix(key, ".json"):
		return "manifest"
	case strings.HasPrefix(key, investigation.QuarantineFolder):
		return "quarantine"
	default:
		return "complete"
	}
}

func (s s3Port) ListObjectVersions(ctx context.Context, in *s3.ListObjectVersionsInput,
	options ...func(*s3.Options),
) (out *s3.ListObjectVersionsOutput, err error) {
	err = s.p.do("look", func() error {
		out, err = s.Bucket.ListObjectVersions(ctx, in, options...)
		return err
	})
	return out, err
}

func (s s3Port) PutObject(ctx context.Context, in *s3.PutObjectInput, options ...func(*s3.Options)) (
	out *s3.PutObjectOutput, err error,
) {
	err = s.p.doTo(rowOf(*in.Key), *in.Key, func() error {
		out, err = s.Bucket.PutObject(ctx, in, options...)
		return err
	})
	return out, err
}

func (s s3Port) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput,
	options ...func(*s3.Options),
) (out *s3.CompleteMultipartUploadOutput, err error) {
	err = s.p.doTo(rowOf(*in.Key), *in.Key, func() error {
		out, err = s.Bucket.CompleteMultipartUpload(ctx, in, options...)
		return err
	})
	return out, err
}

// archive returns one process's archive. Its parts are small because the packages are.
func (w *world) archive(p *proc) *archive.Archive {
	return archive.New(s3Port{w.bucket, p}, "evidence", investigation.Lock{}, 64<<10, 2, now, w.logger())
}

// busPort is one process's access to the bus.
type busPort struct{ p *proc }

func (b busPort) Ready(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	return b.hand("put Ready", event.TypeReady, ids)
}

func (b busPort) Settled(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	return b.hand("put Settled", event.TypeDecided, ids)
}

func (b busPort) hand(row, detailType string, ids []investigation.ID) ([]investigation.ID, error) {
	err := b.p.do(row, func() error {
		for _, id := range ids {
			b.p.w.event(detailType, event.NewWork(id))
			b.p.w.deliver(detailType, id)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

func (b busPort) Announce(_ context.Context, records []investigation.Record) (
	[]investigation.ID, error,
) {
	var taken []investigation.ID
	time.Sleep(announceLatency)
	for _, rec := range records {
		row := "put Archived"
		if rec.Reason != "" {
			row = "put Not Collected"
		}
		detailType, detail := event.Of(rec)
		err := b.p.do(row, func() error {
			if _, ok := b.p.w.signatureOf(rec.ManifestKey); !ok {
				return fmt.Errorf("announced before it was signed: %s", rec.ManifestKey)
			}
			b.p.w.event(detailType, detail)
			b.p.w.announced(rec.ID)
			return nil
		})
		if err != nil {
			return taken, err
		}
		taken = append(taken, rec.ID)
	}
	return taken, nil
}

func (w *world) event(detailType string, detail any) {
	text, err := json.Marshal(detail)
	if err != nil {
		panic(err)
	}
	err = w.schemas.Check(detailType, text)
	if err != nil {
		w.t.Error(err)
	}
	w.write(string(text))
}
