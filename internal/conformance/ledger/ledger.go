// Package ledger is the conformance test suite for ledgers: round trip, atomicity, order, concurrency and
// damage. The changes themselves are tested in package investigation.
//
// Call [Run] from the tests of an implementation. It compares each answer, and each record read back, with
// the result of the pure transition in package investigation for the same arguments.
package ledger

import (
	"context"
	"testing"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/poll"
)

// Ledger has the methods that the two use cases and the operator's commands need.
type Ledger interface {
	poll.Ledger
	fetch.Ledger

	// Head returns the end of the tenant's chain of manifests, read consistently.
	Head(ctx context.Context, tenantID string) (investigation.Head, error)

	// Records returns all records of the tenant, ordered by creation time and then by action id.
	Records(ctx context.Context, tenantID string) ([]investigation.Record, error)
}

// Spoil replaces one field of an action's record directly in the store, without the ledger's checks. field
// is the stored name, such as "lastUpdatedAt"; value is a string, an int, or nil to remove the field.
type Spoil func(t *testing.T, id investigation.ID, field string, value any)

// Run tests a ledger. Each subtest calls open once. open returns two ledgers on one store, or the same
// ledger twice, and a Spoil for that store. It may use the same store each time, because every subtest has
// its own tenants. It must close what it opens with t.Cleanup.
//
// The due index must be consistent by the time a write returns. If it is not, as in DynamoDB itself, the
// tests of due records can fail for that reason alone.
func Run(t *testing.T, open func(t *testing.T) (one, other Ledger, spoil Spoil)) {
	tests := []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"first sight of each status", testFirstSight},
		{"a waiting action ends", testWaitingEnds},
		{"later sights change nothing", testSettledStays},
		{"every field is read back", testRoundTrip},
		{"text is read back unchanged", testWords},
		{"load", testLoad},
		{"load more than a batch", testLoadMany},
		{"due in order, within the limit", testDueOrder},
		{"due more than a page", testDueMany},
		{"due by lane and tenant", testDueApart},
		{"due by state", testDueByState},
		{"archived until announced", testArchived},
		{"not collected until announced", testNotCollected},
		{"sealed by a fetcher", testSealedByFetcher},
		{"a quarantined object has its own manifest", testQuarantine},
		{"sealed without a fetcher", testSeal},
		{"an open outcome is not sealed", testSealEarly},
		{"a sealer that fails changes nothing", testSealerFails},
		{"the chains of two tenants are apart", testChainsApart},
		{"many seal, one chain", testConcurrentSeals},
		{"many seal one action, one seal", testConcurrentSealsOfOne},
		{"a long manifest is read back", testLongManifest},
		{"the records of a tenant, in order", testRecords},
		{"unknown actions", testUnknown},
		{"many claim, one wins", testConcurrentClaims},
		{"many take over, one wins", testConcurrentTakeover},
		{"many observe, one record", testConcurrentObserve},
		{"archived against a takeover", testConcurrentArchived},
		{"a cancelled context changes nothing", testCancelled},
		{"a long random walk", testWalk},
		{"one damaged record does not stop the others", testDamage},
		{"an invalid action is not written", testBadAction},
		{"an invalid change is not written", testBadChange},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			one, other, spoil := open(t)
			tt.test(t, newBench(t, one, other, spoil))
		})
	}
}
