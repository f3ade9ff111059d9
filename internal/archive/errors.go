package archive

import (
	"errors"
	"fmt"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"packhorse/internal/investigation"
)

// The S3 statuses that an Archive acts on.
const (
	statusBadRequest         = http.StatusBadRequest
	statusForbidden          = http.StatusForbidden
	statusNotFound           = http.StatusNotFound
	statusNotAllowed         = http.StatusMethodNotAllowed
	statusConflict           = http.StatusConflict
	statusPreconditionFailed = http.StatusPreconditionFailed
)

// conflictError reports that an object's bytes differ from those that were stored.
type conflictError struct {
	stored investigation.Receipt // S3's copy; has a SHA-256 only if it is known
	size   int64                 // of the bytes received or found, in bytes
	crc32c string                // of the same bytes
	sha256 string                // of the same bytes
}

func (e *conflictError) Error() string {
	if e.stored.SHA256 != "" {
		return fmt.Sprintf("%d bytes with SHA-256 %s, not %d with %s", e.size, e.sha256, e.stored.Size,
			e.stored.SHA256)
	}
	return fmt.Sprintf("%d bytes with CRC-32C %q, not %d with %q", e.size, e.crc32c, e.stored.Size,
		e.stored.CRC32C)
}

// statusOf returns the HTTP status of an S3 error, or 0.
func statusOf(err error) int {
	answer, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok {
		return 0
	}
	return answer.HTTPStatusCode()
}

// remedies are the advice for the S3 errors that a person can fix.
var remedies = map[string]string{
	"AccessDenied":                 "may this principal use the bucket, and the key it is encrypted with?",
	"Forbidden":                    "may this principal use the bucket, and the key it is encrypted with?",
	"NoSuchBucket":                 "create the bucket, or name another one",
	"NotFound":                     "create the bucket, or name another one",
	"PermanentRedirect":            "the bucket is in another region: set AWS_REGION",
	"MovedPermanently":             "the bucket is in another region: set AWS_REGION",
	"AuthorizationHeaderMalformed": "the bucket is in another region: set AWS_REGION",
	"InvalidAccessKeyId":           "this service does not know the AWS credentials",
	"SignatureDoesNotMatch":        "the AWS credentials or the clock are wrong",
	"RequestTimeTooSkewed":         "set this machine's clock",
	"InsufficientStorage":          "the disk of the archive is full: free some space",
	"QuotaExceeded":                "the disk of the archive is full: free some space",
	"InternalError":                "is the disk of the archive full?",
}

// explain names the operation and the object, and adds advice if there is any.
func (a *Archive) explain(doing, key string, err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return a.advise(doing, key, err, remedies[api.ErrorCode()])
	}
	return a.advise(doing, key, err, "")
}

// explainPut explains a failed request that writes o. Locks and tags need more permissions.
func (a *Archive) explainPut(doing string, o object, err error) error {
	if isUnlockable(err) {
		return a.advise(doing, o.key, err, unlockableAdvice)
	}
	if statusOf(err) != statusForbidden || o.rights() == "" {
		return a.explain(doing, o.key, err)
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != "AccessDenied" {
		return a.explain(doing, o.key, err)
	}
	return a.advise(doing, o.key, err, remedies["AccessDenied"]+" It needs s3:PutObject"+o.rights())
}

// rights lists the permissions that writing the object takes besides s3:PutObject.
func (o *object) rights() string {
	var rights string
	if o.retention.Mode != "" {
		rights += ", s3:PutObjectRetention"
	}
	if o.retention.LegalHold {
		rights += ", s3:PutObjectLegalHold"
	}
	if o.tagging != nil {
		rights += ", s3:PutObjectTagging"
	}
	return rights
}

func (a *Archive) advise(doing, key string, err error, advice string) error {
	object := "s3://" + a.bucket
	if key != "" {
		object += "/" + key
	}
	if advice != "" {
		err = fmt.Errorf("%w (%s)", err, advice)
	}
	return investigation.Because(investigation.CauseArchive, fmt.Errorf("%s %s: %w", doing, object, err))
}
