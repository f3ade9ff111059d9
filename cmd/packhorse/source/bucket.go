// Package source reads evidence for package verify: an archive in a bucket or a folder, public keys
// in files, and a ledger. It explains AWS errors in plain words.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// Bucket is an S3 bucket with an archive. It is only read.
type Bucket struct {
	s3     *s3.Client
	bucket string
	where  string
}

// NewBucket returns the bucket with the given name; where is its name in messages.
func NewBucket(client *s3.Client, bucket, where string) *Bucket {
	return &Bucket{s3: client, bucket: bucket, where: where}
}

// About implements Archive.
func (b *Bucket) About(ctx context.Context) (verify.About, error) {
	out, err := b.s3.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &b.bucket})
	if code := codeOf(err); code == "NotImplemented" || code == "VersioningNotConfigured" {
		return verify.About{Where: b.where, Bucket: b.bucket}, nil
	}
	if err != nil {
		return verify.About{}, b.explain("check whether it keeps versions", err)
	}
	// A bucket whose versioning is suspended may have versions too.
	return verify.About{Where: b.where, Bucket: b.bucket, Versioned: out.Status != ""}, nil
}

// List implements Archive.
func (b *Bucket) List(ctx context.Context, prefix string) ([]verify.Object, error) {
	about, err := b.About(ctx)
	if err != nil {
		return nil, err
	}
	if about.Versioned {
		return b.listVersions(ctx, prefix)
	}
	var objects []verify.Object
	pages := s3.NewListObjectsV2Paginator(b.s3, &s3.ListObjectsV2Input{
		Bucket: &b.bucket, Prefix: &prefix,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, b.explain("list its objects", err)
		}
		for _, o := range page.Contents {
			if key := aws.ToString(o.Key); !strings.HasSuffix(key, "/") { // a folder placeholder made by an S3 console
				objects = append(objects, verify.Object{Key: key, Size: aws.ToInt64(o.Size)})
			}
		}
	}
	slices.SortFunc(objects, func(a, b verify.Object) int { return strings.Compare(a.Key, b.Key) })
	return objects, nil
}

// listed is one line of a listing with versions.
type listed struct {
	key    string
	latest bool
	at     int64 // nanoseconds since 1970
	verify.Version
}

func (b *Bucket) listVersions(ctx context.Context, prefix string) ([]verify.Object, error) {
	var all []listed
	pages := s3.NewListObjectVersionsPaginator(b.s3, &s3.ListObjectVersionsInput{
		Bucket: &b.bucket, Prefix: &prefix,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, b.explain("list its versions", err)
		}
		for _, v := range page.Versions {
			all = append(all, listed{
				aws.ToString(v.Key), aws.ToBool(v.IsLatest), aws.ToTime(v.LastModified).UnixNano(),
				verify.Version{ID: aws.ToString(v.VersionId), Size: aws.ToInt64(v.Size)},
			})
		}
		for _, m := range page.DeleteMarkers {
			all = append(all, listed{
				aws.ToString(m.Key), aws.ToBool(m.IsLatest), aws.ToTime(m.LastModified).UnixNano(),
				verify.Version{ID: aws.ToString(m.VersionId), Deleted: true},
			})
		}
	}
	return grouped(all), nil
}

// grouped groups a listing into objects, each with its newest version first.
func grouped(all []listed) []verify.Object {
	slices.SortStableFunc(all, func(a, b listed) int {
		switch {
		case a.key != b.key:
			return strings.Compare(a.key, b.key)
		case a.latest != b.latest && a.latest:
			return -1
		case a.latest != b.latest:
			return 1
		case a.at > b.at:
			return -1
		case a.at < b.at:
			return 1
		default:
			return 0
		}
	})
	var objects []verify.Object
	for _, v := range all {
		if strings.HasSuffix(v.key, "/") {
			continue
		}
		if len(objects) == 0 || objects[len(objects)-1].Key != v.key {
			objects = append(objects, verify.Object{Key: v.key})
		}
		o := &objects[len(objects)-1]
		if _, ok := o.Current(); !v.Deleted && (len(o.Versions) == 0 || !ok) {
			o.Size = v.Size
		}
		o.Versions = append(o.Versions, v.Version)
	}
	return objects
}

// Open implements Archive.
func (b *Bucket) Open(ctx context.Context, key, version string) (io.ReadCloser, error) {
	in := &s3.GetObjectInput{Bucket: &b.bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	out, err := b.s3.GetObject(ctx, in, quiet)
	if err != nil {
		return nil, b.explain("read "+key, err)
	}
	return out.Body, nil
}

// Retention implements Archive. It requests retention and legal hold explicitly: if the caller may
// not see them, HeadObject leaves them out, which would look like a removed lock.
func (b *Bucket) Retention(ctx context.Context, key, version string) (investigation.Retention, error) {
	var r investigation.Retention
	var versionID *string
	if version != "" {
		versionID = &version
	}
	retention, err := b.s3.GetObjectRetention(ctx, &s3.GetObjectRetentionInput{
		Bucket: &b.bucket, Key: &key, VersionId: versionID,
	})
	switch {
	case err == nil && retention.Retention != nil:
		r.Mode = string(retention.Retention.Mode)
		r.Until = aws.ToTime(retention.Retention.RetainUntilDate).UTC()
	case err != nil && !isWithoutLock(err):
		return r, b.explain("read the retention of "+key, err)
	}
	hold, err := b.s3.GetObjectLegalHold(ctx, &s3.GetObjectLegalHoldInput{
		Bucket: &b.bucket, Key: &key, VersionId: versionID,
	})
	switch {
	case err == nil && hold.LegalHold != nil:
		r.LegalHold = hold.LegalHold.Status == types.ObjectLockLegalHoldStatusOn
	case err != nil && !isWithoutLock(err):
		return r, b.explain("read the legal hold of "+key, err)
	}
	return r, nil
}

// isWithoutLock reports whether S3 answered that the object or bucket has no lock.
func isWithoutLock(err error) bool {
	switch codeOf(err) {
	case "NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError":
		return true
	case "InvalidRequest": // the bucket lacks Object Lock
		return strings.Contains(err.Error(), "Object Lock") || strings.Contains(err.Error(), "ObjectLock")
	default:
		return false
	}
}

func codeOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// explain combines the operation, the cause and advice.
func (b *Bucket) explain(what string, err error) error {
	help := ""
	if code := codeOf(err); code == "AccessDenied" || code == "AccessDeniedException" {
		help = "; verifying takes s3:ListBucket, s3:ListBucketVersions, s3:GetBucketVersioning, " +
			"s3:GetObject, s3:GetObjectVersion, s3:GetObjectRetention and s3:GetObjectLegalHold"
	}
	return fmt.Errorf("%s: %s: %w%s", b.where, what, Explain(err), help)
}
