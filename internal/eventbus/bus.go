// Package eventbus puts events on an EventBridge bus. Package event defines their content.
package eventbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"packhorse/internal/event"
	"packhorse/internal/investigation"
)

// entriesMax is how many events one PutEvents request takes. Source: the EventBridge API reference.
const entriesMax = 10

// EventBridge is the part of *eventbridge.Client that a Bus uses.
type EventBridge interface {
	PutEvents(context.Context, *eventbridge.PutEventsInput, ...func(*eventbridge.Options)) (
		*eventbridge.PutEventsOutput, error)
}

// Bus puts facts on an EventBridge bus. It is safe for concurrent use.
type Bus struct {
	client EventBridge
	name   string
}

// New returns a Bus that puts events on the bus with the given name or ARN.
func New(client EventBridge, name string) *Bus { return &Bus{client: client, name: name} }

// fact is one event and the action it is about.
type fact struct {
	id         investigation.ID
	detailType string
	detail     any
}

// Ready announces actions that are ready to be fetched. It returns the ids the bus took; the error
// names the others, which the next step announces again.
func (b *Bus) Ready(ctx context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	return b.work(ctx, event.TypeReady, ids)
}

// Decided announces actions whose outcome is decided and has to be concluded. It returns what Ready does.
func (b *Bus) Decided(ctx context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	return b.work(ctx, event.TypeDecided, ids)
}

func (b *Bus) work(ctx context.Context, detailType string, ids []investigation.ID) (
	[]investigation.ID, error,
) {
	all := make([]fact, len(ids))
	for i, id := range ids {
		all[i] = fact{id, detailType, event.NewWork(id)}
	}
	return b.put(ctx, all)
}

// Announce reports the outcome of the records, which are archived or not collected. It returns the
// ids the bus took; the error names the others, which a later step announces again.
func (b *Bus) Announce(ctx context.Context, records []investigation.Record) (
	[]investigation.ID, error,
) {
	all := make([]fact, len(records))
	for i, rec := range records {
		detailType, detail := event.Of(rec)
		all[i] = fact{rec.ID, detailType, detail}
	}
	return b.put(ctx, all)
}

// put sends the events in batches. A failed batch does not stop the others.
func (b *Bus) put(ctx context.Context, all []fact) (taken []investigation.ID, err error) {
	var failures []error
	for batch := range slices.Chunk(all, entriesMax) {
		ids, err := b.putBatch(ctx, batch)
		taken = append(taken, ids...)
		failures = append(failures, err)
	}
	return taken, errors.Join(failures...)
}

func (b *Bus) putBatch(ctx context.Context, batch []fact) ([]investigation.ID, error) {
	entries := make([]types.PutEventsRequestEntry, len(batch))
	for i, e := range batch {
		detail, err := json.Marshal(e.detail)
		if err != nil {
			return nil, fmt.Errorf("encode the event of action %s: %w", e.id.ActionID, err)
		}
		entries[i] = types.PutEventsRequestEntry{
			EventBusName: &b.name,
			Source:       aws.String(event.Source),
			DetailType:   &e.detailType,
			Detail:       aws.String(string(detail)),
		}
	}
	out, err := b.client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: entries})
	if err != nil {
		return nil, fmt.Errorf("put %d events on bus %s: %w", len(batch), b.name, err)
	}
	if len(out.Entries) != len(batch) {
		return nil, fmt.Errorf("put %d events on bus %s: the answer has %d entries", len(batch), b.name,
			len(out.Entries))
	}
	var taken []investigation.ID
	var failures []error
	for i, result := range out.Entries {
		if code := aws.ToString(result.ErrorCode); code != "" {
			failures = append(failures, fmt.Errorf("put %q of action %s on bus %s: %s: %s",
				batch[i].detailType, batch[i].id.ActionID, b.name, code,
				aws.ToString(result.ErrorMessage)))
			continue
		}
		taken = append(taken, batch[i].id)
	}
	return taken, errors.Join(failures...)
}
