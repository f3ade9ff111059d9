package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packhorse/internal/investigation"
)

// Store streams the package under key. The order of its effects:
//
//  1. fill the first buffer; a package that fits is put at once (4)
//  2. begin an upload, and send each part as soon as it is full
//  3. at the end of the stream: is it whole, and a ZIP? if not, abort
//  4. COMMIT, on the condition that there is no object under the key
//
// It reads pkg.Body to its end and does not close it. An object that is there already is never
// replaced: if it has the same size and checksum its receipt is returned, else a *[ConflictError].
//
// Errors of pkg.Body are wrapped as they are. An error that wraps investigation.ErrNotAPackage: the
// bytes came to their end and are no ZIP, or more than were declared. io.ErrUnexpectedEOF: fewer
// than were declared. investigation.ErrStartAgain: send the same bytes again. After every error
// nothing of this call is left in the bucket, unless the error says that the abort failed.
func (a *Archive) Store(ctx context.Context, key investigation.Key, action investigation.Action,
	pkg investigation.Package,
) (investigation.Receipt, error) {
	c := newContent(pkg.Size)
	buffer, err := a.buffers.get(ctx)
	if err != nil {
		return investigation.Receipt{}, fmt.Errorf("wait for a part buffer: %w", err)
	}
	n, ended, err := fill(buffer, pkg.Body, c)
	if err != nil {
		a.buffers.put(buffer)
		return investigation.Receipt{}, fmt.Errorf("read the package: %w", err)
	}
	if ended {
		defer a.buffers.put(buffer)
		return a.put(ctx, key, action, c, buffer[:n])
	}
	return a.upload(ctx, key, action, c, pkg.Body, buffer)
}

// fill reads until the buffer is full or the source has ended, and passes what it read to c.
// io.ReadFull would not do: it cannot tell a source that ended from one that was cut off, because
// it calls both io.ErrUnexpectedEOF.
func fill(buffer []byte, source io.Reader, c *content) (n int, ended bool, err error) {
	for n < len(buffer) && err == nil {
		var read int
		read, err = source.Read(buffer[n:])
		n += read
	}
	_, _ = c.Write(buffer[:n]) // a hash does not fail
	if errors.Is(err, io.EOF) {
		return n, true, nil
	}
	return n, false, err
}

// put stores a package that is whole in memory.
func (a *Archive) put(ctx context.Context, key investigation.Key, action investigation.Action,
	c *content, body []byte,
) (investigation.Receipt, error) {
	err := c.whole()
	if err != nil {
		return investigation.Receipt{}, err
	}
	metadata := metadataOf(action)
	metadata[metaSHA256] = c.sha256()
	for puts := 1; ; puts++ {
		out, err := a.s3.PutObject(ctx, &s3.PutObjectInput{
			Bucket:         &a.bucket,
			Key:            aws.String(string(key)),
			Body:           newBody(body),
			ContentLength:  aws.Int64(int64(len(body))),
			ContentType:    aws.String(contentType),
			Metadata:       metadata,
			ChecksumCRC32C: aws.String(c.crc32c()),
			IfNoneMatch:    aws.String("*"),
		})
		switch {
		case err == nil:
			return a.receipt(key, c, out.VersionId), nil
		case statusOf(err) == statusConflict && puts < putsMax:
			if err := pause(ctx, putPause); err != nil {
				return investigation.Receipt{}, fmt.Errorf("put s3://%s/%s: %w", a.bucket, key, err)
			}
		default:
			return a.already(ctx, key, c, a.explain("put", string(key), err))
		}
	}
}

// already returns the receipt of an object that is under the key after a commit failed: somebody
// else's, or our own whose answer was lost. Where there is none, it returns the failure.
func (a *Archive) already(ctx context.Context, key investigation.Key, c *content, failure error) (
	investigation.Receipt, error,
) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_, stored, err := a.head(ctx, key)
	if errors.Is(err, investigation.ErrNotStored) {
		return investigation.Receipt{}, failure
	}
	if err != nil {
		return investigation.Receipt{}, errors.Join(failure, err)
	}
	if stored.Size != c.size || stored.CRC32C != c.crc32c() {
		return investigation.Receipt{}, &ConflictError{
			Key: string(key), Stored: stored, Size: c.size, CRC32C: c.crc32c(),
		}
	}
	a.logger.InfoContext(ctx, "the object is there already, with the same bytes",
		slog.String("key", string(key)), slog.String("answer", failure.Error()))
	stored.SHA256 = c.sha256()
	return stored, nil
}

func (a *Archive) receipt(key investigation.Key, c *content, version *string,
) investigation.Receipt {
	return investigation.Receipt{
		Bucket: a.bucket, Key: string(key), VersionID: versionOf(version),
		Size: c.size, SHA256: c.sha256(), CRC32C: c.crc32c(),
	}
}

const contentType = "application/zip"

func metadataOf(action investigation.Action) map[string]string {
	return map[string]string{
		metaAction: action.ActionID, metaMachine: action.MachineID, metaTenant: action.TenantID,
	}
}

// pause returns after d, or earlier with the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
