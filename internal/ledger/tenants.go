package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Tenants returns the ids of the tenants that have a chain, in order. Like [Ledger.Records] it
// reads the whole table and is not for the functions.
func (l *Ledger) Tenants(ctx context.Context) ([]string, error) {
	items, err := l.scan(ctx, &dynamodb.ScanInput{
		FilterExpression:          aws.String("contains(#pk, :begun)"),
		ProjectionExpression:      aws.String("#pk"),
		ExpressionAttributeValues: item{":begun": text(begunSuffix)},
	})
	if err != nil {
		return nil, fmt.Errorf("list the tenants: %w", err)
	}
	var ids []string
	for _, it := range items {
		key, ok := it[namePK].(*types.AttributeValueMemberS)
		if !ok {
			continue
		}
		if id, begun := strings.CutSuffix(key.Value, begunSuffix); begun {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Busy implements status.Fleet: it reads the index of due work of all tenants, which has only actions that are to be
// fetched or concluded. It is not for the functions, whose roles do not allow it.
func (l *Ledger) Busy(ctx context.Context) (map[string]bool, error) {
	items, err := l.pages(ctx, &dynamodb.ScanInput{TableName: aws.String(l.table), IndexName: aws.String(dueIndex)})
	if err != nil {
		return nil, fmt.Errorf("look for tenants with work: %w", err)
	}
	busy := map[string]bool{}
	for _, it := range items {
		if key, ok := it[namePK].(*types.AttributeValueMemberS); ok {
			busy[idOf(key.Value).TenantID] = true
		}
	}
	return busy, nil
}
