// Package ledger holds what every ledger must do, as tests: round trip, atomicity, order, concurrency
// and damage. What the changes themselves do is tested in package investigation.
//
// Call [Run] from the test of an implementation. It compares each answer, and each record read
// back, with what the pure transition of package investigation gives for the same arguments.
package ledger

import (
	"context"
	"testing"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/poll"
)

// Ledger is what both use cases need of a ledger, and who looks after it.
type Ledger interface {
	poll.Ledger
	fetch.Ledger

	// Head returns the end of the tenant's chain of manifests, read consistently.
	Head(ctx context.Context, tenantID string) (investigation.Head, error)

	// Records returns everything the ledger knows of the tenant, in the order of creation (and of
	// the action's id, where that is the same).
	Records(ctx context.Context, tenantID string) ([]investigation.Record, error)
}

// Spoil puts value in the place of one field of the record that a store has of an action, past every
// check of the ledger. The field has its stored name, such as "lastUpdatedAt"; value is a string, an
// int, or nil, which takes the field away.
type Spoil func(t *testing.T, id investigation.ID, field string, value any)

// Run tests a ledger. open is called once in every subtest and returns two ledgers on one store, or
// the same twice, and what damages that store. It may give the same store each time: the subtests keep
// to tenants of their own. It closes what it opens with t.Cleanup.
//
// The due index has to be consistent by the time a write returns. Where it is not (DynamoDB itself)
// a test of the due records can fail for that alone.
func Run(t *testing.T, open func(t *testing.T) (one, other Ledger, spoil Spoil)) {
	tests := []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"first sight of each status", testFirstSight},
		{"a waiting action comes to its end", testWaitingEnds},
		{"later sights change nothing", testSettledStays},
		{"every field comes back", testRoundTrip},
		{"words come back as they were", testWords},
		{"load", testLoad},
		{"load more than a batch", testLoadMany},
		{"due in order, within the limit", testDueOrder},
		{"due more than a page", testDueMany},
		{"due by lane and tenant", testDueApart},
		{"due by state", testDueByState},
		{"archived until announced", testArchived},
		{"not collected until announced", testNotCollected},
		{"sealed by a fetcher", testSealedByFetcher},
		{"a quarantine has a manifest of its own", testQuarantine},
		{"sealed without a fetcher", testSeal},
		{"an open outcome is not sealed", testSealEarly},
		{"a sealer that fails changes nothing", testSealerFails},
		{"the chains of two tenants are apart", testChainsApart},
		{"many seal, one chain", testConcurrentSeals},
		{"one action is sealed by many, once", testConcurrentSealsOfOne},
		{"a long manifest comes back", testLongManifest},
		{"the records of a tenant, in order", testRecords},
		{"unknown actions", testUnknown},
		{"many claim, one wins", testConcurrentClaims},
		{"many take over, one wins", testConcurrentTakeover},
		{"many observe, one record", testConcurrentObserve},
		{"archived against a takeover", testConcurrentArchived},
		{"a cancelled context changes nothing", testCancelled},
		{"a long random walk", testWalk},
		{"one damaged record does not stop the others", testDamage},
		{"an action that makes no sense is not written", testBadAction},
		{"a change that makes no sense is not written", testBadChange},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			one, other, spoil := open(t)
			tt.test(t, newBench(t, one, other, spoil))
		})
	}
}
