package embedded

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// stale is the age at which an unfinished upload is removed, as the lifecycle rule does on AWS. A
// killed process leaves one behind.
const stale = 24 * time.Hour

// prepare makes the bucket, with Object Lock if configured, and removes stale uploads.
func prepare(ctx context.Context, client *s3.Client, bucket string, lock bool) error {
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{
		Bucket: &bucket, ObjectLockEnabledForBucket: &lock,
	})
	if err != nil && !strings.Contains(err.Error(), "BucketAlready") {
		return err
	}
	if err != nil && lock {
		err = enableLock(ctx, client, bucket)
		if err != nil {
			return err
		}
	}
	uploads, err := client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		return fmt.Errorf("list unfinished uploads: %w", err)
	}
	for _, upload := range uploads.Uploads {
		if time.Since(aws.ToTime(upload.Initiated)) < stale {
			continue
		}
		_, err = client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
			Bucket: &bucket, Key: upload.Key, UploadId: upload.UploadId,
		})
		if err != nil {
			return fmt.Errorf("remove a stale upload: %w", err)
		}
	}
	return nil
}

// enableLock turns on Object Lock for a bucket of an earlier version. If the server refuses, it
// stays off: an Archive with a lock checks first, and has the better error text.
func enableLock(ctx context.Context, client *s3.Client, bucket string) error {
	_, err := client.GetObjectLockConfiguration(ctx,
		&s3.GetObjectLockConfigurationInput{Bucket: &bucket})
	if err == nil {
		return nil // keeps a default retention that somebody configured
	}
	_, err = client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: &bucket,
		VersioningConfiguration: &types.VersioningConfiguration{
			Status: types.BucketVersioningStatusEnabled,
		},
	})
	if err == nil {
		_, err = client.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{
			Bucket: &bucket,
			ObjectLockConfiguration: &types.ObjectLockConfiguration{
				ObjectLockEnabled: types.ObjectLockEnabledEnabled,
			},
		})
	}
	if _, refused := errors.AsType[*awshttp.ResponseError](err); refused || err == nil {
		return nil
	}
	return fmt.Errorf("turn Object Lock on: %w", err)
}
