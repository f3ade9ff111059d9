package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
	"unicode/utf8"

	"packhorse/internal/dynamo"
	"packhorse/internal/investigation"
	"packhorse/internal/pause"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	// conflictPauseMin and conflictPauseMax bound the pause after a refusal. A transaction takes
	// roughly ten milliseconds; if all refused writers retried immediately, they would only disturb
	// the next one.
	conflictPauseMin = 10 * time.Millisecond
	conflictPauseMax = 320 * time.Millisecond

	// goneMin is how often in a row a chain must be found begun but without a head. A transaction may
	// become visible one item at a time, so once is not enough.
	goneMin = 4
)

// errBegun refuses to begin a chain that has already begun. It wraps errRefused.
var errBegun = fmt.Errorf("%w: the chain has begun", errRefused)

// sealing is a transaction: a record and the new head, which replace the versions that were read.
type sealing struct {
	next    versioned
	was     string
	head    investigation.Head
	headWas string // empty if this begins the chain
}

// Seal implements fetch.Ledger: it applies the change and seals its result. It reads, decides and
// writes, and repeats this if somebody else wrote the record or the head in between.
func (l *Ledger) Seal(ctx context.Context, id investigation.ID, c investigation.Change,
	by investigation.Sealer,
) (investigation.Record, error) {
	rec, err := l.seal(ctx, id, c, by)
	if err != nil {
		return investigation.Record{}, c.Explain(id, err)
	}
	return rec, nil
}

// seal reads both items again after a refusal, although the refusal could return them: after the
// pause, a head from the refusal would be outdated and lose again.
func (l *Ledger) seal(ctx context.Context, id investigation.ID, c investigation.Change,
	by investigation.Sealer,
) (investigation.Record, error) {
	var tried sealing
	var refusal error
	begun := 0
	for n := range refusalsMax {
		known, err := l.read(ctx, id)
		if err != nil {
			return investigation.Record{}, err
		}
		if n > 0 && known.version == tried.next.version {
			return known.Record, nil // it was written; only the response was lost
		}
		tried, err = l.sealingOf(ctx, known, c, by)
		if err != nil || tried.next.Record == known.Record { // already applied: nothing to write
			return tried.next.Record, err
		}
		if tried.headWas != "" {
			begun = 0
		} else if begun >= goneMin {
			return investigation.Record{}, gone(id.TenantID)
		}
		refusal = l.writeSealing(ctx, tried)
		if !errors.Is(refusal, errRefused) {
			return tried.next.Record, refusal
		}
		if errors.Is(refusal, errBegun) {
			begun++
		}
		err = pause.For(ctx, conflictPause(n))
		if err != nil {
			return investigation.Record{}, err
		}
	}
	return investigation.Record{}, fmt.Errorf("%w: %w", ErrContended, refusal)
}

// sealingOf applies the change to a record. It reads the head only if the result must be sealed.
//
// It uses a second GetItem instead of a batch of both, which would cost the same two read units and
// need another permission. Nor does it read both in one consistent transaction, at twice the price:
// the conditions of the write already guard against changes in between.
func (l *Ledger) sealingOf(ctx context.Context, known versioned, c investigation.Change,
	by investigation.Sealer,
) (sealing, error) {
	settled, err := c.Apply(known.Record)
	if err != nil {
		return sealing{}, err
	}
	var head versionedHead
	if settled.State.Settled() && !settled.IsSealed() {
		head, err = l.readHead(ctx, settled.TenantID)
		if err != nil {
			return sealing{}, err
		}
	}
	next, nextHead, err := settled.Sealed(head.Head, by)
	if err != nil {
		return sealing{}, err
	}
	if !utf8.ValidString(next.Seal.Manifest) || !utf8.ValidString(next.QuarantineSeal.Manifest) {
		return sealing{}, errors.New("the manifest is not valid UTF-8 and could not be read back unchanged")
	}
	return sealing{next: versioned{next, newVersion()}, was: known.version,
		head: nextHead, headWas: head.version}, nil
}

// writeSealing writes both the record and the head, or neither. If somebody else wrote first or is
// writing now, the error is errRefused.
//
// All three parts are updates, so a role needs the same permission as for a single update. The
// token is the name of the write: if the SDK retries a transaction that already succeeded, DynamoDB
// confirms it without writing again.
func (l *Ledger) writeSealing(ctx context.Context, s sealing) error {
	record, err := updateOf(s.next, s.was)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	tenantID, version := s.next.TenantID, s.next.version
	parts := []types.TransactWriteItem{
		l.part(headKey(tenantID), headUpdateOf(s.head, version, s.headWas)),
		l.part(keyOf(s.next.ID), record),
	}
	if s.headWas == "" {
		parts = append(parts, l.part(begunKey(tenantID), replace(item{}, nil, version, "")))
	}
	_, err = l.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
		TransactItems: parts, ClientRequestToken: aws.String(version),
	}, l.tuning)
	if err == nil {
		return nil
	}
	err = l.explain("seal in", err)
	cancelled, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok {
		return err
	}
	reasons := cancelled.CancellationReasons
	switch dynamo.Worst(reasons) {
	case "", dynamo.ReasonThroughput, dynamo.ReasonThrottled: // another write was first, or a pause will help
	default:
		return err
	}
	if len(reasons) > 2 && aws.ToString(reasons[2].Code) == dynamo.ReasonConditionFailed {
		return fmt.Errorf("%w: %w", errBegun, err)
	}
	return fmt.Errorf("%w: %w", errRefused, err)
}

// part returns a write as part of a transaction.
func (l *Ledger) part(key item, u update) types.TransactWriteItem {
	return types.TransactWriteItem{Update: &types.Update{
		TableName: aws.String(l.table), Key: key,
		UpdateExpression: aws.String(u.change), ConditionExpression: aws.String(u.condition),
		ExpressionAttributeNames: u.names, ExpressionAttributeValues: u.values,
	}}
}

// conflictPause returns the pause after the nth refusal, from 0. It is random, so writers that
// collided do not collide again.
func conflictPause(n int) time.Duration {
	longest := conflictPauseMax
	if n < 5 {
		longest = conflictPauseMin << n
	}
	return 1 + rand.N(longest) //nolint:gosec // need not be unpredictable
}
