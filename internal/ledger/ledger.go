// Package ledger is the durable record of every action, in DynamoDB: one item per action, and a
// sparse index of the actions that have work to do. It serves the use cases poll and fetch.
//
// A change reads the item consistently, lets package investigation decide, and writes on the
// condition that the item still has the version that was read; every write gives the item a new
// version name. If the condition fails, DynamoDB returns the current item (ALL_OLD), and the ledger
// decides again from that. So each change is one conditional write, and a change without effect
// writes nothing. docs/ledger.md lists what that costs.
//
// A change that seals is one transaction of such writes: the action's item, and the head of its
// tenant's chain of manifests, which is an item in the same table.
//
// The table needs a partition key "pk" (string) and the index "due" with the keys "lane" (string)
// and "dueAt" (number). This package neither creates tables nor deletes actions.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"packhorse/internal/dynamo"
	"packhorse/internal/investigation"
	"packhorse/internal/pause"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	// attemptsMax is how often the SDK sends one operation. A write whose response was lost may be
	// sent again: its condition is false by then, and the item returned with the refusal names the
	// write that made it.
	attemptsMax = 4

	// backoffMax bounds the pause between attempts.
	backoffMax = 250 * time.Millisecond

	// operationTimeout bounds one operation including its retries. DynamoDB responds in milliseconds.
	operationTimeout = 10 * time.Second

	// refusalsMax is how often others may change an item before a change to it gives up. Among n
	// concurrent writers nobody is refused more than n times, and a tick and a few fetchers are far
	// fewer.
	refusalsMax = 50
)

var (
	// ErrContended means that others changed the item before each attempt. This change was not
	// written.
	ErrContended = errors.New("others kept changing the item")

	// errRefused means that the condition of a write was false.
	errRefused = errors.New("the item has changed")
)

// Ledger stores the ledger of all tenants in one table. It is safe for concurrent use.
type Ledger struct {
	client *dynamodb.Client
	table  string
	tuning func(*dynamodb.Options)
}

// New returns the ledger stored in the table. It uses its own retryer instead of the client's: at
// most four attempts, at most a quarter of a second apart.
func New(client *dynamodb.Client, table string) *Ledger {
	retryer := retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attemptsMax
		o.MaxBackoff = backoffMax
	})
	return &Ledger{client: client, table: table,
		tuning: func(o *dynamodb.Options) { o.Retryer = retryer }}
}

// Change implements poll.Ledger and fetch.Ledger: it reads, applies the change and writes, and
// repeats this if somebody else wrote in between.
func (l *Ledger) Change(ctx context.Context, id investigation.ID, c investigation.Change) (
	investigation.Record, error,
) {
	rec, err := l.change(ctx, id, c)
	if err != nil {
		return investigation.Record{}, c.Explain(id, err)
	}
	return rec, nil
}

func (l *Ledger) change(ctx context.Context, id investigation.ID, c investigation.Change) (
	investigation.Record, error,
) {
	known, err := l.read(ctx, id)
	if err != nil {
		return investigation.Record{}, err
	}
	for range refusalsMax {
		next, err := c.Apply(known.Record)
		if err != nil || next == known.Record { // already applied: nothing to write
			return next, err
		}
		write := versioned{next, newVersion()}
		current, err := l.write(ctx, write, known.version)
		if err == nil {
			return next, nil
		}
		if !errors.Is(err, errRefused) {
			return investigation.Record{}, err
		}
		if current.version == write.version {
			return next, nil // it was written; only the response was lost
		}
		known = current
	}
	return investigation.Record{}, ErrContended
}

// read returns the current record, or the zero value if it does not exist.
func (l *Ledger) read(ctx context.Context, id investigation.ID) (versioned, error) {
	it, err := l.readItem(ctx, keyOf(id))
	if err != nil || len(it) == 0 {
		return versioned{}, err
	}
	return decode(it)
}

func (l *Ledger) readItem(ctx context.Context, key item) (item, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	out, err := l.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String(l.table), Key: key, ConsistentRead: aws.Bool(true),
	}, l.tuning)
	if err != nil {
		return nil, l.explain("read the item in", err)
	}
	return out.Item, nil
}

// write replaces version was with next. If somebody else wrote first, it returns errRefused and the
// current item.
func (l *Ledger) write(ctx context.Context, next versioned, was string) (versioned, error) {
	u, err := updateOf(next, was)
	if err != nil {
		return versioned{}, err
	}
	call, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	_, err = l.client.UpdateItem(call, &dynamodb.UpdateItemInput{
		TableName: aws.String(l.table), Key: keyOf(next.ID),
		UpdateExpression: aws.String(u.change), ConditionExpression: aws.String(u.condition),
		ExpressionAttributeNames: u.names, ExpressionAttributeValues: u.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, l.tuning)
	if err == nil {
		return versioned{}, nil
	}
	refusal, refused := errors.AsType[*types.ConditionalCheckFailedException](err)
	_, inTransaction := errors.AsType[*types.TransactionConflictException](err)
	var current versioned
	switch {
	case refused && len(refusal.Item) > 0:
		current, err = decode(refusal.Item)
	case refused: // without an item: it was deleted, or the server does not return it
		current, err = l.read(ctx, next.ID)
	case inTransaction: // somebody is sealing it right now
		err = pause.For(ctx, conflictPause(0))
		if err == nil {
			current, err = l.read(ctx, next.ID)
		}
	default:
		err = l.explain("write the item in", err)
	}
	if err != nil {
		return versioned{}, err
	}
	return current, errRefused
}

// about is what an error says about the ledger's table.
var about = dynamo.Table{
	Variable: "LEDGER_TABLE",
	Needs: "dynamodb:GetItem, BatchGetItem, UpdateItem on the table, " +
		"Query on its index \"due\", and the use of its key; who lists or verifies needs Scan",
	Keys: "has the table the partition key \"pk\", and the index \"due\" on lane and dueAt?",
}

// explain adds to an error of the SDK what to do about it.
func (l *Ledger) explain(what string, err error) error {
	return fmt.Errorf("%s table %s: %w%s", what, l.table, err, about.Advice(err))
}
