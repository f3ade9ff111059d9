package dynamocounter

import (
	"context"
	"errors"

	"github.com/aws/smithy-go"
)

// hint says what to do about an error of DynamoDB's, where that is known.
func hint(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return " (DynamoDB did not answer in time: is it reachable from here?)"
	}
	failure, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return ""
	}
	switch failure.ErrorCode() {
	case "ResourceNotFoundException":
		return " (does BUDGET_TABLE name a table of this account and region?)"
	case "AccessDeniedException":
		return " (the role needs dynamodb:GetItem and dynamodb:UpdateItem on the table, and the use " +
			"of its key)"
	case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded":
		return " (the table is throttled: is it billed per request, and its limit high enough?)"
	case "ValidationException":
		return " (is the table's partition key the string \"pk\", with no sort key?)"
	case "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException":
		return " (AWS refuses the credentials of this process)"
	default:
		return ""
	}
}
