// Package archive streams packages into an S3 bucket. Each package is stored whole and once, or not
// at all, and with an [investigation.Lock] it cannot be deleted before its retention ends.
//
// [Archive.Store] reads a package to its end, hashes it on the way, and commits it only if its
// length is right and its ZIP directory is in order. The commit is one conditional request
// (If-None-Match: *) with the CRC-32C of the whole object, which S3 verifies. Bytes that turn out
// not to be a package can be kept too, in quarantine. The part buffers, which all uploads of an
// Archive share, bound its memory. Package zipinspect decides whether bytes are a ZIP.
//
// The package does not retry beyond what the S3 client does, and does not unpack anything.
package archive

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packhorse/internal/investigation"
)

const (
	// PartSize is the size of a part in bytes. A smaller package takes one PutObject. With S3's
	// limit of 10,000 parts, an upload can have 78 GiB, more than a download may have.
	PartSize = 8 << 20

	// PartsInFlight is how many parts all uploads of an Archive hold in memory together. It keeps
	// the network busy while the next part fills, and is the number of uploads that can start at
	// once.
	PartsInFlight = 4

	// abortTimeout bounds the cleanup after a failure or a canceled context.
	abortTimeout = 10 * time.Second

	// putsMax is how often a PutObject that met another writer (409) is sent. The bytes are still
	// in memory, so repeating it costs nothing else.
	putsMax = 3

	// putPause is the pause between two such attempts.
	putPause = 200 * time.Millisecond
)

// S3 is the part of *s3.Client that an Archive uses.
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

// Archive stores evidence in one bucket. It is safe for concurrent use.
type Archive struct {
	s3      S3
	bucket  string
	lock    investigation.Lock
	buffers *buffers
	now     func() time.Time
	logger  *slog.Logger
}

// New returns an Archive over bucket that locks everything it stores as lock says, from the time
// now returns. partSize is in bytes (see PartSize; S3 requires at least 5 MiB for every part but
// the last). partsInFlight bounds the buffers of all concurrent uploads (see PartsInFlight). An
// Archive uses partSize × partsInFlight of memory, plus up to 8 MiB for each upload under way.
//
// Storing under a lock requires s3:PutObjectRetention and s3:PutObjectLegalHold. It also requires
// s3:GetObjectRetention and s3:GetObjectLegalHold, because S3 hides a retention from principals
// without them.
func New(client S3, bucket string, lock investigation.Lock, partSize, partsInFlight int,
	now func() time.Time, logger *slog.Logger,
) *Archive {
	return &Archive{
		s3: client, bucket: bucket, lock: lock, buffers: newBuffers(partSize, partsInFlight),
		now: now, logger: logger,
	}
}

// Ready reports whether the bucket exists, is accessible, and takes objects with the Archive's
// Lock. Call it before spending any budget.
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
