package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// HeadBucket implements archive.S3.
func (b *Bucket) HeadBucket(ctx context.Context, _ *s3.HeadBucketInput, _ ...func(*s3.Options)) (
	*s3.HeadBucketOutput, error,
) {
	return &s3.HeadBucketOutput{}, b.do(ctx, OpBucket, func() error { return nil })
}

// GetObjectLockConfiguration implements archive.S3.
func (b *Bucket) GetObjectLockConfiguration(ctx context.Context,
	_ *s3.GetObjectLockConfigurationInput, _ ...func(*s3.Options),
) (out *s3.GetObjectLockConfigurationOutput, err error) {
	err = b.do(ctx, OpLock, func() error {
		if !b.Locks {
			return Refusal(http.StatusNotFound, "ObjectLockConfigurationNotFoundError")
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

// ListObjectVersions implements archive.S3. It answers with one page.
func (b *Bucket) ListObjectVersions(ctx context.Context, in *s3.ListObjectVersionsInput,
	_ ...func(*s3.Options),
) (out *s3.ListObjectVersionsOutput, err error) {
	err = b.do(ctx, OpVersions, func() error {
		out = &s3.ListObjectVersionsOutput{IsTruncated: aws.Bool(false)}
		var keys []string
		for key := range b.objects {
			if strings.HasPrefix(key, aws.ToString(in.Prefix)) {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		for _, key := range keys {
			versions := b.objects[key]
			for i, o := range slices.Backward(versions) {
				latest := aws.Bool(i == len(versions)-1)
				if o.Deleted {
					out.DeleteMarkers = append(out.DeleteMarkers, types.DeleteMarkerEntry{
						Key: &key, VersionId: &o.VersionID, IsLatest: latest,
					})
					continue
				}
				out.Versions = append(out.Versions, types.ObjectVersion{
					Key: &key, VersionId: &o.VersionID, IsLatest: latest,
					Size: aws.Int64(int64(len(o.Body))),
				})
			}
		}
		return nil
	})
	return out, err
}

// ListObjectsV2 implements archive.S3. It answers with one page.
func (b *Bucket) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input,
	_ ...func(*s3.Options),
) (out *s3.ListObjectsV2Output, err error) {
	err = b.do(ctx, OpList, func() error {
		out = &s3.ListObjectsV2Output{IsTruncated: aws.Bool(false)}
		for _, key := range b.keys() {
			if o, _ := b.current(key); strings.HasPrefix(key, aws.ToString(in.Prefix)) {
				out.Contents = append(out.Contents, types.Object{
					Key: &key, Size: aws.Int64(int64(len(o.Body))),
				})
			}
		}
		return nil
	})
	return out, err
}

// HeadObject implements archive.S3.
func (b *Bucket) HeadObject(ctx context.Context, in *s3.HeadObjectInput, _ ...func(*s3.Options)) (
	out *s3.HeadObjectOutput, err error,
) {
	err = b.do(ctx, OpHead, func() error {
		o, ok := b.version(*in.Key, in.VersionId)
		switch {
		case !ok:
			return Refusal(http.StatusNotFound, "NotFound")
		case o.Unreadable:
			return Refusal(http.StatusBadRequest, "BadRequest")
		}
		out = &s3.HeadObjectOutput{
			ContentLength: aws.Int64(int64(len(o.Body))), ChecksumCRC32C: &o.CRC32C,
			Metadata: o.Metadata, VersionId: &o.VersionID, ContentType: &o.ContentType,
			ObjectLockMode: o.Mode, ObjectLockRetainUntilDate: o.Until,
			ObjectLockLegalHoldStatus: o.Hold,
		}
		return nil
	})
	return out, err
}

// GetObject implements archive.S3.
func (b *Bucket) GetObject(ctx context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (
	out *s3.GetObjectOutput, err error,
) {
	err = b.do(ctx, OpGet, func() error {
		o, ok := b.version(*in.Key, in.VersionId)
		switch {
		case !ok:
			return Refusal(http.StatusNotFound, "NoSuchKey")
		case o.Unreadable:
			return Refusal(http.StatusBadRequest, "InvalidRequest")
		}
		out = &s3.GetObjectOutput{
			Body:          io.NopCloser(bytes.NewReader(o.Body)),
			ContentLength: aws.Int64(int64(len(o.Body))), VersionId: &o.VersionID,
		}
		return nil
	})
	return out, err
}

// PutObject implements archive.S3.
func (b *Bucket) PutObject(ctx context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (
	out *s3.PutObjectOutput, err error,
) {
	err = b.do(ctx, OpPut, func() error {
		body, err := io.ReadAll(in.Body)
		if err != nil || int64(len(body)) != aws.ToInt64(in.ContentLength) {
			return fmt.Errorf("read %d bytes: %w", len(body), err)
		}
		o := Object{
			Body: body, CRC32C: aws.ToString(in.ChecksumCRC32C), ContentType: aws.ToString(in.ContentType),
			Metadata: in.Metadata, Tagging: aws.ToString(in.Tagging),
			Mode: in.ObjectLockMode, Until: in.ObjectLockRetainUntilDate,
			Hold: in.ObjectLockLegalHoldStatus,
		}
		if err := b.permits(o); err != nil {
			return err
		}
		version, err := b.commit(*in.Key, in.IfNoneMatch, o)
		out = &s3.PutObjectOutput{VersionId: &version}
		return err
	})
	return out, err
}

// CreateMultipartUpload implements archive.S3.
func (b *Bucket) CreateMultipartUpload(ctx context.Context, in *s3.CreateMultipartUploadInput,
	_ ...func(*s3.Options),
) (out *s3.CreateMultipartUploadOutput, err error) {
	err = b.do(ctx, OpCreate, func() error {
		if in.ChecksumType != types.ChecksumTypeFullObject ||
			in.ChecksumAlgorithm != types.ChecksumAlgorithmCrc32c {
			return errors.New("the upload lacks a checksum over the whole object")
		}
		o := Object{
			ContentType: aws.ToString(in.ContentType), Metadata: in.Metadata,
			Tagging: aws.ToString(in.Tagging), Mode: in.ObjectLockMode,
			Until: in.ObjectLockRetainUntilDate, Hold: in.ObjectLockLegalHoldStatus,
		}
		if err := b.permits(o); err != nil {
			return err
		}
		b.begun++
		id := fmt.Sprint("upload-", b.begun)
		b.uploads[id] = begun{Object: o, key: *in.Key, parts: map[int32][]byte{}}
		out = &s3.CreateMultipartUploadOutput{UploadId: &id}
		return nil
	})
	return out, err
}

// UploadPart implements archive.S3.
func (b *Bucket) UploadPart(ctx context.Context, in *s3.UploadPartInput, _ ...func(*s3.Options)) (
	out *s3.UploadPartOutput, err error,
) {
	err = b.do(ctx, OpPart, func() error {
		body, err := io.ReadAll(in.Body)
		if err != nil {
			return err
		}
		if in.ChecksumAlgorithm != types.ChecksumAlgorithmCrc32c {
			return RefusalThat(http.StatusBadRequest, "InvalidRequest", "a checksum is required")
		}
		u, ok := b.uploads[*in.UploadId]
		if !ok || u.key != *in.Key {
			return Refusal(http.StatusNotFound, "NoSuchUpload")
		}
		u.parts[*in.PartNumber] = body
		out = &s3.UploadPartOutput{
			ETag: aws.String(CRC32C(body)), ChecksumCRC32C: aws.String(CRC32C(body)),
		}
		return nil
	})
	return out, err
}

// CompleteMultipartUpload implements archive.S3.
func (b *Bucket) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput,
	_ ...func(*s3.Options),
) (out *s3.CompleteMultipartUploadOutput, err error) {
	err = b.do(ctx, OpComplete, func() error {
		u, ok := b.uploads[*in.UploadId]
		if !ok || u.key != *in.Key {
			return Refusal(http.StatusNotFound, "NoSuchUpload")
		}
		inOrder := slices.IsSortedFunc(in.MultipartUpload.Parts, func(a, b types.CompletedPart) int {
			return cmp.Compare(*a.PartNumber, *b.PartNumber)
		})
		if !inOrder || len(in.MultipartUpload.Parts) != len(u.parts) {
			return Refusal(http.StatusBadRequest, "InvalidPartOrder")
		}
		o := u.Object
		for _, part := range in.MultipartUpload.Parts {
			o.Body = append(o.Body, u.parts[*part.PartNumber]...)
		}
		if int64(len(o.Body)) != aws.ToInt64(in.MpuObjectSize) {
			return Refusal(http.StatusBadRequest, "InvalidRequest")
		}
		o.CRC32C = aws.ToString(in.ChecksumCRC32C)
		version, err := b.commit(*in.Key, in.IfNoneMatch, o)
		if err == nil {
			delete(b.uploads, *in.UploadId)
		}
		out = &s3.CompleteMultipartUploadOutput{VersionId: &version}
		return err
	})
	return out, err
}

// AbortMultipartUpload implements archive.S3.
func (b *Bucket) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput,
	_ ...func(*s3.Options),
) (*s3.AbortMultipartUploadOutput, error) {
	return &s3.AbortMultipartUploadOutput{}, b.do(ctx, OpAbort, func() error {
		if _, ok := b.uploads[*in.UploadId]; !ok {
			return Refusal(http.StatusNotFound, "NoSuchUpload")
		}
		delete(b.uploads, *in.UploadId)
		return nil
	})
}
