package source

import (
	"context"

	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// Ledger wraps a ledger and explains its AWS errors.
type Ledger struct{ verify.TenantsLedger }

// Head implements verify.Ledger.
func (l Ledger) Head(ctx context.Context, tenantID string) (investigation.Head, error) {
	head, err := l.TenantsLedger.Head(ctx, tenantID)
	return head, Explain(err)
}

// Records implements verify.Ledger.
func (l Ledger) Records(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	records, err := l.TenantsLedger.Records(ctx, tenantID)
	return records, Explain(err)
}

// Tenants implements verify.TenantsLedger.
func (l Ledger) Tenants(ctx context.Context) ([]string, error) {
	ids, err := l.TenantsLedger.Tenants(ctx)
	return ids, Explain(err)
}
