package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packhorse/internal/investigation"
)

// partsMax is S3's limit of parts in one upload.
const partsMax = 10_000

// upload stores bytes that exceed one part. first is their first part, full.
func (a *Archive) upload(ctx context.Context, c *content, whole, quarantined object,
	source io.Reader, first []byte,
) (investigation.Stored, error) {
	objects := []object{whole}
	if quarantined.key != "" {
		objects = append(objects, quarantined)
	}
	t, err := a.begin(ctx, objects)
	if err != nil {
		a.buffers.put(first)
		return investigation.Stored{}, err
	}
	err = t.stream(source, c, first)
	if err != nil {
		t.cancel(err)
	}
	stored, err := t.commit(ctx, c, whole, quarantined)
	aborted := t.abort(ctx)
	if err == nil && aborted != nil {
		// The package is safe, and the bucket's lifecycle rule removes the leftover upload.
		a.logger.WarnContext(ctx, "could not abort an unfinished upload", slog.Any("error", aborted))
		return stored, nil
	}
	return stored, errors.Join(err, aborted)
}

// commit completes one of the uploads after all parts are sent.
func (t *transfer) commit(ctx context.Context, c *content, whole, quarantined object) (
	investigation.Stored, error,
) {
	err := t.wait()
	if err != nil {
		return investigation.Stored{}, err
	}
	arrived, err := classify(c, whole, quarantined)
	if err != nil {
		return investigation.Stored{}, err
	}
	stored, err := t.complete(ctx, arrived.object, c)
	return arrived.result(stored, err)
}

// transfer streams one source to one or more uploads. Goroutines send the parts, as many at once as
// there are buffers.
type transfer struct {
	archive *Archive
	uploads []*upload

	ctx    context.Context // ends with the first part that fails
	cancel context.CancelCauseFunc
	sent   sync.WaitGroup
}

// upload is one multipart upload.
type upload struct {
	key  string
	id   *string
	done bool // it was completed

	mu    sync.Mutex // guards parts
	parts []types.CompletedPart
}

// begin begins an upload of each object, or of none.
func (a *Archive) begin(ctx context.Context, objects []object) (*transfer, error) {
	t := &transfer{archive: a}
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	for _, o := range objects {
		created, err := a.s3.CreateMultipartUpload(ctx, a.createInput(o))
		if err != nil {
			return nil, errors.Join(a.explainPut("begin the upload", o, err), t.abort(ctx))
		}
		t.uploads = append(t.uploads, &upload{key: o.key, id: created.UploadId})
	}
	return t, nil
}

// stream sends the source part by part until it ends. It returns the source's error, or the reason
// the transfer ended early.
func (t *transfer) stream(source io.Reader, c *content, buffer []byte) error {
	n, ended := len(buffer), false
	for number := int32(1); ; number++ {
		if number > partsMax {
			t.archive.buffers.put(buffer)
			return fmt.Errorf("%w: more than %d parts", investigation.ErrNotAPackage, partsMax)
		}
		t.send(number, buffer, n)
		if ended {
			return nil
		}
		var err error
		buffer, err = t.archive.buffers.get(t.ctx)
		if err != nil {
			return err
		}
		n, ended, err = fill(buffer, source, c)
		if err != nil {
			t.archive.buffers.put(buffer)
			return fmt.Errorf("read the package: %w", err)
		}
		if n == 0 {
			t.archive.buffers.put(buffer)
			return nil
		}
	}
}

// send hands a part to one goroutine for each upload; the last one returns the buffer.
func (t *transfer) send(number int32, buffer []byte, n int) {
	t.sent.Go(func() {
		defer t.archive.buffers.put(buffer)
		var all sync.WaitGroup
		defer all.Wait()
		for _, u := range t.uploads[1:] {
			all.Go(func() { t.sendTo(u, number, buffer[:n]) })
		}
		t.sendTo(t.uploads[0], number, buffer[:n])
	})
}

func (t *transfer) sendTo(u *upload, number int32, body []byte) {
	out, err := t.archive.s3.UploadPart(t.ctx, &s3.UploadPartInput{
		Bucket:            &t.archive.bucket,
		Key:               &u.key,
		UploadId:          u.id,
		PartNumber:        &number,
		Body:              newBody(body),
		ContentLength:     aws.Int64(int64(len(body))),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
	})
	if err != nil {
		t.cancel(t.archive.explain(fmt.Sprintf("send part %d of", number), u.key, err))
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.parts = append(u.parts, types.CompletedPart{
		PartNumber: &number, ETag: out.ETag, ChecksumCRC32C: out.ChecksumCRC32C,
	})
}

// wait waits for all parts under way, and returns the reason the transfer failed, or nil.
func (t *transfer) wait() error {
	t.sent.Wait()
	return context.Cause(t.ctx)
}

// complete commits o.
func (t *transfer) complete(ctx context.Context, o object, c *content) (
	investigation.Stored, error,
) {
	a, u := t.archive, t.uploads[slices.IndexFunc(t.uploads, func(u *upload) bool {
		return u.key == o.key
	})]
	slices.SortFunc(u.parts, func(a, b types.CompletedPart) int {
		return cmp.Compare(*a.PartNumber, *b.PartNumber)
	})
	out, err := a.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket:          &a.bucket,
		Key:             &u.key,
		UploadId:        u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
		ChecksumType:    types.ChecksumTypeFullObject,
		ChecksumCRC32C:  aws.String(c.CRC32C()),
		MpuObjectSize:   aws.Int64(c.Size()),
		IfNoneMatch:     aws.String("*"),
	})
	if err == nil {
		u.done = true
		return a.stored(o, c, out.VersionId), nil
	}
	conflict := statusOf(err) == statusConflict
	err = a.explain("complete the upload of", u.key, err)
	if conflict {
		err = fmt.Errorf("%w: %w", investigation.ErrStartAgain, err)
	}
	return a.already(ctx, o, c, err)
}

// abort removes the parts of every upload that was not completed, even if the context ended. It
// accepts an upload that is already gone.
func (t *transfer) abort(ctx context.Context) error {
	t.cancel(context.Canceled)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	var failures error
	for _, u := range t.uploads {
		if u.done {
			continue
		}
		_, err := t.archive.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
			Bucket: &t.archive.bucket, Key: &u.key, UploadId: u.id,
		})
		if err != nil && statusOf(err) != statusNotFound {
			failures = errors.Join(failures, t.archive.explain("abort the upload of", u.key, err))
		}
	}
	return failures
}
