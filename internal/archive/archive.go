// Package archive streams packages into an S3 bucket so that each is stored once, whole, or not at
// all.
//
// [Archive.Store] reads a package to its end, hashing as it passes, and commits it only when its
// length is right and its ZIP directory is in order. The commit is one conditional request
// (If-None-Match: *) that carries the CRC-32C of the whole object for S3 to verify. Memory is
// bounded by the part buffers, which all uploads of an Archive share.
//
// The package decides nothing about retries beyond what the S3 client does, and unpacks nothing.
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
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packhorse/internal/investigation"
)

const (
	// PartSize is the size of a part in bytes. Below it a package is one PutObject. S3's limit of
	// 10,000 parts then allows 78 GiB, more than a download may have.
	PartSize = 8 << 20

	// PartsInFlight is how many parts all uploads of an Archive hold in memory together: enough to
	// keep one upload's network busy while the next part fills, and as many as may start at once.
	PartsInFlight = 4

	// abortTimeout bounds the clean-up after a failure or a cancelled context.
	abortTimeout = 10 * time.Second

	// putsMax is how often a PutObject that met another writer (409) is sent. The bytes are still
	// in memory, so that repeating costs nothing else.
	putsMax = 3

	// putPause lies between them.
	putPause = 200 * time.Millisecond
)

// The metadata every object carries: ids only, because S3 metadata is ASCII.
const (
	metaAction  = "packhorse-action-id"
	metaMachine = "packhorse-machine-id"
	metaTenant  = "packhorse-tenant-id"
	metaSHA256  = "packhorse-sha256" // only where it is known before the first byte is sent
)

// S3 is what an Archive needs of *s3.Client.
type S3 interface {
	HeadBucket(context.Context, *s3.HeadBucketInput, ...func(*s3.Options)) (
		*s3.HeadBucketOutput, error)
	HeadObject(context.Context, *s3.HeadObjectInput, ...func(*s3.Options)) (
		*s3.HeadObjectOutput, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (
		*s3.GetObjectOutput, error)
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (
		*s3.PutObjectOutput, error)
	CreateMultipartUpload(context.Context, *s3.CreateMultipartUploadInput, ...func(*s3.Options)) (
		*s3.CreateMultipartUploadOutput, error)
	UploadPart(context.Context, *s3.UploadPartInput, ...func(*s3.Options)) (
		*s3.UploadPartOutput, error)
	CompleteMultipartUpload(context.Context, *s3.CompleteMultipartUploadInput,
		...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error)
	AbortMultipartUpload(context.Context, *s3.AbortMultipartUploadInput, ...func(*s3.Options)) (
		*s3.AbortMultipartUploadOutput, error)
}

// Archive is the evidence bucket. It is safe for concurrent use.
type Archive struct {
	s3      S3
	bucket  string
	buffers *buffers
	logger  *slog.Logger
}

// New returns an Archive over bucket. partSize is in bytes (PartSize; S3 takes no less than 5 MiB
// but for the last), partsInFlight bounds the buffers of all concurrent uploads together
// (PartsInFlight): the memory of an Archive is partSize × partsInFlight, and up to 8 MiB for each
// upload under way.
func New(client S3, bucket string, partSize, partsInFlight int, logger *slog.Logger) *Archive {
	return &Archive{
		s3: client, bucket: bucket, buffers: newBuffers(partSize, partsInFlight), logger: logger,
	}
}

// Ready reports whether the bucket is there and may be used. Ask before any budget is spent.
func (a *Archive) Ready(ctx context.Context) error {
	_, err := a.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &a.bucket})
	if err != nil {
		return a.explain("look at the bucket", "", err)
	}
	return nil
}

// Stored returns the receipt of the object under key, or an error that wraps
// investigation.ErrNotStored. The SHA-256 of an object that was stored in parts is not known to S3:
// such an object is read once, hashed, and held against the size and checksum S3 has. That happens
// only after a crash between commit and ledger, and costs a GET but no budget.
func (a *Archive) Stored(ctx context.Context, key investigation.Key) (
	investigation.Receipt, error,
) {
	head, receipt, err := a.head(ctx, key)
	if err != nil {
		return investigation.Receipt{}, err
	}
	if head.Metadata[metaAction] == "" {
		return investigation.Receipt{}, fmt.Errorf("s3://%s/%s was not stored by packhorse: %w",
			a.bucket, key, errForeign)
	}
	if receipt.SHA256 = head.Metadata[metaSHA256]; receipt.SHA256 != "" {
		return receipt, nil
	}
	receipt.SHA256, err = a.rehash(ctx, receipt)
	return receipt, err
}

var errForeign = errors.New("the object lacks the metadata packhorse gives; move it away")

// StoreManifest writes the custody record beside a package. A manifest that is there already stays
// as it is, and that is success.
func (a *Archive) StoreManifest(ctx context.Context, key string, manifest []byte) error {
	c := newContent(int64(len(manifest)))
	_, _ = c.Write(manifest) // a hash does not fail
	_, err := a.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket:         &a.bucket,
		Key:            &key,
		Body:           newBody(manifest),
		ContentLength:  aws.Int64(int64(len(manifest))),
		ContentType:    aws.String("application/json"),
		ChecksumCRC32C: aws.String(c.crc32c()),
		IfNoneMatch:    aws.String("*"),
	})
	if err != nil && statusOf(err) != statusPreconditionFailed {
		return a.explain("put the manifest", key, err)
	}
	return nil
}

// head returns what S3 says of the object, and as much of a receipt as that gives.
func (a *Archive) head(ctx context.Context, key investigation.Key) (
	*s3.HeadObjectOutput, investigation.Receipt, error,
) {
	head, err := a.s3.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &a.bucket, Key: aws.String(string(key)), ChecksumMode: types.ChecksumModeEnabled,
	})
	if statusOf(err) == statusNotFound {
		return nil, investigation.Receipt{}, fmt.Errorf("s3://%s/%s: %w", a.bucket, key,
			investigation.ErrNotStored)
	}
	if err != nil {
		return nil, investigation.Receipt{}, a.explain("look at the object", string(key), err)
	}
	return head, investigation.Receipt{
		Bucket:    a.bucket,
		Key:       string(key),
		VersionID: versionOf(head.VersionId),
		Size:      aws.ToInt64(head.ContentLength),
		CRC32C:    aws.ToString(head.ChecksumCRC32C),
	}, nil
}

// rehash reads the object and returns its SHA-256, provided that size and CRC-32C are the receipt's.
func (a *Archive) rehash(ctx context.Context, r investigation.Receipt) (sum string, err error) {
	in := &s3.GetObjectInput{Bucket: &r.Bucket, Key: &r.Key}
	if r.VersionID != "" {
		in.VersionId = &r.VersionID
	}
	object, err := a.s3.GetObject(ctx, in)
	if err != nil {
		return "", a.explain("read back", r.Key, err)
	}
	defer func() { err = errors.Join(err, object.Body.Close()) }()
	c := newContent(r.Size)
	_, err = io.Copy(c, object.Body)
	if err != nil {
		return "", a.explain("read back", r.Key, err)
	}
	if c.size != r.Size || c.crc32c() != r.CRC32C {
		return "", &ConflictError{Key: r.Key, Stored: r, Size: c.size, CRC32C: c.crc32c()}
	}
	return c.sha256(), nil
}

// versionOf maps "no version" and S3's "null" version to the empty string.
func versionOf(id *string) string {
	if v := aws.ToString(id); v != "null" {
		return v
	}
	return ""
}
