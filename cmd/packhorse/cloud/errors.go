package cloud

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"packhorse/internal/doctor"
)

// deniedCodes and missingCodes are how the services name these two. Source: their API references.
var (
	deniedCodes = []string{
		"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "Forbidden",
		"NotAuthorized", "KMSAccessDeniedException",
	}
	missingCodes = []string{
		"ResourceNotFoundException", "NotFoundException", "NoSuchBucket", "NotFound", "NoSuchKey",
		"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "TableNotFoundException", "NoSuchEntity",
	}
)

// seen translates an error of a call that needs the permission action, about the thing what.
func seen(err error, action, what string) error {
	code := codeOf(err)
	status := 0
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		status = answer.HTTPStatusCode()
	}
	switch {
	case err == nil:
		return nil
	case slices.Contains(deniedCodes, code), code == "" && status == http.StatusForbidden:
		return &doctor.DeniedError{Action: action}
	case slices.Contains(missingCodes, code):
		return &doctor.MissingError{What: what}
	default:
		return fmt.Errorf("read %s: %w", what, err)
	}
}

// codeOf returns the service's code of an error, or an empty string.
func codeOf(err error) string {
	if refusal, ok := errors.AsType[smithy.APIError](err); ok {
		return refusal.ErrorCode()
	}
	return ""
}
