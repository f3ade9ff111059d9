package ledger

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
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
	code := failure.ErrorCode()
	if cancelled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		code = worst(cancelled.CancellationReasons)
	}
	switch code {
	case "ResourceNotFoundException":
		return " (does LEDGER_TABLE name a table of this account and region?)"
	case "AccessDeniedException":
		return " (the role needs dynamodb:GetItem, BatchGetItem, UpdateItem on the table, " +
			"Query on its index \"due\", and the use of its key; who lists or verifies needs Scan)"
	case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded",
		codeThroughput, codeThrottled:
		return " (the table is throttled: is it billed per request, and its limit high enough?)"
	case "ValidationException", "ValidationError":
		return " (has the table the partition key \"pk\", and the index \"due\" on lane and dueAt?)"
	case "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException":
		return " (AWS refuses the credentials of this process)"
	default:
		return ""
	}
}

// worst returns the code of a cancelled transaction that there is something to do about: the first
// that is not part of the game.
func worst(reasons []types.CancellationReason) string {
	for _, reason := range reasons {
		switch code := aws.ToString(reason.Code); code {
		case codeNone, codeConditionFailed, codeConflict:
		default:
			return code
		}
	}
	return ""
}
