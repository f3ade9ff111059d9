// Package dynamocounter is the ratelimit.Counter that workers on many machines share: one DynamoDB
// item per budget, changed by conditional writes only.
//
// A change reads the item, lets the pure ratelimit.State decide, and writes what is different on
// the condition that nothing it was decided upon has changed. If something has, the refusal brings
// the item along (ALL_OLD) and it is decided anew. The read is a guess that makes a denial cost no
// write: it is priced at a fifth of one, and unlike a remembered retry time it is never out of
// date, so that a slot settled early by another process is used at once. What holds the budget is
// the condition of the write.
//
// A call that is sent costs two write units (lease, settle) and two read units; a denial costs one
// read unit. An item of more than a kilobyte, some 15 slots, costs twice that.
//
// The table needs a partition key "pk" (string) and MUST NOT have a TTL. The package makes no
// table, and keeps no state of its own but the SDK's.
package dynamocounter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"packhorse/internal/dynamo"
	"packhorse/internal/ratelimit"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
)

const (
	// attemptsMax is how often the SDK sends one operation. A write whose answer was lost may be
	// sent again: its condition is false by then, and the item that comes with the refusal names
	// the owner, so that it is known whose write it was.
	attemptsMax = 3

	// backoffMax bounds the pause between two attempts. A lease that comes late is of no use.
	backoffMax = 250 * time.Millisecond

	// operationTimeout bounds one operation with all its attempts, well within ratelimit.MaxCall.
	// DynamoDB answers in milliseconds.
	operationTimeout = 5 * time.Second
)

var (
	// ErrContended says that others changed the budget each time before it could be changed here.
	// It was not changed.
	ErrContended = errors.New("others kept changing the budget")

	// errRefused: the condition of a write was false.
	errRefused = errors.New("the item has changed")
)

// Counter implements ratelimit.Counter. It is safe for concurrent use.
type Counter struct {
	client *dynamodb.Client
	table  string
	now    func() time.Time
	tuning func(*dynamodb.Options)
}

// New returns the counter kept in the table. now is the clock that is compared with DynamoDB's, and
// MUST be the one whose instants Lease and Settle are given in production.
//
// The counter's calls are repeated by a retryer of its own, whatever the client has: at most three
// attempts, at most a quarter of a second apart.
func New(client *dynamodb.Client, table string, now func() time.Time) *Counter {
	retryer := retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attemptsMax
		o.MaxBackoff = backoffMax
	})
	tuning := func(o *dynamodb.Options) { o.Retryer = retryer }
	return &Counter{client: client, table: table, now: now, tuning: tuning}
}

// Lease implements ratelimit.Counter. It leases nothing and returns a *[SkewError] where the clock
// is certainly wrong, and an error that wraps [ErrStranger] where the item is none of ours.
func (c *Counter) Lease(ctx context.Context, b ratelimit.Budget, owner string, now time.Time) (
	ratelimit.Decision, error,
) {
	var d ratelimit.Decision
	err := c.apply(ctx, b, true, func(s ratelimit.State) ratelimit.State {
		s, d = s.Lease(b, owner, now)
		return s
	})
	if err != nil {
		return ratelimit.Decision{}, fmt.Errorf("lease of budget %s: %w", b.Name, err)
	}
	return d, nil
}

// Settle implements ratelimit.Counter. Where the clock is certainly wrong it returns a *[SkewError]
// and the slot stays leased until its deadline: a clock that is behind would free it too early.
func (c *Counter) Settle(ctx context.Context, b ratelimit.Budget, owner string, slot int,
	answeredAt time.Time,
) error {
	err := c.apply(ctx, b, true, func(s ratelimit.State) ratelimit.State {
		return s.Settle(b, owner, slot, answeredAt)
	})
	if err != nil {
		return fmt.Errorf("settle slot %d of budget %s: %w", slot, b.Name, err)
	}
	return nil
}

// CoolDown implements ratelimit.Counter. It is written whatever the clock says: a cooldown only ever
// takes calls away.
func (c *Counter) CoolDown(ctx context.Context, b ratelimit.Budget, until time.Time) error {
	err := c.apply(ctx, b, false, func(s ratelimit.State) ratelimit.State { return s.CoolDown(until) })
	if err != nil {
		return fmt.Errorf("cool down budget %s: %w", b.Name, err)
	}
	return nil
}

// Peek implements ratelimit.Counter. It does not lag.
func (c *Counter) Peek(ctx context.Context, b ratelimit.Budget) (ratelimit.State, error) {
	err := b.Validate()
	if err != nil {
		return ratelimit.State{}, err
	}
	s, _, err := c.read(ctx, b)
	if err != nil {
		return ratelimit.State{}, fmt.Errorf("peek at budget %s: %w", b.Name, err)
	}
	return s, nil
}

// apply changes a budget. checkClock has it refuse, before anything is written, where the clock is
// certainly wrong.
func (c *Counter) apply(ctx context.Context, b ratelimit.Budget, checkClock bool,
	change func(ratelimit.State) ratelimit.State,
) error {
	err := b.Validate()
	if err != nil {
		return err
	}
	before, skew, err := c.read(ctx, b)
	if err != nil {
		return err
	}
	if checkClock && skew.Abs() > SkewMax {
		return &SkewError{Skew: skew}
	}
	// Each refusal is a slot that somebody else leased or settled, or a cooldown.
	for range 4 * (b.Slots() + 1) {
		write, changed := difference(before, change(before))
		if !changed {
			return nil
		}
		before, err = c.write(ctx, b, write)
		if !errors.Is(err, errRefused) {
			return err
		}
	}
	return ErrContended
}

func (c *Counter) read(ctx context.Context, b ratelimit.Budget) (
	ratelimit.State, time.Duration, error,
) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	sentAt := c.now()
	out, err := c.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String(c.table), Key: key(b), ConsistentRead: aws.Bool(true),
	}, c.tuning)
	if err != nil {
		return ratelimit.State{}, 0, c.explain("read", err)
	}
	skew := measure(sentAt, out.ResultMetadata, c.now())
	s, err := decode(b, out.Item)
	return s, skew, err
}

// measure returns the skew an answer gives away; an answer without a Date (a proxy took it out)
// gives away nothing.
func measure(sentAt time.Time, answer middleware.Metadata, receivedAt time.Time) time.Duration {
	date, ok := awsmiddleware.GetServerTime(answer)
	if !ok {
		return 0
	}
	return CertainSkew(sentAt, date, receivedAt)
}

// write makes one conditional write. If its condition is false it returns errRefused, and the state
// as it is now.
func (c *Counter) write(ctx context.Context, b ratelimit.Budget, w update) (
	ratelimit.State, error,
) {
	call, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	_, err := c.client.UpdateItem(call, &dynamodb.UpdateItemInput{
		TableName: aws.String(c.table), Key: key(b),
		UpdateExpression: aws.String(w.set), ConditionExpression: aws.String(w.condition),
		ExpressionAttributeNames: w.names, ExpressionAttributeValues: w.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, c.tuning)
	if err == nil {
		return ratelimit.State{}, nil
	}
	refusal, refused := errors.AsType[*types.ConditionalCheckFailedException](err)
	if !refused {
		return ratelimit.State{}, c.explain("write", err)
	}
	var current ratelimit.State
	if len(refusal.Item) > 0 {
		current, err = decode(b, refusal.Item)
	} else { // no item came along: it was not there, or the server does not send it
		current, _, err = c.read(ctx, b)
	}
	if err != nil {
		return ratelimit.State{}, err
	}
	return current, errRefused
}

func key(b ratelimit.Budget) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{keyName: &types.AttributeValueMemberS{Value: b.Name}}
}

// about is what an error says about the budget's table.
var about = dynamo.Table{
	Variable: "BUDGET_TABLE",
	Needs:    "dynamodb:GetItem and dynamodb:UpdateItem on the table, and the use of its key",
	Keys:     "is the table's partition key the string \"pk\", with no sort key?",
}

// explain adds to an error of the SDK what to do about it.
func (c *Counter) explain(what string, err error) error {
	return fmt.Errorf("%s the item in table %s: %w%s", what, c.table, err, about.Advice(err))
}
