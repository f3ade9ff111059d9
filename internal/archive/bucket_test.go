package archive_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// The operations that may be made to fail.
const (
	opPut      = "PutObject"
	opCreate   = "CreateMultipartUpload"
	opPart     = "UploadPart"
	opComplete = "CompleteMultipartUpload"
	opAbort    = "AbortMultipartUpload"
	opHead     = "HeadObject"
	opGet      = "GetObject"
	opBucket   = "HeadBucket"
	opLock     = "GetObjectLockConfiguration"
)

// object is what a bucket keeps.
type object struct {
	body        []byte
	crc         string
	contentType string
	metadata    map[string]string
	tagging     string
	mode        types.ObjectLockMode
	until       *time.Time
	hold        types.ObjectLockLegalHoldStatus
}

// begun is an upload that is not finished.
type begun struct {
	object
	key   string
	parts map[int32][]byte
}

// bucket is a strict S3 in memory: it verifies checksums and sizes, refuses to replace what was
// written on a condition, takes no request without a checksum, no lock that it is not made for and
// no more metadata than S3 does, and forgets nothing that was begun.
type bucket struct {
	mu      sync.Mutex // guards what follows
	objects map[string]object
	uploads map[string]begun
	begun   int
	locks   bool // it was made with Object Lock
	calls   []string

	// fault answers the nth call (from 1) of an operation with an error instead; with after, once
	// the call has had its effect.
	fault func(op string, n int) error
	after func(op string, n int) error
}

func newBucket() *bucket {
	return &bucket{objects: map[string]object{}, uploads: map[string]begun{}, locks: true}
}

// permits refuses what S3 would refuse to write on an object.
func (b *bucket) permits(o object) error {
	total := 0
	for name, value := range o.metadata {
		total += len(name) + len(value)
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return fmt.Errorf("the metadata %s is no plain ASCII: %q", name, value)
		}
	}
	if total > 2<<10 {
		return refusal(http.StatusBadRequest, "MetadataTooLarge")
	}
	if (o.mode == "") != (o.until == nil) {
		return refusal(http.StatusBadRequest, "InvalidArgument")
	}
	if o.until != nil && (o.until.Nanosecond() != 0 || o.until.Location() != time.UTC) {
		return fmt.Errorf("the retention ends at %s, which is not in whole seconds UTC", o.until)
	}
	if !b.locks && (o.mode != "" || o.hold != "") {
		return refusalThat(http.StatusBadRequest, "InvalidRequest",
			"Bucket is missing Object Lock Configuration")
	}
	return nil
}

// refusal is an S3 answer that is an error.
func refusal(status int, code string) error { return refusalThat(status, code, code) }

func refusalThat(status int, code, message string) error {
	return &awshttp.ResponseError{
		ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}},
			Err:      &smithy.GenericAPIError{Code: code, Message: message},
		},
	}
}

func (b *bucket) count(op string) int {
	n := 0
	for _, call := range b.calls {
		if call == op {
			n++
		}
	}
	return n
}

// do plays one call.
func (b *bucket) do(ctx context.Context, op string, effect func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, op)
	n := b.count(op)
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.fault != nil {
		if err := b.fault(op, n); err != nil {
			return err
		}
	}
	if err := effect(); err != nil {
		return err
	}
	if b.after != nil {
		return b.after(op, n)
	}
	return nil
}

func crcOf(p []byte) string {
	sum := crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli))
	return base64.StdEncoding.EncodeToString([]byte{
		byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum),
	})
}

// commit is the conditional write.
func (b *bucket) commit(key *string, condition *string, o object) error {
	if aws.ToString(condition) != "*" {
		return errors.New("the write is not conditional")
	}
	if o.crc != crcOf(o.body) {
		return refusal(http.StatusBadRequest, "BadDigest")
	}
	if _, ok := b.objects[*key]; ok {
		return refusal(http.StatusPreconditionFailed, "PreconditionFailed")
	}
	b.objects[*key] = o
	return nil
}

func (b *bucket) HeadBucket(ctx context.Context, _ *s3.HeadBucketInput, _ ...func(*s3.Options)) (
	*s3.HeadBucketOutput, error,
) {
	return &s3.HeadBucketOutput{}, b.do(ctx, opBucket, func() error { return nil })
}

func (b *bucket) GetObjectLockConfiguration(ctx context.Context,
	_ *s3.GetObjectLockConfigurationInput, _ ...func(*s3.Options),
) (out *s3.GetObjectLockConfigurationOutput, err error) {
	err = b.do(ctx, opLock, func() error {
		if !b.locks {
			return refusal(http.StatusNotFound, "ObjectLockConfigurationNotFoundError")
		}
		out = &s3.GetObjectLockConfigurationOutput{
			ObjectLockConfiguration: &types.ObjectLockConfiguration{
				ObjectLockEnabled: types.ObjectLockEnabledEnabled,
			},
		}
		return nil
	})
	return out, err
}

func (b *bucket) HeadObject(ctx context.Context, in *s3.HeadObjectInput, _ ...func(*s3.Options)) (
	out *s3.HeadObjectOutput, err error,
) {
	err = b.do(ctx, opHead, func() error {
		o, ok := b.objects[*in.Key]
		if !ok {
			return refusal(http.StatusNotFound, "NotFound")
		}
		out = &s3.HeadObjectOutput{
			ContentLength: aws.Int64(int64(len(o.body))), ChecksumCRC32C: &o.crc,
			Metadata: o.metadata, VersionId: aws.String("v1"), ContentType: &o.contentType,
			ObjectLockMode: o.mode, ObjectLockRetainUntilDate: o.until,
			ObjectLockLegalHoldStatus: o.hold,
		}
		return nil
	})
	return out, err
}

func (b *bucket) GetObject(ctx context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (
	out *s3.GetObjectOutput, err error,
) {
	err = b.do(ctx, opGet, func() error {
		o, ok := b.objects[*in.Key]
		if !ok {
			return refusal(http.StatusNotFound, "NoSuchKey")
		}
		out = &s3.GetObjectOutput{
			Body:          io.NopCloser(bytes.NewReader(o.body)),
			ContentLength: aws.Int64(int64(len(o.body))),
		}
		return nil
	})
	return out, err
}

func (b *bucket) PutObject(ctx context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (
	*s3.PutObjectOutput, error,
) {
	return &s3.PutObjectOutput{VersionId: aws.String("v1")}, b.do(ctx, opPut, func() error {
		body, err := io.ReadAll(in.Body)
		if err != nil || int64(len(body)) != aws.ToInt64(in.ContentLength) {
			return fmt.Errorf("read %d bytes: %w", len(body), err)
		}
		o := object{
			body: body, crc: aws.ToString(in.ChecksumCRC32C), contentType: aws.ToString(in.ContentType),
			metadata: in.Metadata, tagging: aws.ToString(in.Tagging),
			mode: in.ObjectLockMode, until: in.ObjectLockRetainUntilDate,
			hold: in.ObjectLockLegalHoldStatus,
		}
		if err := b.permits(o); err != nil {
			return err
		}
		return b.commit(in.Key, in.IfNoneMatch, o)
	})
}

func (b *bucket) CreateMultipartUpload(ctx context.Context, in *s3.CreateMultipartUploadInput,
	_ ...func(*s3.Options),
) (out *s3.CreateMultipartUploadOutput, err error) {
	err = b.do(ctx, opCreate, func() error {
		if in.ChecksumType != types.ChecksumTypeFullObject ||
			in.ChecksumAlgorithm != types.ChecksumAlgorithmCrc32c {
			return errors.New("the upload has no checksum over the whole object")
		}
		o := object{
			contentType: aws.ToString(in.ContentType), metadata: in.Metadata,
			tagging: aws.ToString(in.Tagging), mode: in.ObjectLockMode,
			until: in.ObjectLockRetainUntilDate, hold: in.ObjectLockLegalHoldStatus,
		}
		if err := b.permits(o); err != nil {
			return err
		}
		b.begun++
		id := fmt.Sprint("upload-", b.begun)
		b.uploads[id] = begun{object: o, key: *in.Key, parts: map[int32][]byte{}}
		out = &s3.CreateMultipartUploadOutput{UploadId: &id}
		return nil
	})
	return out, err
}

func (b *bucket) UploadPart(ctx context.Context, in *s3.UploadPartInput, _ ...func(*s3.Options)) (
	out *s3.UploadPartOutput, err error,
) {
	err = b.do(ctx, opPart, func() error {
		body, err := io.ReadAll(in.Body)
		if err != nil {
			return err
		}
		if in.ChecksumAlgorithm != types.ChecksumAlgorithmCrc32c {
			return refusalThat(http.StatusBadRequest, "InvalidRequest", "a checksum is required")
		}
		u, ok := b.uploads[*in.UploadId]
		if !ok || u.key != *in.Key {
			return refusal(http.StatusNotFound, "NoSuchUpload")
		}
		u.parts[*in.PartNumber] = body
		out = &s3.UploadPartOutput{
			ETag: aws.String(crcOf(body)), ChecksumCRC32C: aws.String(crcOf(body)),
		}
		return nil
	})
	return out, err
}

func (b *bucket) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput,
	_ ...func(*s3.Options),
) (*s3.CompleteMultipartUploadOutput, error) {
	out := &s3.CompleteMultipartUploadOutput{VersionId: aws.String("v1")}
	return out, b.do(ctx, opComplete, func() error {
		u, ok := b.uploads[*in.UploadId]
		if !ok || u.key != *in.Key {
			return refusal(http.StatusNotFound, "NoSuchUpload")
		}
		inOrder := slices.IsSortedFunc(in.MultipartUpload.Parts, func(a, b types.CompletedPart) int {
			return cmp.Compare(*a.PartNumber, *b.PartNumber)
		})
		if !inOrder || len(in.MultipartUpload.Parts) != len(u.parts) {
			return refusal(http.StatusBadRequest, "InvalidPartOrder")
		}
		var body []byte
		for _, part := range in.MultipartUpload.Parts {
			body = append(body, u.parts[*part.PartNumber]...)
		}
		if int64(len(body)) != aws.ToInt64(in.MpuObjectSize) {
			return refusal(http.StatusBadRequest, "InvalidRequest")
		}
		o := u.object
		o.body, o.crc = body, aws.ToString(in.ChecksumCRC32C)
		err := b.commit(in.Key, in.IfNoneMatch, o)
		if err == nil {
			delete(b.uploads, *in.UploadId)
		}
		return err
	})
}

func (b *bucket) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput,
	_ ...func(*s3.Options),
) (*s3.AbortMultipartUploadOutput, error) {
	return &s3.AbortMultipartUploadOutput{}, b.do(ctx, opAbort, func() error {
		if _, ok := b.uploads[*in.UploadId]; !ok {
			return refusal(http.StatusNotFound, "NoSuchUpload")
		}
		delete(b.uploads, *in.UploadId)
		return nil
	})
}

func (b *bucket) String() string { return strings.Join(b.calls, " ") }

// discarding is a bucket that keeps no part.
type discarding struct{ *bucket }

func (d discarding) UploadPart(context.Context, *s3.UploadPartInput, ...func(*s3.Options)) (
	*s3.UploadPartOutput, error,
) {
	return &s3.UploadPartOutput{ETag: aws.String("e"), ChecksumCRC32C: aws.String("c")}, nil
}
