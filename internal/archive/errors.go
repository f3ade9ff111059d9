package archive

import (
	"errors"
	"fmt"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"packhorse/internal/investigation"
)

// The statuses of S3 that mean something to an Archive.
const (
	statusBadRequest         = http.StatusBadRequest
	statusForbidden          = http.StatusForbidden
	statusNotFound           = http.StatusNotFound
	statusNotAllowed         = http.StatusMethodNotAllowed
	statusConflict           = http.StatusConflict
	statusPreconditionFailed = http.StatusPreconditionFailed
)

// conflictError says that an object has other bytes than those that were stored.
type conflictError struct {
	stored investigation.Receipt // what S3 has; with a SHA-256 only where that is known
	size   int64                 // what came, or is there now, in bytes
	crc32c string                // likewise
	sha256 string                // likewise
}

func (e *conflictError) Error() string {
	if e.stored.SHA256 != "" {
		return fmt.Sprintf("%d bytes with SHA-256 %s, not %d with %s", e.size, e.sha256, e.stored.Size,
			e.stored.SHA256)
	}
	return fmt.Sprintf("%d bytes with CRC-32C %q, not %d with %q", e.size, e.crc32c, e.stored.Size,
		e.stored.CRC32C)
}

// statusOf returns the HTTP status of an S3 answer that is an error, or 0.
func statusOf(err error) int {
	answer, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok {
		return 0
	}
	return answer.HTTPStatusCode()
}

// hints say what to do about the errors of S3 that a person can mend.
var hints = map[string]string{
	"AccessDenied":                 "may this principal use the bucket, and the key it is encrypted with?",
	"Forbidden":                    "may this principal use the bucket, and the key it is encrypted with?",
	"NoSuchBucket":                 "create the bucket, or name another",
	"NotFound":                     "create the bucket, or name another",
	"PermanentRedirect":            "the bucket is in another region: set AWS_REGION",
	"MovedPermanently":             "the bucket is in another region: set AWS_REGION",
	"AuthorizationHeaderMalformed": "the bucket is in another region: set AWS_REGION",
	"InvalidAccessKeyId":           "the AWS credentials are not known to this service",
	"SignatureDoesNotMatch":        "the AWS credentials are wrong, or the clock is",
	"RequestTimeTooSkewed":         "set this machine's clock",
	"InsufficientStorage":          "the disk of the archive is full: free some space",
	"QuotaExceeded":                "the disk of the archive is full: free some space",
	"InternalError":                "is the disk of the archive full?",
}

// explain says what was being done to which object, and what may help.
func (a *Archive) explain(doing, key string, err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return a.advise(doing, key, err, hints[api.ErrorCode()])
	}
	return a.advise(doing, key, err, "")
}

// explainPut does so for the request that writes o, which needs more rights the more is asked for.
func (a *Archive) explainPut(doing string, o object, err error) error {
	if isUnlockable(err) {
		return a.advise(doing, o.key, err, unlockableHint)
	}
	if statusOf(err) != statusForbidden || o.rights() == "" {
		return a.explain(doing, o.key, err)
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != "AccessDenied" {
		return a.explain(doing, o.key, err)
	}
	return a.advise(doing, o.key, err, hints["AccessDenied"]+" It needs s3:PutObject"+o.rights())
}

// rights returns what it takes to write the object, beyond s3:PutObject.
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

func (a *Archive) advise(doing, key string, err error, hint string) error {
	object := "s3://" + a.bucket
	if key != "" {
		object += "/" + key
	}
	if hint != "" {
		err = fmt.Errorf("%w (%s)", err, hint)
	}
	return investigation.Because(investigation.CauseArchive, fmt.Errorf("%s %s: %w", doing, object, err))
}
