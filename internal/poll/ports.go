package poll

import (
	"context"
	"time"

	"packhorse/internal/investigation"
)

// Defender is the tenant whose actions are listed.
type Defender interface {
	// List reads on in a listing of the CollectInvestigationPackage actions and returns how far it
	// came; it need not come to the end (investigation.Listing.Done). It hands what it reads to see, in
	// batches of bounded size: actions, in any order, each of them valid
	// (investigation.Action.Validate), and odd, the errors of rows, or parts of rows, that make no sense
	// and are left out. see returns false if it did not take the batch: then the listing stops, and goes
	// on with it later. An action may come more than once.
	//
	// Beside an error it returns how far it came before it. One that wraps *investigation.PostponedError
	// names when to ask again; after any other the listing is to be started over.
	List(ctx context.Context, at investigation.Listing,
		see func(actions []investigation.Action, odd []error) bool) (investigation.Listing, error)
}

// Ledger is the durable record of every action, as far as a sweep needs it.
//
// What it has under an id may make no sense (a stranger wrote it): then every method's error wraps
// investigation.ErrBadRecord and names the action, and Load and Due return the other records beside
// that error.
type Ledger interface {
	// Load returns the records of ids that the ledger knows, read consistently, in any order.
	// Unknown ids are left out.
	Load(ctx context.Context, ids []investigation.ID) ([]investigation.Record, error)

	// Change applies the change to the record and writes the result in one conditional write, and
	// returns the record as it then stands. Nothing is written if nothing changes. Its error names the
	// change and the action, and wraps the change's own.
	Change(ctx context.Context, id investigation.ID, c investigation.Change) (
		investigation.Record, error)

	// Due returns at most limit records of the tenant's lane that are due now
	// (investigation.Record.Due), the longest due first. The records are read consistently even
	// where the index that named them is not.
	Due(ctx context.Context, tenantID string, lane investigation.Lane, now time.Time, limit int) (
		[]investigation.Record, error)
}

// Bus is where the facts are put.
type Bus interface {
	// Ready hands actions over to whoever fetches. It returns the ids the bus took; the error,
	// where there is one, tells of the others.
	Ready(ctx context.Context, ids []investigation.ID) (taken []investigation.ID, err error)

	// Settled hands actions over whose outcome is decided, and whose manifests are to be written,
	// signed and announced. It returns as Ready does.
	Settled(ctx context.Context, ids []investigation.ID) (taken []investigation.ID, err error)
}

// Budget is a look at the slots of getPackageUri that spends nothing.
type Budget interface {
	// FreeAt returns, for each slot of the budget, the instant from which it can be leased, in
	// ascending order; an instant in the past means now. A cooldown shows in every slot.
	FreeAt(ctx context.Context) ([]time.Time, error)
}
