package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"packhorse/internal/investigation"
)

// pagesMax bounds a listing of one action's places, in pages of 1,000 versions.
const pagesMax = 20

// listedVersion is one version in the places of an object, as listed.
type listedVersion struct {
	key     string
	id      string // empty in an unversioned bucket
	place   int
	size    int64 // bytes
	latest  bool
	deleted bool   // it is a delete marker
	note    string // why it cannot be read, if known
}

// list returns every version in the places of key, the oldest of each key first.
func (a *Archive) list(ctx context.Context, key string) ([]listedVersion, error) {
	versions, err := a.listVersions(ctx, key)
	if api, ok := errors.AsType[smithy.APIError](err); ok && isWithoutVersions(api.ErrorCode()) {
		versions, err = a.listObjects(ctx, key)
	}
	if err != nil {
		return nil, a.explain("list the objects beside", key, err)
	}
	// S3 lists the newest version of a key first.
	slices.Reverse(versions)
	return versions, nil
}

// isWithoutVersions reports whether a service answered that it does not support versions.
func isWithoutVersions(code string) bool {
	return code == "NotImplemented" || code == "VersioningNotConfigured"
}

func (a *Archive) listVersions(ctx context.Context, key string) ([]listedVersion, error) {
	var versions []listedVersion
	in := &s3.ListObjectVersionsInput{
		Bucket: &a.bucket, Prefix: aws.String(investigation.PlacesPrefix(key)),
	}
	for range pagesMax {
		page, err := a.s3.ListObjectVersions(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, v := range page.Versions {
			versions = appendPlace(versions, key, listedVersion{
				key: aws.ToString(v.Key), id: versionOf(v.VersionId), size: aws.ToInt64(v.Size),
				latest: aws.ToBool(v.IsLatest),
			})
		}
		for _, v := range page.DeleteMarkers {
			versions = appendPlace(versions, key, listedVersion{
				key: aws.ToString(v.Key), id: versionOf(v.VersionId), latest: aws.ToBool(v.IsLatest),
				deleted: true,
			})
		}
		if !aws.ToBool(page.IsTruncated) {
			return versions, nil
		}
		in.KeyMarker, in.VersionIdMarker = page.NextKeyMarker, page.NextVersionIdMarker
	}
	return nil, errTooMany
}

func (a *Archive) listObjects(ctx context.Context, key string) ([]listedVersion, error) {
	var versions []listedVersion
	in := &s3.ListObjectsV2Input{
		Bucket: &a.bucket, Prefix: aws.String(investigation.PlacesPrefix(key)),
	}
	for range pagesMax {
		page, err := a.s3.ListObjectsV2(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			versions = appendPlace(versions, key, listedVersion{
				key: aws.ToString(o.Key), size: aws.ToInt64(o.Size), latest: true,
			})
		}
		if !aws.ToBool(page.IsTruncated) {
			return versions, nil
		}
		in.ContinuationToken = page.NextContinuationToken
	}
	return nil, errTooMany
}

var errTooMany = fmt.Errorf("more than %d versions are in the places of one action: remove what "+
	"Packhorse did not store, and find out who writes there", pagesMax*1000)

// appendPlace appends the version if it lies in a place of key.
func appendPlace(versions []listedVersion, key string, v listedVersion) []listedVersion {
	place, ok := investigation.PlaceOf(key, v.key)
	if !ok {
		return versions
	}
	v.place = place
	return append(versions, v)
}

// at returns the versions of exactly one key, the oldest first, without delete markers.
func at(listed []listedVersion, key string) []listedVersion {
	return slices.DeleteFunc(listed, func(v listedVersion) bool { return v.deleted || v.key != key })
}
