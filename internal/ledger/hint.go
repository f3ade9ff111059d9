package ledger

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
		return " (does LEDGER_TABLE name a table of this account and region?)"
	case "AccessDeniedException":
		return " (the role needs dynamodb:GetItem, BatchGetItem, UpdateItem on the table, " +
			"Query on its index \"due\", and the use of its key)"
	case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded":
		return " (the table is throttled: is it billed per request, and its limit high enough?)"
	case "ValidationException":
		return " (has the table the partition key \"pk\", and the index \"due\" on lane and dueAt?)"
	case "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException":
		return " (AWS refuses the credentials of this process)"
	default:
		return ""
	}
}
