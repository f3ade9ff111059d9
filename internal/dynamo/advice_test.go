package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"packhorse/internal/dynamo"
)

func cancelled(codes ...string) error {
	var reasons []types.CancellationReason
	for _, code := range codes {
		reasons = append(reasons, types.CancellationReason{Code: aws.String(code)})
	}
	return &types.TransactionCanceledException{CancellationReasons: reasons}
}

func TestAdvice(t *testing.T) {
	table := dynamo.Table{
		Variable: "SOME_TABLE", Needs: "dynamodb:GetItem", Keys: "is the key right?",
	}
	const throttled = " (the table is throttled: is it billed per request, with a high enough limit?)"
	for _, test := range []struct {
		err  error
		want string
	}{
		{err: nil},
		{err: errors.New("the cable is out")},
		{err: &smithy.GenericAPIError{Code: "InternalServerError"}},
		{context.DeadlineExceeded, " (DynamoDB did not answer in time: can this host reach it?)"},
		{&smithy.GenericAPIError{Code: "ResourceNotFoundException"},
			" (does SOME_TABLE name a table in this account and region?)"},
		{&smithy.GenericAPIError{Code: "AccessDeniedException"}, " (the role needs dynamodb:GetItem)"},
		{&smithy.GenericAPIError{Code: "ThrottlingException"}, throttled},
		{&smithy.GenericAPIError{Code: "ValidationException"}, " (is the key right?)"},
		{&smithy.GenericAPIError{Code: "ExpiredTokenException"},
			" (AWS refuses the credentials of this process)"},
		{err: cancelled()},
		{err: cancelled("None", "ConditionalCheckFailed", "TransactionConflict")},
		{cancelled("None", "ConditionalCheckFailed", "ThrottlingError"), throttled},
		{cancelled("ProvisionedThroughputExceeded"), throttled},
		{cancelled("None", "ValidationError", "None"), " (is the key right?)"},
	} {
		if test.err != nil {
			test.err = fmt.Errorf("read the table: %w", test.err)
		}
		if got := table.Advice(test.err); got != test.want {
			t.Errorf("%v: got %q, want %q", test.err, got, test.want)
		}
	}
}
