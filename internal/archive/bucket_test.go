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
)

// object is what a bucket keeps.
type object struct {
	body     []byte
	crc      string
	metadata map[string]string
}

// bucket is a strict S3 in memory: it verifies checksums and sizes, refuses to replace what was
// written on a condition, and forgets nothing that was begun.
type bucket struct {
	mu      sync.Mutex // guards what follows
	objects map[string]object
	uploads map[string]map[int32][]byte // parts by upload id
	begun   int
	calls   []string

	// fault answers the nth call (from 1) of an operation with an error instead; with after, once
	// the call has had its effect.
	fault func(op string, n int) error
	after func(op string, n int) error
}

func newBucket() *bucket {
	return &bucket{objects: map[string]object{}, uploads: map[string]map[int32][]byte{}}
}

// refusal is an S3 answer that is an error.
func refusal(status int, code string) error {
	return &awshttp.ResponseError{
		ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}},
			Err:      &smithy.GenericAPIError{Code: code, Message: code},
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
	return &s3.HeadBucketOutput{}, b.do(ctx, "HeadBucket", func() error { return nil })
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
			Metadata: o.metadata, VersionId: aws.String("v1"),
		}
		return nil
	})
	return out, err
}

func (b *bucket) GetObject(ctx context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (
	out *s3.GetObjectOutput, err error,
) {
	err = b.do(ctx, "GetObject", func() error {
		body := bytes.NewReader(b.objects[*in.Key].body)
		out = &s3.GetObjectOutput{Body: io.NopCloser(body)}
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
		return b.commit(in.Key, in.IfNoneMatch, object{
			body: body, crc: aws.ToString(in.ChecksumCRC32C), metadata: in.Metadata,
		})
	})
}

func (b *bucket) CreateMultipartUpload(ctx context.Context, in *s3.CreateMultipartUploadInput,
	_ ...func(*s3.Options),
) (out *s3.CreateMultipartUploadOutput, err error) {
	err = b.do(ctx, opCreate, func() error {
		if in.ChecksumType != types.ChecksumTypeFullObject {
			return errors.New("the upload has no checksum over the whole object")
		}
		b.begun++
		id := fmt.Sprint("upload-", b.begun)
		b.uploads[id] = map[int32][]byte{}
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
		b.uploads[*in.UploadId][*in.PartNumber] = body
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
		parts, ok := b.uploads[*in.UploadId]
		if !ok {
			return refusal(http.StatusNotFound, "NoSuchUpload")
		}
		inOrder := slices.IsSortedFunc(in.MultipartUpload.Parts, func(a, b types.CompletedPart) int {
			return cmp.Compare(*a.PartNumber, *b.PartNumber)
		})
		if !inOrder || len(in.MultipartUpload.Parts) != len(parts) {
			return refusal(http.StatusBadRequest, "InvalidPartOrder")
		}
		var body []byte
		for _, part := range in.MultipartUpload.Parts {
			body = append(body, parts[*part.PartNumber]...)
		}
		if int64(len(body)) != aws.ToInt64(in.MpuObjectSize) {
			return refusal(http.StatusBadRequest, "InvalidRequest")
		}
		err := b.commit(in.Key, in.IfNoneMatch, object{
			body: body, crc: aws.ToString(in.ChecksumCRC32C),
			metadata: map[string]string{"packhorse-action-id": "a"},
		})
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
