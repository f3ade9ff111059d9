// Package archive streams packages into an S3 bucket so that each is stored once, whole, or not at
// all, and (with an [investigation.Lock]) cannot be deleted before its time.
//
// [Archive.Store] reads a package to its end, hashing as it passes, and commits it only when its
// length is right and its ZIP directory is in order. The commit is one conditional request
// (If-None-Match: *) that carries the CRC-32C of the whole object for S3 to verify. What turns out
// to be no package can be kept too, in a place of its own. Memory is bounded by the part buffers,
// which all uploads of an Archive share. What a ZIP is, zipinspect knows.
//
// The package decides nothing about retries beyond what the S3 client does, and unpacks nothing.
package archive

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

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

// S3 is what an Archive needs of *s3.Client.
type S3 interface {
	HeadBucket(context.Context, *s3.HeadBucketInput, ...func(*s3.Options)) (
		*s3.HeadBucketOutput, error)
	GetObjectLockConfiguration(context.Context, *s3.GetObjectLockConfigurationInput,
		...func(*s3.Options)) (*s3.GetObjectLockConfigurationOutput, error)
	ListObjectVersions(context.Context, *s3.ListObjectVersionsInput, ...func(*s3.Options)) (
		*s3.ListObjectVersionsOutput, error)
	ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (
		*s3.ListObjectsV2Output, error)
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
	lock    investigation.Lock
	buffers *buffers
	now     func() time.Time
	logger  *slog.Logger
}

// New returns an Archive over bucket, in which everything that is stored is locked as lock says,
// from the moment now returns. partSize is in bytes (PartSize; S3 takes no less than 5 MiB but for
// the last), partsInFlight bounds the buffers of all concurrent uploads together (PartsInFlight):
// the memory of an Archive is partSize × partsInFlight, and up to 8 MiB for each upload under way.
//
// Whoever stores under a lock needs s3:PutObjectRetention and s3:PutObjectLegalHold, and, since S3
// shows a retention only to those who may see it, s3:GetObjectRetention and s3:GetObjectLegalHold.
func New(client S3, bucket string, lock investigation.Lock, partSize, partsInFlight int,
	now func() time.Time, logger *slog.Logger,
) *Archive {
	return &Archive{
		s3: client, bucket: bucket, lock: lock, buffers: newBuffers(partSize, partsInFlight),
		now: now, logger: logger,
	}
}

// Ready reports whether the bucket is there, may be used, and takes objects with the Archive's
// Lock. Ask before any budget is spent.
func (a *Archive) Ready(ctx context.Context) error {
	_, err := a.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &a.bucket})
	if err != nil {
		return a.explain("look at the bucket", "", err)
	}
	if !a.lock.Wanted() {
		return nil
	}
	return a.lockable(ctx)
}
