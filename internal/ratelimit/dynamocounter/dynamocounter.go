// Package dynamocounter is a ratelimit.Counter for workers on many machines: one DynamoDB item per
// budget, changed only by conditional writes.
//
// A change reads the item, lets the pure ratelimit.State decide, and writes the difference on the
// condition that nothing the decision depends on has changed. If something has, the refusal contains the
// current item (ALL_OLD) and the State decides again. The write's condition is what protects the budget.
// The read only saves cost: a denial needs no write, and a read is priced at a fifth of one. Unlike a
// remembered retry time, the read is never out of date, so a slot that another process settles early is
// used at once.
//
// A call that is sent costs two write units (lease, settle) and two read units; a denial costs one read
// unit. Writing an item of more than a kilobyte, about 15 slots, costs twice as much.
//
// The table needs a partition key "pk" (string) and MUST NOT have a TTL. The package does not create the
// table, and keeps no state except the SDK's.
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
	// attemptsMax is how often the SDK sends one operation. Sending a write again after its answer was
	// lost is safe: if the first write succeeded, the condition of the second is false, and the item in
	// the refusal names the owner, which tells whose write it was.
	attemptsMax = 3

	// backoffMax bounds the pause between two attempts. A late lease is useless.
	backoffMax = 250 * time.Millisecond

	// operationTimeout bounds one operation with all its attempts, well within ratelimit.MaxCall.
	// DynamoDB answers in milliseconds.
	operationTimeout = 5 * time.Second
)

var (
	// ErrContended says that others changed the budget before each of our attempts to. We did not change
	// it.
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

// New returns a Counter kept in the table. now is compared with DynamoDB's clock. In production it MUST be
// the clock that the times passed to Lease and Settle come from.
//
// The counter has its own retryer, which overrides the client's: at most three attempts, at most a quarter
// of a second apart.
func New(client *dynamodb.Client, table string, now func() time.Time) *Counter {
	retryer := retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attemptsMax
		o.MaxBackoff = backoffMax
	})
	tuning := func(o *dynamodb.Options) { o.Retryer = retryer }
	return &Counter{client: client, table: table, now: now, tuning: tuning}
}

// Lease implements ratelimit.Counter. It fails with a *[SkewError] if the clock is certainly wrong, and
// with an error that wraps [ErrStranger] if the item is not one of ours.
func (c *Counter) Lease(ctx context.Context, b ratelimit.Budget, owner string, now time.Time) (
	ratelimit.Decision, error,
) {
	var d ratelimit.Decision
	err := c.apply(ctx, b, true, func(s ratelimit.State) ratelimit.State {
		s, d = s.Lease(b, owner, now)
		return s
	})
	if err != nil {
		return ratelimit.Decision{}, fmt.Errorf("lease a slot of budget %s: %w", b.Name, err)
	}
	return d, nil
}

// Settle implements ratelimit.Counter. If the clock is certainly wrong it fails with a *[SkewError], and
// the slot stays leased until its deadline: a clock that is behind would free it too early.
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

// CoolDown implements ratelimit.Counter. It does not check the clock, because a cooldown can only reduce
// the number of calls.
func (c *Counter) CoolDown(ctx context.Context, b ratelimit.Budget, until time.Time) error {
	err := c.apply(ctx, b, false, func(s ratelimit.State) ratelimit.State { return s.CoolDown(until) })
	if err != nil {
		return fmt.Errorf("cool down budget %s: %w", b.Name, err)
	}
	return nil
}

// Peek implements ratelimit.Counter. It reads consistently, so it does not lag.
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

// apply changes a budget. With checkClock it refuses if the clock is certainly wrong, before it writes
// anything.
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
	// Each refusal means that somebody else leased or settled a slot, or set a cooldown.
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

// measure returns the skew that an answer proves. Without a Date, which a proxy may have removed, that is
// zero.
func measure(sentAt time.Time, answer middleware.Metadata, receivedAt time.Time) time.Duration {
	date, ok := awsmiddleware.GetServerTime(answer)
	if !ok {
		return 0
	}
	return CertainSkew(sentAt, date, receivedAt)
}

// write makes one conditional write. If its condition is false, write returns errRefused and the current
// state.
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
	} else { // the item does not exist, or the server did not send it
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

// about describes the budget's table for advice in errors.
var about = dynamo.Table{
	Variable: "BUDGET_TABLE",
	Needs:    "dynamodb:GetItem and dynamodb:UpdateItem on the table, and the use of its key",
	Keys:     "is the table's partition key the string \"pk\", with no sort key?",
}

// explain adds to an SDK error which call failed, and what to do about it.
func (c *Counter) explain(what string, err error) error {
	return fmt.Errorf("%s the item in table %s: %w%s", what, c.table, err, about.Advice(err))
}
