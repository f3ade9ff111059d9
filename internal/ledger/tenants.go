package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Tenants returns the ids of the tenants that have a chain, in order. Like [Ledger.Records] it reads
// the whole table, and is not for the functions.
func (l *Ledger) Tenants(ctx context.Context) ([]string, error) {
	ids := map[string]bool{}
	var from item
	for range scanPagesMax {
		items, next, err := l.scanBegun(ctx, from)
		if err != nil {
			return nil, err
		}
		for _, it := range items {
			key, ok := it[namePK].(*types.AttributeValueMemberS)
			if ok {
				id, begun := strings.CutSuffix(key.Value, begunSuffix)
				if begun {
					ids[id] = true
				}
			}
		}
		if len(next) == 0 {
			return slices.Sorted(maps.Keys(ids)), nil
		}
		from = next
	}
	return nil, fmt.Errorf("list the tenants of table %s: it has more than %d pages", l.table, scanPagesMax)
}

// scanBegun returns the keys of one page of the table that say that a chain has begun, and where the
// next page begins.
func (l *Ledger) scanBegun(ctx context.Context, from item) ([]item, item, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	out, err := l.client.Scan(ctx, &dynamodb.ScanInput{
		TableName: aws.String(l.table), ConsistentRead: aws.Bool(true), ExclusiveStartKey: from,
		FilterExpression:          aws.String("contains(#pk, :begun)"),
		ProjectionExpression:      aws.String("#pk"),
		ExpressionAttributeNames:  map[string]string{"#pk": namePK},
		ExpressionAttributeValues: item{":begun": text(begunSuffix)},
	}, l.tuning)
	if err != nil {
		return nil, nil, l.explain("list the tenants of", err)
	}
	return out.Items, out.LastEvaluatedKey, nil
}
