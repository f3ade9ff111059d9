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

	// unprocessedMax is how often in a row a batch may come back without a single item of it. Then
	// the table is throttled, and asking on makes that worse.
	unprocessedMax = 6

	// unprocessedPause is the pause before what was left of a batch is asked for again; it doubles
	// each time nothing came.
	unprocessedPause = 50 * time.Millisecond

	// pagesMax bounds one look at the index. A page that yields nothing due is stale, or strangers.
	pagesMax = 50
)

// Load implements poll.Ledger. Items that are no record are left out; the error names each of them
// and wraps [ErrStranger], and the records returned beside it are all the others.
func (l *Ledger) Load(ctx context.Context, ids []investigation.ID) ([]investigation.Record, error) {
	var records []investigation.Record
	var strangers []error
	asked := make(map[investigation.ID]bool, len(ids))
	var distinct []investigation.ID // DynamoDB refuses a batch that names an item twice
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

// decodeAll returns the records among items, and the errors of the others.
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

// batch reads the items of at most batchMax ids, consistently. DynamoDB may answer for a part of
// them only (UnprocessedKeys); then the rest is asked for again.
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
			return nil, fmt.Errorf("table %s left %d items unread, again and again: it is throttled",
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
	for _, of := range out.Responses { // of one table; an ARN may come back as its name
		answered = append(answered, of...)
	}
	for _, of := range out.UnprocessedKeys {
		left = append(left, of.Keys...)
	}
	return answered, left, nil
}

// Due implements poll.Ledger. Items that are no record are left out; the error names each of them
// and wraps [ErrStranger], and the records returned beside it are all the others.
//
// The index lags behind the table by some milliseconds. What it names too early, or still, is left
// out after the second, consistent look; what it does not name yet comes with the next sweep.
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

// page returns at most limit ids that the index names, and where the next page begins.
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
			continue // cannot be: it is the table's key
		}
		ids = append(ids, idOf(key.Value))
	}
	return ids, out.LastEvaluatedKey, nil
}

// Records returns everything the ledger knows of the tenant, in the order of creation. Items that
// are no record are left out; the error names each of them and wraps [ErrStranger], and the records
// returned beside it are all the others.
//
// It reads the whole table, whatever the tenant's part of it is: one read unit for every 4 KB. It is
// for who lists or verifies an archive, and not for the functions, whose roles do not allow it.
func (l *Ledger) Records(ctx context.Context, tenantID string) ([]investigation.Record, error) {
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
