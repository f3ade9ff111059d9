package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// healthPrefix begins the key of a tenant's health. The tenant's id comes second, unlike in other keys: whoever
// lists the records of a tenant, earlier releases included, reads the keys that begin with its id, and would
// take the health for a malformed record.
const healthPrefix = "health#"

const (
	nameSweptAt      = "sweptAt"
	nameTriedAt      = "triedAt"
	nameFailingSince = "failingSince"
)

func healthKey(tenantID string) item { return item{namePK: text(healthPrefix + tenantID)} }

// Health implements poll.HealthStore, by a consistent read. The error wraps [ErrStranger] if the item is
// malformed.
func (l *Ledger) Health(ctx context.Context, tenantID string) (tenant.Health, error) {
	it, err := l.readItem(ctx, healthKey(tenantID))
	if err != nil {
		return tenant.Health{}, fmt.Errorf("read the health of tenant %s: %w", tenantID, err)
	}
	return decodeHealth(tenantID, it)
}

func decodeHealth(tenantID string, it item) (tenant.Health, error) {
	r := reader{item: it}
	h := tenant.Health{
		SweptAt: r.instant(nameSweptAt), TriedAt: r.instant(nameTriedAt),
		FailingSince: r.instant(nameFailingSince), Message: r.text(nameMessage),
	}
	if r.err != nil {
		key, _ := healthKey(tenantID)[namePK].(*types.AttributeValueMemberS)
		return tenant.Health{}, strange(key, r.err)
	}
	return h, nil
}

// Healths implements status.Fleet, by one consistent read for each hundred tenants. Malformed items are named in the
// error, which then wraps [ErrStranger].
func (l *Ledger) Healths(ctx context.Context, tenantIDs []string) (map[string]tenant.Health, error) {
	all := make(map[string]tenant.Health, len(tenantIDs))
	var strangers []error
	kind := strings.TrimSuffix(healthPrefix, "#")
	for some := range slices.Chunk(tenantIDs, batchMax) {
		keys := make([]investigation.ID, len(some))
		for i, id := range some {
			keys[i] = investigation.ID{TenantID: kind, ActionID: id} // written like the key of an action
		}
		items, err := l.batch(ctx, keys)
		if err != nil {
			return nil, fmt.Errorf("read the healths of %d tenants: %w", len(tenantIDs), err)
		}
		for _, it := range items {
			key, _ := it[namePK].(*types.AttributeValueMemberS)
			if key == nil {
				continue // impossible: it is the table's key
			}
			id := strings.TrimPrefix(key.Value, healthPrefix)
			h, err := decodeHealth(id, it)
			if err != nil {
				strangers = append(strangers, err)
				continue
			}
			all[id] = h
		}
	}
	return all, errors.Join(strangers...)
}

// SetHealth implements poll.HealthStore. The write has no condition: the health is not evidence, and the next
// sweep corrects it.
func (l *Ledger) SetHealth(ctx context.Context, tenantID string, h tenant.Health) error {
	it := item{}
	for name, t := range map[string]time.Time{
		nameSweptAt: h.SweptAt, nameTriedAt: h.TriedAt, nameFailingSince: h.FailingSince,
	} {
		if !t.IsZero() {
			it[name] = text(t.UTC().Format(time.RFC3339Nano))
		}
	}
	if h.Message != "" {
		it[nameMessage] = text(h.Message)
	}
	u := replace(it, []string{nameSweptAt, nameTriedAt, nameFailingSince, nameMessage}, newVersion(), "")
	delete(u.names, "#pk") // of the condition
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	_, err := l.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String(l.table), Key: healthKey(tenantID), UpdateExpression: aws.String(u.change),
		ExpressionAttributeNames: u.names, ExpressionAttributeValues: u.values,
	}, l.tuning)
	if err != nil {
		return fmt.Errorf("write the health of tenant %s: %w", tenantID, l.explain("write the item in", err))
	}
	return nil
}
