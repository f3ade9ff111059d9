package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// cloudError is an AWS error in plain words, with advice. It wraps the original.
type cloudError struct {
	err  error
	text string
}

func (e *cloudError) Error() string { return e.text }
func (e *cloudError) Unwrap() error { return e.err }

// causesOfCodes explains the error codes of S3, DynamoDB and KMS, with advice. Each text follows
// the name of the operation.
var causesOfCodes = map[string]string{
	"AccessDenied":                           "your AWS identity is not allowed to do this",
	"AccessDeniedException":                  "your AWS identity is not allowed to do this",
	"AllAccessDisabled":                      "access to it is disabled: ask AWS support",
	"AuthorizationHeaderMalformed":           "the bucket is in another region: set AWS_REGION to that region",
	"PermanentRedirect":                      "the bucket is in another region: set AWS_REGION to that region",
	"IllegalLocationConstraintException":     "the bucket is in another region: set AWS_REGION to that region",
	"ExpiredToken":                           "your AWS session has expired: sign in again (aws sso login)",
	"ExpiredTokenException":                  "your AWS session has expired: sign in again (aws sso login)",
	"InvalidAccessKeyId":                     "AWS does not know your access key: check AWS_PROFILE",
	"UnrecognizedClientException":            "AWS does not know your access key: check AWS_PROFILE",
	"SignatureDoesNotMatch":                  "your secret access key is wrong: check AWS_PROFILE",
	"RequestTimeTooSkewed":                   "this machine's clock is wrong: set it",
	"NoSuchBucket":                           "the bucket does not exist: check its name, the region and --s3-endpoint",
	"NoSuchKey":                              "it no longer exists: verify again",
	"NoSuchVersion":                          "this version no longer exists: verify again",
	"NotFound":                               "it no longer exists: verify again",
	"ResourceNotFoundException":              "the table does not exist: check its name and AWS_REGION",
	"SlowDown":                               "it is throttling requests: try again in a minute",
	"ProvisionedThroughputExceededException": "it is throttling requests: try again in a minute",
	"ThrottlingException":                    "it is throttling requests: try again in a minute",
	"InternalError":                          "the service failed: try again later",
	"ServiceUnavailable":                     "the service is not available: try again later",
	"InvalidObjectState":                     "it is in an archive tier of S3: restore it first (aws s3api restore-object)",
}

// Explain adds the meaning of an AWS error and advice. It returns other errors unchanged.
func Explain(err error) error {
	text := cause(err)
	if text == "" {
		return err
	}
	if code := codeOf(err); code != "" {
		text += " (AWS says " + code
		if response, ok := errors.AsType[*awshttp.ResponseError](err); ok && response.RequestID != "" {
			text += ", request " + response.RequestID
		}
		text += ")"
	}
	return &cloudError{err, text}
}

// cause returns the meaning of an error, or "" if the error's own text is better.
func cause(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		if strings.Contains(api.ErrorMessage(), "kms:") {
			return "your AWS identity may not use the key that encrypts it: allow kms:Decrypt on that key"
		}
		if known := causesOfCodes[api.ErrorCode()]; known != "" {
			return known
		}
		return fmt.Sprintf("AWS refused: %s", api.ErrorMessage())
	}
	operation, ok := errors.AsType[*smithy.OperationError](err)
	if !ok || errors.Is(err, context.Canceled) {
		return ""
	}
	switch text := err.Error(); {
	case strings.Contains(text, "get identity"), strings.Contains(text, "failed to retrieve credentials"),
		strings.Contains(text, "refresh cached credentials"):
		return "no AWS credentials found: sign in (aws sso login), or set AWS_PROFILE"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf("the name %s cannot be resolved: check the network and AWS_REGION", dns.Name)
	}
	if connection, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Sprintf("%s cannot be reached (%v): check the network, HTTPS_PROXY and --s3-endpoint",
			operation.Service(), connection.Err)
	}
	return ""
}
