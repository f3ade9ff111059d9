package ledger

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// scanPagesMax bounds a scan of the whole table: about ten gigabytes, or ten million actions.
const scanPagesMax = 10_000

// scan returns the items of the whole table that match in's filter, read consistently. The filter
// refers to the key as #pk.
func (l *Ledger) scan(ctx context.Context, in *dynamodb.ScanInput) ([]item, error) {
	in.TableName, in.ConsistentRead = aws.String(l.table), aws.Bool(true)
	in.ExpressionAttributeNames = map[string]string{"#pk": namePK}
	return l.pages(ctx, in)
}

// pages returns the items of every page of a scan.
func (l *Ledger) pages(ctx context.Context, in *dynamodb.ScanInput) ([]item, error) {
	var items []item
	for range scanPagesMax {
		out, err := l.scanPage(ctx, in)
		if err != nil {
			return nil, err
		}
		items = append(items, out.Items...)
		if len(out.LastEvaluatedKey) == 0 {
			return items, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
	return nil, fmt.Errorf("table %s has more than %d pages", l.table, scanPagesMax)
}

func (l *Ledger) scanPage(ctx context.Context, in *dynamodb.ScanInput) (*dynamodb.ScanOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	out, err := l.client.Scan(ctx, in, l.tuning)
	if err != nil {
		return nil, l.explain("read", err)
	}
	return out, nil
}
