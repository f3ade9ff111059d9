package ledger

import (
	"context"
	"errors"
	"fmt"

	"packhorse/internal/investigation"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The head of a tenant's chain is an item beside the tenant's actions; no action has such an id. Its
// first version leaves a second item, which never changes: a chain that has begun and has no head
// was robbed of it, and must not begin again with number 1.
const (
	headSuffix  = "#chain"
	begunSuffix = "#chain-begun"

	nameSequence = "sequence"
	nameDigest   = "digest"
)

// versionedHead is a head, and the name of the write that made it; the empty name is no item.
type versionedHead struct {
	investigation.Head
	version string
}

func headKey(tenantID string) item { return item{namePK: text(tenantID + headSuffix)} }

func begunKey(tenantID string) item { return item{namePK: text(tenantID + begunSuffix)} }

func headUpdateOf(next investigation.Head, version, was string) update {
	return replace(item{nameSequence: number(next.Sequence), nameDigest: text(next.Digest)},
		nil, version, was)
}

// Head returns the end of the tenant's chain of manifests, read consistently. The error wraps
// [ErrStranger] where the item makes no sense.
func (l *Ledger) Head(ctx context.Context, tenantID string) (investigation.Head, error) {
	head, err := l.readHead(ctx, tenantID)
	if err != nil {
		return investigation.Head{}, fmt.Errorf("read the head of tenant %s's chain: %w", tenantID, err)
	}
	return head.Head, nil
}

// readHead returns the head as it is now; the zero value where there is none.
func (l *Ledger) readHead(ctx context.Context, tenantID string) (versionedHead, error) {
	it, err := l.readItem(ctx, headKey(tenantID))
	if err != nil || len(it) == 0 {
		return versionedHead{}, err
	}
	return decodeHead(it)
}

// decodeHead returns the head in an item. An error wraps ErrStranger and names the item's key.
func decodeHead(it item) (versionedHead, error) {
	r := reader{item: it}
	head := versionedHead{version: r.text(nameVersion)}
	head.Sequence, head.Digest = r.number(nameSequence, 0), r.text(nameDigest)
	switch {
	case r.err != nil:
	case head.version == "":
		r.err = errors.New("it has no version")
	default:
		r.err = head.Validate()
	}
	if r.err != nil {
		key, _ := it[namePK].(*types.AttributeValueMemberS)
		return versionedHead{}, strange(key, r.err)
	}
	return head, nil
}

// gone is the error for a chain that has begun and has no head.
func gone(tenantID string) error {
	key, _ := headKey(tenantID)[namePK].(*types.AttributeValueMemberS)
	return strange(key, errors.New("it is the head of a chain that has begun, and it is gone"))
}
