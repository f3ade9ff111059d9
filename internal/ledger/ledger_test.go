package ledger_test

import (
	"strconv"
	"testing"

	"packhorse/internal/localcloud/dynamotest"

	conformance "packhorse/internal/conformance/ledger"
	"packhorse/internal/investigation"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func TestLedger(t *testing.T) {
	table := newTable(t)
	conformance.Run(t, func(*testing.T) (one, other conformance.Ledger, spoil conformance.Spoil) {
		return newLedger(table, &dynamotest.Wire{}), newLedger(table, &dynamotest.Wire{}), spoilIn(table)
	})
}

// spoilIn damages items in the table.
func spoilIn(table string) conformance.Spoil {
	return func(t *testing.T, id investigation.ID, field string, value any) {
		t.Helper()
		in := &dynamodb.UpdateItemInput{
			TableName: aws.String(table), UpdateExpression: aws.String("REMOVE #f"),
			Key:                      map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: id.String()}},
			ExpressionAttributeNames: map[string]string{"#f": field},
		}
		put := func(v types.AttributeValue) {
			in.UpdateExpression = aws.String("SET #f = :v")
			in.ExpressionAttributeValues = map[string]types.AttributeValue{":v": v}
		}
		switch v := value.(type) {
		case string:
			put(&types.AttributeValueMemberS{Value: v})
		case int:
			put(&types.AttributeValueMemberN{Value: strconv.Itoa(v)})
		}
		_, err := dynamotest.Client(dynamotest.Direct).UpdateItem(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
	}
}
