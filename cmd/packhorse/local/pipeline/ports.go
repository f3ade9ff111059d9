package pipeline

import (
	"context"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/poll"
)

// Records lists everything the ledger knows of the tenant.
type Records interface {
	Records(ctx context.Context, tenantID string) ([]investigation.Record, error)
}

// Ledger is what both use cases need of the ledger, and the list of all it knows.
type Ledger interface {
	poll.Ledger
	fetch.Ledger
	Records
}

// Defender is what both use cases need of the tenant.
type Defender interface {
	poll.Defender
	fetch.Defender
}
