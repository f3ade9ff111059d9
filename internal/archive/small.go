package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packhorse/internal/investigation"
)

// The most that is read of what lies beside the packages, in bytes: many times what packhorse
// writes.
const (
	manifestMax  = 1 << 20
	signatureMax = 64 << 10
)

// smallType returns the content type of such an object by what its key ends in.
func smallType(key string) string {
	switch path.Ext(key) {
	case ".json":
		return "application/json"
	case ".pem":
		return "application/x-pem-file"
	default: // a signature
		return "application/octet-stream"
	}
}

// StoreManifest writes a manifest, or the public key of its signature, on the condition that there
// is no object under the key. If there is one, that stays as it is: it is success if it has the same
// bytes, and a *[ConflictError] if not.
func (a *Archive) StoreManifest(ctx context.Context, key string, manifest []byte) error {
	err := a.putSmall(ctx, key, manifest)
	if statusOf(err) != statusPreconditionFailed {
		return err
	}
	there, receipt, err := a.readSmall(ctx, key, manifestMax)
	if err != nil {
		return err
	}
	if !bytes.Equal(there, manifest) {
		c := passed(manifest)
		return &ConflictError{
			Key: key, Stored: receipt, Size: c.size, CRC32C: c.crc32c(), SHA256: c.sha256(),
		}
	}
	return nil
}

// StoreSignature writes a manifest's signature, on the condition that there is no object under the
// key. If there is one, that stays as it is: it is success if valid accepts it, and an error that
// wraps valid's if not.
func (a *Archive) StoreSignature(ctx context.Context, key string, signature []byte,
	valid func(signature []byte) error,
) error {
	err := a.putSmall(ctx, key, signature)
	if statusOf(err) != statusPreconditionFailed {
		return err
	}
	there, _, err := a.readSmall(ctx, key, signatureMax)
	if err != nil {
		return err
	}
	if err := valid(there); err != nil {
		return fmt.Errorf("s3://%s/%s holds what is no signature of the manifest: %w",
			a.bucket, key, err)
	}
	return nil
}

func (a *Archive) putSmall(ctx context.Context, key string, body []byte) error {
	o := object{key: key, contentType: smallType(key), retention: a.lock.From(a.now())}
	_, err := a.put(ctx, o, passed(body), body)
	return err
}

// readSmall returns the bytes of an object, and what they come to. Of one that is larger than limit
// bytes it returns one byte more than that, and only its size.
func (a *Archive) readSmall(ctx context.Context, key string, limit int64) (
	body []byte, r investigation.Receipt, err error,
) {
	out, err := a.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &a.bucket, Key: &key})
	if err != nil {
		return nil, r, a.explain("read", key, err)
	}
	defer func() { err = errors.Join(err, out.Body.Close()) }()
	body, err = io.ReadAll(io.LimitReader(out.Body, limit+1))
	if err != nil {
		return nil, r, a.explain("read", key, err)
	}
	r = investigation.Receipt{Bucket: a.bucket, Key: key, VersionID: versionOf(out.VersionId)}
	if int64(len(body)) > limit {
		r.Size = aws.ToInt64(out.ContentLength)
		return body, r, nil
	}
	c := passed(body)
	r.Size, r.SHA256, r.CRC32C = c.size, c.sha256(), c.crc32c()
	return body, r, nil
}

// passed returns what is learned of bytes that are not judged.
func passed(body []byte) *content {
	c := newContent(int64(len(body)), false)
	_, _ = c.Write(body) // a hash does not fail
	return c
}
