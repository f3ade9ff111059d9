package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"packhorse/internal/investigation"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// tenantIndex has an action's keys by tenant and creation time. Both attributes are in every item that a
// release has written, so DynamoDB fills the index of an older table by itself. They never change: the
// index costs one write for each action.
const tenantIndex = "byTenant"

// errNoIndex means that the table lacks the index: it is of an older release and was not upgraded.
var errNoIndex = errors.New("the table lacks the index " + tenantIndex)

// keyTime writes a time as the index has it. Its order is that of the times, except within a second.
func keyTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// Find returns the tenant's records that the filter selects, newest first. It reads the actions of the tenant
// from Since to Until, and stops at Limit; it skips invalid items as [Ledger.Records] does. The index lags
// behind the table by some milliseconds.
func (l *Ledger) Find(ctx context.Context, f investigation.Filter) ([]investigation.Record, error) {
	var found []investigation.Record
	var strangers []error
	var from item
	for range scanPagesMax {
		ids, next, err := l.tenantPage(ctx, f, from)
		if errors.Is(err, errNoIndex) {
			return l.findByScan(ctx, f)
		}
		if err != nil {
			return nil, err
		}
		records, err := l.Load(ctx, ids)
		if err != nil && !errors.Is(err, ErrStranger) {
			return nil, err
		}
		if err != nil {
			strangers = append(strangers, err)
		}
		found = append(found, f.Select(records)...)
		if len(next) == 0 || f.Limit > 0 && len(found) >= f.Limit {
			return f.Select(found), errors.Join(strangers...)
		}
		from = next
	}
	return nil, fmt.Errorf("tenant %s has more than %d pages in table %s", f.TenantID, scanPagesMax, l.table)
}

// findByScan is Find for a table without the index.
func (l *Ledger) findByScan(ctx context.Context, f investigation.Filter) ([]investigation.Record, error) {
	all, err := l.scanRecords(ctx, f.TenantID)
	return f.Select(all), err
}

// tenantPage returns the next ids of the filter's tenant and time, newest first, and where the next page
// starts.
func (l *Ledger) tenantPage(ctx context.Context, f investigation.Filter, from item) ([]investigation.ID, item, error) {
	condition, values := "#tenant = :tenant", item{":tenant": text(f.TenantID)}
	names := map[string]string{"#tenant": nameTenantID}
	since, until := f.Since, f.Until
	if !since.IsZero() || !until.IsZero() {
		if until.IsZero() {
			until = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
		}
		condition += " AND #created BETWEEN :since AND :until"
		names["#created"] = nameCreatedAt
		// A second more on both sides, because the order within one is not that of the times.
		values[":since"] = text(keyTime(since.Truncate(time.Second).Add(-time.Second)))
		values[":until"] = text(keyTime(until.Truncate(time.Second).Add(2 * time.Second)))
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	out, err := l.client.Query(ctx, &dynamodb.QueryInput{
		TableName: aws.String(l.table), IndexName: aws.String(tenantIndex),
		KeyConditionExpression: aws.String(condition), ExpressionAttributeNames: names,
		ExpressionAttributeValues: values, ScanIndexForward: aws.Bool(false),
		Limit: aws.Int32(batchMax), ExclusiveStartKey: from,
	}, l.tuning)
	if refusal, ok := errors.AsType[smithy.APIError](err); ok && refusal.ErrorCode() == "ValidationException" &&
		strings.Contains(refusal.ErrorMessage(), "index") {
		return nil, nil, errNoIndex
	}
	if err != nil {
		return nil, nil, l.explain("list a tenant's actions in", err)
	}
	var ids []investigation.ID
	for _, it := range out.Items {
		if key, ok := it[namePK].(*types.AttributeValueMemberS); ok {
			ids = append(ids, idOf(key.Value))
		}
	}
	return ids, out.LastEvaluatedKey, nil
}

// Records returns all of the tenant's records, in order of creation. It skips invalid items; the error names
// each of them and wraps [ErrStranger], and the records returned with it are all the others. An item without a
// tenant or a creation time is not in the index: it is neither returned nor named.
//
// It is meant for listing and verifying an archive. The functions do not use it, and their roles do not allow
// it.
func (l *Ledger) Records(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	records, err := l.Find(ctx, investigation.Filter{TenantID: tenantID})
	if err != nil && !errors.Is(err, ErrStranger) {
		return nil, fmt.Errorf("list the records of tenant %s: %w", tenantID, err)
	}
	slices.SortFunc(records, investigation.ByCreation)
	return records, err
}
