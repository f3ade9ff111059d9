package status

import (
	"context"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// Ledger is what a status needs to know of a ledger. It MUST be safe for concurrent use. If some records are malformed, Open and Counts return all
// others, and an error that names them and wraps investigation.ErrBadRecord.
type Ledger interface {
	// Open returns the tenant's records that are not done.
	Open(ctx context.Context, tenantID string) ([]investigation.Record, error)

	// Counts counts the tenant's records, and the outcomes announced at since or later.
	Counts(ctx context.Context, tenantID string, since time.Time) (investigation.Counts, error)

	// Health returns how well the tenant's sweeps work; the zero Health if nobody stored it.
	Health(ctx context.Context, tenantID string) (tenant.Health, error)
}

// Fleet is a ledger that answers about many tenants at once. It MUST be safe for concurrent use.
type Fleet interface {
	Ledger

	// Healths returns how well the sweeps of these tenants work, by id. Those that nobody stored are left out. If some are
	// malformed, it returns all others, and an error that names them and wraps investigation.ErrBadRecord.
	Healths(ctx context.Context, tenantIDs []string) (map[string]tenant.Health, error)

	// Busy returns the tenants that have packages to fetch, or outcomes to record. It may be some milliseconds old.
	Busy(ctx context.Context) (map[string]bool, error)
}

// Budgets shows the budgets of package links without spending any.
type Budgets interface {
	// Budget returns the tenant's budget. The zero Budget means that it is not known.
	Budget(ctx context.Context, tenantID string) (Budget, error)
}

// Credentials knows how the app of a tenant proves who it is, as far as that can be known without using it.
type Credentials interface {
	// Credential returns the zero Credential if it is not known, or if nothing says when it expires.
	Credential(tenantID string) Credential
}

// Credential is how an app proves to Entra ID who it is.
type Credential struct {
	Kind       tenant.Kind
	Thumbprint string    // of a certificate: of several, the one that lasts longest
	Expires    time.Time // zero if it never does
}

// Budget is the budget of package links of one tenant.
type Budget struct {
	FreeAt []time.Time   // when each slot can be leased, ascending; an instant in the past means now
	Hold   time.Duration // how long a slot stays spent after its answer
	// CooldownUntil is until when nothing is sent, because Defender answered 429; in the past or zero if it may.
	CooldownUntil time.Time
}

// Free returns how many slots are free now.
func (b Budget) Free(now time.Time) int {
	free := 0
	for _, at := range b.FreeAt {
		if !at.After(now) {
			free++
		}
	}
	return free
}

// Next returns when the next slot is free: now or later. It is zero if the budget is not known.
func (b Budget) Next(now time.Time) time.Time { return Slots(b.Hold, b.FreeAt, now, 1) }
