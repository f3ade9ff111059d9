// Package dynamo is shared by the DynamoDB adapters: it says why a transaction was canceled, and
// advises an operator on errors.
package dynamo

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// Table describes a table in advice. Each field completes a sentence.
type Table struct {
	Variable string // names the table, such as LEDGER_TABLE
	Needs    string // "the role needs …": the permissions
	Keys     string // a question about the table's keys, ending in "?"
}

// Advice returns advice on a DynamoDB error, in parentheses after a space, to append to the error's
// text; or "" if it has none.
func (t Table) Advice(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return " (DynamoDB did not answer in time: can this host reach it?)"
	}
	switch codeOf(err) {
	case "ResourceNotFoundException":
		return " (does " + t.Variable + " name a table in this account and region?)"
	case "AccessDeniedException":
		return " (the role needs " + t.Needs + ")"
	case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded",
		ReasonThroughput, ReasonThrottled:
		return " (the table is throttled: is it billed per request, with a high enough limit?)"
	case "ValidationException", reasonInvalid:
		return " (" + t.Keys + ")"
	case "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException":
		return " (AWS refuses the credentials of this process)"
	default:
		return ""
	}
}

// codeOf returns the code of an error; for a canceled transaction, that of the reason to act on.
func codeOf(err error) string {
	if cancelled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		return Worst(cancelled.CancellationReasons)
	}
	if failure, ok := errors.AsType[smithy.APIError](err); ok {
		return failure.ErrorCode()
	}
	return ""
}

// The reasons why DynamoDB rejects a part of a transaction. The SDK has no constants for them.
const (
	ReasonNone            = "None"
	ReasonConditionFailed = "ConditionalCheckFailed"
	ReasonConflict        = "TransactionConflict" // another transaction is changing the item
	ReasonThroughput      = "ProvisionedThroughputExceeded"
	ReasonThrottled       = "ThrottlingError"
	reasonInvalid         = "ValidationError"
)

// Worst returns the first reason for a canceled transaction that a person has to act on, or "" if
// all reasons are concurrent writes: a false condition or a conflict.
func Worst(reasons []types.CancellationReason) string {
	for _, reason := range reasons {
		switch code := aws.ToString(reason.Code); code {
		case ReasonNone, ReasonConditionFailed, ReasonConflict:
		default:
			return code
		}
	}
	return ""
}
