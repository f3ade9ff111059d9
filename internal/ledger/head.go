package ledger

import (
	"context"
	"errors"
	"fmt"

	"packhorse/internal/investigation"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The head of a tenant's chain is stored next to the tenant's actions, under an id that no action
// can have. Starting a chain also writes a second item that never changes. It shows when a head has
// been deleted: the chain must not start again with number 1.
const (
	headSuffix  = "#chain"
	begunSuffix = "#chain-begun"

	nameSequence = "sequence"
	nameDigest   = "digest"
)

// versionedHead is a head and the name of the write that made it; an empty name means that the item
// does not exist.
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
// [ErrStranger] if the item is malformed.
func (l *Ledger) Head(ctx context.Context, tenantID string) (investigation.Head, error) {
	head, err := l.readHead(ctx, tenantID)
	if err != nil {
		return investigation.Head{}, fmt.Errorf("read the head of tenant %s's chain: %w", tenantID, err)
	}
	return head.Head, nil
}

// readHead returns the current head, or the zero value if it does not exist.
func (l *Ledger) readHead(ctx context.Context, tenantID string) (versionedHead, error) {
	it, err := l.readItem(ctx, headKey(tenantID))
	if err != nil || len(it) == 0 {
		return versionedHead{}, err
	}
	return decodeHead(it)
}

// decodeHead returns the head stored in an item. Errors wrap ErrStranger and name the item's key.
func decodeHead(it item) (versionedHead, error) {
	r := reader{item: it}
	head := versionedHead{version: r.text(nameVersion)}
	head.Sequence, head.Digest = r.number(nameSequence, 0), r.text(nameDigest)
	switch {
	case r.err != nil:
	case head.version == "":
		r.err = errors.New("the version is missing")
	default:
		r.err = head.Validate()
	}
	if r.err != nil {
		key, _ := it[namePK].(*types.AttributeValueMemberS)
		return versionedHead{}, strange(key, r.err)
	}
	return head, nil
}

// gone is the error for a chain that has started but whose head is missing.
func gone(tenantID string) error {
	key, _ := headKey(tenantID)[namePK].(*types.AttributeValueMemberS)
	return strange(key, errors.New("the chain has begun, but its head is gone"))
}
