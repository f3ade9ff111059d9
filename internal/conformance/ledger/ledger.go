// Package ledger is the conformance suite for ledgers: round trip, atomicity, order, concurrency and
// damage. Package investigation tests the changes themselves.
//
// Call [Run] from the test of an implementation. It compares every answer, and every record read back,
// with the result of the pure transition in package investigation for the same arguments.
package ledger

import (
	"context"
	"testing"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/poll"
)

// Ledger is what both use cases and the operator's tools need from a ledger.
type Ledger interface {
	poll.Ledger
	fetch.Ledger
	poll.HealthStore

	// Head returns the end of the tenant's chain of manifests, by a consistent read.
	Head(ctx context.Context, tenantID string) (investigation.Head, error)

	// Records returns all records of the tenant in the order of investigation.ByCreation.
	Records(ctx context.Context, tenantID string) ([]investigation.Record, error)
}

// Spoil replaces one field of an action's stored record with value, without any check by the ledger. The
// field has its stored name, such as "lastUpdatedAt". value is a string, an int, or nil to remove the
// field.
type Spoil func(t *testing.T, id investigation.ID, field string, value any)

// Run tests a ledger. Every subtest calls open once. It returns two ledgers on one store, or the same
// ledger twice, and a function that damages the store. It may return the same store each time, because
// every subtest uses its own tenants, and should close what it opens with t.Cleanup.
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
		{"later sights change nothing", testDecidedStays},
		{"every field comes back", testRoundTrip},
		{"text comes back unchanged", testWords},
		{"load", testLoad},
		{"load more than a batch", testLoadMany},
		{"due in order, within the limit", testDueOrder},
		{"due more than a page", testDueMany},
		{"due by lane and tenant", testDueApart},
		{"due by state", testDueByState},
		{"archived until announced", testArchived},
		{"not collected until announced", testNotCollected},
		{"sealed by a fetcher", testSealedByFetcher},
		{"a quarantine has its own manifest", testQuarantine},
		{"sealed without a fetcher", testSeal},
		{"an undecided action is not sealed", testSealEarly},
		{"a sealer that fails changes nothing", testSealerFails},
		{"the chains of two tenants are separate", testChainsApart},
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
		{"an invalid action is not written", testBadAction},
		{"a change to an invalid record is not written", testBadChange},
		{"the health of two tenants", testHealth},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			one, other, spoil := open(t)
			tt.test(t, newBench(t, one, other, spoil))
		})
	}
}
