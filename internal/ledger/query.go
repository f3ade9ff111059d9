package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/pause"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	// batchMax is how many items DynamoDB reads in one BatchGetItem.
	batchMax = 100

	// unprocessedMax is how many times in a row a batch may return nothing. By then the table is
	// throttled, and asking again would make that worse.
	unprocessedMax = 6

	// unprocessedPause is the pause before the rest of a batch is requested again; it doubles each
	// time nothing was returned.
	unprocessedPause = 50 * time.Millisecond

	// pagesMax bounds one query of the index. Pages without due actions hold only stale or invalid
	// items.
	pagesMax = 50
)

// Load implements poll.Ledger. It skips invalid items; the error names each of them and wraps
// [ErrStranger], and the records returned with it are all the others.
func (l *Ledger) Load(ctx context.Context, ids []investigation.ID) ([]investigation.Record, error) {
	var records []investigation.Record
	var strangers []error
	asked := make(map[investigation.ID]bool, len(ids))
	var distinct []investigation.ID // DynamoDB refuses duplicates in a batch
	for _, id := range ids {
		if !asked[id] {
			distinct = append(distinct, id)
		}
		asked[id] = true
	}
	for batch := range slices.Chunk(distinct, batchMax) {
		items, err := l.batch(ctx, batch)
		if err != nil {
			return nil, fmt.Errorf("load %d actions: %w", len(ids), err)
		}
		known, others := decodeAll(items)
		records, strangers = append(records, known...), append(strangers, others)
	}
	return records, errors.Join(strangers...)
}

// decodeAll returns the valid records among items, and the errors of the others.
func decodeAll(items []item) ([]investigation.Record, error) {
	var records []investigation.Record
	var strangers []error
	for _, it := range items {
		known, err := decode(it)
		if err != nil {
			strangers = append(strangers, err)
			continue
		}
		records = append(records, known.Record)
	}
	return records, errors.Join(strangers...)
}

// batch reads the items of at most batchMax ids, consistently. DynamoDB may return only some of
// them (UnprocessedKeys); batch then requests the rest again.
func (l *Ledger) batch(ctx context.Context, ids []investigation.ID) ([]item, error) {
	keys := make([]item, len(ids))
	for i, id := range ids {
		keys[i] = keyOf(id)
	}
	var items []item
	empty := 0
	for len(keys) > 0 {
		answered, left, err := l.batchOnce(ctx, keys)
		if err != nil {
			return nil, err
		}
		items = append(items, answered...)
		if len(left) == 0 {
			return items, nil
		}
		if len(left) < len(keys) {
			empty = 0
		} else if empty++; empty == unprocessedMax {
			return nil, fmt.Errorf("table %s repeatedly left %d items unread: it is throttled",
				l.table, len(left))
		}
		keys = left
		err = pause.For(ctx, unprocessedPause<<empty)
		if err != nil {
			return nil, err
		}
	}
	return items, nil
}

func (l *Ledger) batchOnce(ctx context.Context, keys []item) (answered, left []item, err error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	out, err := l.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
		RequestItems: map[string]types.KeysAndAttributes{
			l.table: {Keys: keys, ConsistentRead: aws.Bool(true)},
		},
	}, l.tuning)
	if err != nil {
		return nil, nil, l.explain("read items of", err)
	}
	for _, of := range out.Responses { // one table only; if named by ARN, it may be returned by name
		answered = append(answered, of...)
	}
	for _, of := range out.UnprocessedKeys {
		left = append(left, of.Keys...)
	}
	return answered, left, nil
}

// Due implements poll.Ledger. It skips invalid items; the error names each of them and wraps
// [ErrStranger], and the records returned with it are all the others.
//
// The index lags behind the table by some milliseconds. A second, consistent read drops the actions
// that the index lists too early or too long; the next sweep finds those it does not list yet.
func (l *Ledger) Due(ctx context.Context, tenantID string, lane investigation.Lane, now time.Time,
	limit int,
) ([]investigation.Record, error) {
	var due []investigation.Record
	var strangers []error
	var from item
	for range pagesMax {
		named, next, err := l.page(ctx, tenantID, lane, now, from, limit-len(due))
		if err != nil {
			return nil, err
		}
		records, err := l.Load(ctx, named)
		if err != nil && !errors.Is(err, ErrStranger) {
			return nil, err
		}
		if err != nil {
			strangers = append(strangers, err)
		}
		for _, rec := range records {
			if rec.Lane == lane && rec.Due(now) {
				due = append(due, rec)
			}
		}
		if len(due) >= limit || len(next) == 0 {
			break
		}
		from = next
	}
	slices.SortFunc(due, func(a, b investigation.Record) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.ActionID, b.ActionID))
	})
	return due, errors.Join(strangers...)
}

// page returns at most limit ids from the index, and where the next page starts.
func (l *Ledger) page(ctx context.Context, tenantID string, lane investigation.Lane, now time.Time,
	from item, limit int,
) ([]investigation.ID, item, error) {
	if limit < 1 {
		return nil, nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	out, err := l.client.Query(ctx, &dynamodb.QueryInput{
		TableName: aws.String(l.table), IndexName: aws.String(dueIndex),
		KeyConditionExpression:   aws.String("#lane = :lane AND #dueAt <= :now"),
		ExpressionAttributeNames: map[string]string{"#lane": nameLane, "#dueAt": nameDueAt},
		ExpressionAttributeValues: item{
			":lane": text(laneKey(tenantID, lane)), ":now": number(now.UnixMilli()),
		},
		Limit: aws.Int32(int32(min(limit, batchMax))), ExclusiveStartKey: from,
	}, l.tuning)
	if err != nil {
		return nil, nil, l.explain("look for due work in", err)
	}
	var ids []investigation.ID
	for _, it := range out.Items {
		key, _ := it[namePK].(*types.AttributeValueMemberS)
		if key == nil {
			continue // impossible: it is the table's key
		}
		ids = append(ids, idOf(key.Value))
	}
	return ids, out.LastEvaluatedKey, nil
}

// scanRecords returns the tenant's records in order of creation from a table without the index by tenant. It
// reads the whole table, even if the tenant's share is small: one read unit for every 4 KB.
func (l *Ledger) scanRecords(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	items, err := l.scan(ctx, &dynamodb.ScanInput{
		FilterExpression: aws.String("begins_with(#pk, :tenant) AND NOT #pk IN (:head, :begun)"),
		ExpressionAttributeValues: item{
			":tenant": text(tenantID + "#"),
			":head":   headKey(tenantID)[namePK], ":begun": begunKey(tenantID)[namePK],
		},
	})
	if err != nil {
		return nil, fmt.Errorf("list the records of tenant %s: %w", tenantID, err)
	}
	records, strangers := decodeAll(items)
	slices.SortFunc(records, investigation.ByCreation)
	return records, strangers
}
