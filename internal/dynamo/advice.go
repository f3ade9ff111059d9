// Package dynamo has what the adapters of DynamoDB share: why a transaction was cancelled, and what an
// operator can do about an error.
package dynamo

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// Table is what advice says about a table. Each field completes a sentence.
type Table struct {
	Variable string // names the table, such as LEDGER_TABLE
	Needs    string // "the role needs …": the permissions
	Keys     string // a question that ends in "?": are the table's keys right
}

// Advice returns what to do about an error of DynamoDB's: a space and a parenthesis to end its text with,
// or nothing where there is nothing to advise.
func (t Table) Advice(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return " (DynamoDB did not answer in time: is it reachable from here?)"
	}
	switch codeOf(err) {
	case "ResourceNotFoundException":
		return " (does " + t.Variable + " name a table of this account and region?)"
	case "AccessDeniedException":
		return " (the role needs " + t.Needs + ")"
	case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded",
		ReasonThroughput, ReasonThrottled:
		return " (the table is throttled: is it billed per request, and its limit high enough?)"
	case "ValidationException", reasonInvalid:
		return " (" + t.Keys + ")"
	case "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException":
		return " (AWS refuses the credentials of this process)"
	default:
		return ""
	}
}

// codeOf returns the code of an error, and for a cancelled transaction that of the reason to act on.
func codeOf(err error) string {
	if cancelled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		return Worst(cancelled.CancellationReasons)
	}
	if failure, ok := errors.AsType[smithy.APIError](err); ok {
		return failure.ErrorCode()
	}
	return ""
}

// Why a part of a transaction was not done. The SDK has no names for these.
const (
	ReasonNone            = "None"
	ReasonConditionFailed = "ConditionalCheckFailed"
	ReasonConflict        = "TransactionConflict" // it is in another one at this moment
	ReasonThroughput      = "ProvisionedThroughputExceeded"
	ReasonThrottled       = "ThrottlingError"
	reasonInvalid         = "ValidationError"
)

// Worst returns the first reason for which a transaction was cancelled that somebody has to act on, or ""
// if all are others' writes: a condition that was false, a conflict.
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
