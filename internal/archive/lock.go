package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"packhorse/internal/investigation"
)

// retentionOf returns an object's retention as S3 reports it.
func retentionOf(head *s3.HeadObjectOutput) investigation.Retention {
	r := investigation.Retention{
		Mode:      string(head.ObjectLockMode),
		LegalHold: head.ObjectLockLegalHoldStatus == types.ObjectLockLegalHoldStatusOn,
	}
	if r.Mode != "" && head.ObjectLockRetainUntilDate != nil {
		r.Until = head.ObjectLockRetainUntilDate.UTC().Truncate(time.Second)
	}
	return r
}

// lockable reports whether the bucket takes objects with the Archive's Lock.
func (a *Archive) lockable(ctx context.Context) error {
	out, err := a.s3.GetObjectLockConfiguration(ctx,
		&s3.GetObjectLockConfigurationInput{Bucket: &a.bucket})
	if statusOf(err) == statusForbidden {
		return fmt.Errorf("check whether s3://%s has Object Lock: %w (is this principal allowed "+
			"s3:GetBucketObjectLockConfiguration?)", a.bucket, err)
	}
	if err != nil && !isUnlockable(err) {
		return a.explain("get the Object Lock configuration of", "", err)
	}
	if err == nil && out.ObjectLockConfiguration != nil &&
		out.ObjectLockConfiguration.ObjectLockEnabled == types.ObjectLockEnabledEnabled {
		return nil
	}
	return fmt.Errorf("s3://%s %w: %s", a.bucket, ErrUnlockable, unlockableAdvice)
}

// ErrUnlockable is wrapped by the errors about a bucket without Object Lock.
var ErrUnlockable = errors.New("has no Object Lock")

const unlockableAdvice = "create the bucket with Object Lock, or set OBJECT_LOCK_MODE=NONE and no legal hold"

// isUnlockable reports whether S3 answered that the bucket lacks Object Lock. For a put with a
// lock, only the message says so.
func isUnlockable(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && (api.ErrorCode() == "ObjectLockConfigurationNotFoundError" ||
		api.ErrorCode() == "InvalidRequest" &&
			strings.Contains(api.ErrorMessage(), "Object Lock Configuration"))
}
