package pipeline

import (
	"context"
	"time"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/poll"
)

// OpenRecords lists the records of a tenant that are not done. Finished ones, which may be many, cost it nothing.
// Its error names malformed records (investigation.ErrBadRecord) and comes with all others.
type OpenRecords interface {
	Open(ctx context.Context, tenantID string) ([]investigation.Record, error)
}

// Budget is the budget of links.
type Budget interface {
	poll.Budget

	// Hold returns how long a slot stays spent after its call was answered.
	Hold() time.Duration
}

// Ledger combines the ledger ports of both use cases and adds the list of open records.
type Ledger interface {
	poll.Ledger
	fetch.Ledger
	poll.HealthStore
	OpenRecords
}

// Defender combines the Defender ports of both use cases.
type Defender interface {
	poll.Defender
	fetch.Defender
}
