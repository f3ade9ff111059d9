package poll

import (
	"context"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// Defender is the tenant whose actions are listed.
type Defender interface {
	// List continues a listing of the CollectInvestigationPackage actions and returns how far it got,
	// which need not be the end (investigation.Listing.Done). It passes what it reads to see, in batches
	// of bounded size: actions are valid (investigation.Action.Validate), in any order, and may repeat;
	// odd has one error for each invalid row, or invalid part of a row, that was left out. If see returns
	// false it did not take the batch: List stops, and the next call starts with that batch.
	//
	// With an error, List also returns how far it got before. If the error wraps
	// *investigation.PostponedError it says when to ask again; after any other, start the listing over.
	List(ctx context.Context, at investigation.Listing,
		see func(actions []investigation.Action, odd []error) bool) (investigation.Listing, error)
}

// Ledger is the durable record of every action, as far as a sweep needs it.
//
// A stored record may be invalid, because somebody else wrote it. For such a record every method's error
// wraps investigation.ErrBadRecord and names the action; Load and Due return the other records together
// with that error.
type Ledger interface {
	// Load returns the records of the ids that the ledger knows, in any order, by a consistent read. It
	// leaves out unknown ids.
	Load(ctx context.Context, ids []investigation.ID) ([]investigation.Record, error)

	// Change applies the change to the record, writes the result in one conditional write, and returns
	// it. It writes nothing if nothing changes. Its error names the change and the action, and wraps the
	// error of the change.
	Change(ctx context.Context, id investigation.ID, c investigation.Change) (
		investigation.Record, error)

	// Due returns at most limit records of the tenant's lane that are due now
	// (investigation.Record.Due), the longest due first. It reads the records consistently, even if the
	// index that names them is not consistent.
	Due(ctx context.Context, tenantID string, lane investigation.Lane, now time.Time, limit int) (
		[]investigation.Record, error)
}

// HealthStore keeps how well the sweeps of each tenant work, for people who ask. The sweeps do not depend on it.
type HealthStore interface {
	// Health returns what was stored last, or the zero Health.
	Health(ctx context.Context, tenantID string) (tenant.Health, error)

	// SetHealth replaces it, even if somebody else stored another one in between: whoever sweeps next
	// stores a newer one.
	SetHealth(ctx context.Context, tenantID string, h tenant.Health) error
}

// Bus delivers events to the fetchers.
type Bus interface {
	// Ready hands over actions whose packages can be fetched. It returns the ids that the bus took; if
	// that is not all of them, the error says why.
	Ready(ctx context.Context, ids []investigation.ID) (taken []investigation.ID, err error)

	// Decided hands over decided actions, whose manifests have to be written and signed and whose
	// outcomes have to be announced. It returns the same as Ready.
	Decided(ctx context.Context, ids []investigation.ID) (taken []investigation.ID, err error)
}

// Budget shows the slots of getPackageUri without spending any.
type Budget interface {
	// FreeAt returns when each slot of the budget can be leased, in ascending order; an instant in the
	// past means now. A cooldown delays every slot.
	FreeAt(ctx context.Context) ([]time.Time, error)
}
