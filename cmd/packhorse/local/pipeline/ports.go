package pipeline

import (
	"context"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/poll"
)

// Records lists all records of a tenant.
type Records interface {
	Records(ctx context.Context, tenantID string) ([]investigation.Record, error)
}

// Ledger combines the ledger ports of both use cases and adds the list of all records.
type Ledger interface {
	poll.Ledger
	fetch.Ledger
	Records
}

// Defender combines the Defender ports of both use cases.
type Defender interface {
	poll.Defender
	fetch.Defender
}
