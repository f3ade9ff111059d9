package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packhorse/internal/investigation"
)

// partsMax is S3's limit of parts in one upload.
const partsMax = 10_000

// upload stores a package that is larger than one part. first is its first part, full.
func (a *Archive) upload(ctx context.Context, key investigation.Key, action investigation.Action,
	c *content, source io.Reader, first []byte,
) (investigation.Receipt, error) {
	created, err := a.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket:            &a.bucket,
		Key:               aws.String(string(key)),
		ContentType:       aws.String(contentType),
		Metadata:          metadataOf(action),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
		ChecksumType:      types.ChecksumTypeFullObject,
	})
	if err != nil {
		a.buffers.put(first)
		return investigation.Receipt{}, a.explain("begin the upload", string(key), err)
	}
	u := a.begin(ctx, key, created.UploadId)
	err = u.stream(source, c, first)
	if err != nil {
		u.cancel(err)
	}
	err = u.wait()
	if err == nil {
		err = c.whole()
	}
	if err != nil {
		return investigation.Receipt{}, errors.Join(err, u.abort(ctx))
	}
	return u.complete(ctx, c)
}

// upload is one multipart upload under way. Parts are sent by goroutines of their own, as many as
// there are buffers.
type upload struct {
	archive *Archive
	key     investigation.Key
	id      *string

	ctx    context.Context // ends with the first part that fails
	cancel context.CancelCauseFunc
	sent   sync.WaitGroup
	mu     sync.Mutex // guards parts
	parts  []types.CompletedPart
}

func (a *Archive) begin(ctx context.Context, key investigation.Key, id *string) *upload {
	u := &upload{archive: a, key: key, id: id}
	u.ctx, u.cancel = context.WithCancelCause(ctx)
	return u
}

// stream sends the source part by part until it ends. It returns the source's error, or the reason
// the upload ended early.
func (u *upload) stream(source io.Reader, c *content, buffer []byte) error {
	n, ended := len(buffer), false
	for number := int32(1); ; number++ {
		if number > partsMax {
			u.archive.buffers.put(buffer)
			return fmt.Errorf("%w: more than %d parts", investigation.ErrNotAPackage, partsMax)
		}
		u.send(number, buffer, n)
		if ended {
			return nil
		}
		var err error
		buffer, err = u.archive.buffers.get(u.ctx)
		if err != nil {
			return err
		}
		n, ended, err = fill(buffer, source, c)
		if err != nil {
			u.archive.buffers.put(buffer)
			return fmt.Errorf("read the package: %w", err)
		}
		if n == 0 {
			u.archive.buffers.put(buffer)
			return nil
		}
	}
}

// send hands a part to a goroutine, which gives the buffer back.
func (u *upload) send(number int32, buffer []byte, n int) {
	u.sent.Go(func() {
		defer u.archive.buffers.put(buffer)
		out, err := u.archive.s3.UploadPart(u.ctx, &s3.UploadPartInput{
			Bucket:            &u.archive.bucket,
			Key:               aws.String(string(u.key)),
			UploadId:          u.id,
			PartNumber:        &number,
			Body:              newBody(buffer[:n]),
			ContentLength:     aws.Int64(int64(n)),
			ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
		})
		if err != nil {
			u.cancel(u.archive.explain(fmt.Sprintf("send part %d of", number), string(u.key), err))
			return
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.parts = append(u.parts, types.CompletedPart{
			PartNumber: &number, ETag: out.ETag, ChecksumCRC32C: out.ChecksumCRC32C,
		})
	})
}

// wait returns when no part is under way any more, with the reason the upload failed, or nil.
func (u *upload) wait() error {
	u.sent.Wait()
	return context.Cause(u.ctx)
}

// complete is the commit.
func (u *upload) complete(ctx context.Context, c *content) (investigation.Receipt, error) {
	u.cancel(context.Canceled)
	slices.SortFunc(u.parts, func(a, b types.CompletedPart) int {
		return cmp.Compare(*a.PartNumber, *b.PartNumber)
	})
	a := u.archive
	out, err := a.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket:          &a.bucket,
		Key:             aws.String(string(u.key)),
		UploadId:        u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
		ChecksumType:    types.ChecksumTypeFullObject,
		ChecksumCRC32C:  aws.String(c.crc32c()),
		MpuObjectSize:   aws.Int64(c.size),
		IfNoneMatch:     aws.String("*"),
	})
	if err == nil {
		return a.receipt(u.key, c, out.VersionId), nil
	}
	conflict := statusOf(err) == statusConflict
	err = a.explain("complete the upload of", string(u.key), err)
	if conflict {
		err = fmt.Errorf("%w: %w", investigation.ErrStartAgain, err)
	}
	receipt, err := a.already(ctx, u.key, c, err)
	return receipt, errors.Join(err, u.abort(ctx))
}

// abort takes the parts away, whatever became of the context. An upload that is gone already is
// aborted.
func (u *upload) abort(ctx context.Context) error {
	u.cancel(context.Canceled)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_, err := u.archive.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &u.archive.bucket, Key: aws.String(string(u.key)), UploadId: u.id,
	})
	if err != nil && statusOf(err) != statusNotFound {
		return u.archive.explain("abort the upload of", string(u.key), err)
	}
	return nil
}
