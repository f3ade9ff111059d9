package archive

import (
	"errors"
	"fmt"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"packhorse/internal/investigation"
)

// The statuses S3 answers conditional requests with.
const (
	statusNotFound           = http.StatusNotFound
	statusConflict           = http.StatusConflict
	statusPreconditionFailed = http.StatusPreconditionFailed
)

// ConflictError says that the object under a key has other bytes than it should. It is not
// replaced.
type ConflictError struct {
	Key    string
	Stored investigation.Receipt // what S3 has; without SHA256
	Size   int64                 // what came, in bytes
	CRC32C string                // of what came
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the object %s holds other bytes: %d bytes with CRC-32C %s, not %d with %s",
		e.Key, e.Stored.Size, e.Stored.CRC32C, e.Size, e.CRC32C)
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
	object := "s3://" + a.bucket
	if key != "" {
		object += "/" + key
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		if hint := hints[api.ErrorCode()]; hint != "" {
			return fmt.Errorf("%s %s: %w (%s)", doing, object, err, hint)
		}
	}
	return fmt.Errorf("%s %s: %w", doing, object, err)
}
