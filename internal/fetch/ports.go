package fetch

import (
	"context"
	"time"

	"packhorse/internal/investigation"
)

// Defender is where the package comes from.
type Defender interface {
	// PackageURI asks for a fresh link, once, on the wire: every call spends one call of the
	// budget unless the error wraps *investigation.PostponedError with nothing sent.
	PackageURI(ctx context.Context, actionID string) (investigation.Link, error)

	// Open starts the download. It spends no budget and may be called again with the same link.
	// The caller MUST close the package's Body. Errors, and those of Body.Read, wrap
	// investigation.ErrLinkExpired where the host says so. No error shows the link.
	Open(ctx context.Context, link investigation.Link) (investigation.Package, error)
}

// Ledger is the durable record of every action, as far as a fetch needs it. Each method is one
// conditional write of the transition of the same name in investigation.Record, with its errors:
// investigation.ErrUnknownAction, *investigation.NotClaimableError, investigation.ErrLeaseLost.
// Each returns the record as it then stands.
type Ledger interface {
	Claim(ctx context.Context, id investigation.ID, owner string, now, leaseUntil time.Time) (
		investigation.Record, error)
	Renew(ctx context.Context, id investigation.ID, owner string, leaseUntil time.Time) (
		investigation.Record, error)
	Release(ctx context.Context, id investigation.ID, owner string, rel investigation.Release) (
		investigation.Record, error)
	Archived(ctx context.Context, id investigation.ID, owner string, receipt investigation.Receipt,
		manifestKey string, now time.Time) (investigation.Record, error)
	NotCollected(ctx context.Context, id investigation.ID, owner string,
		reason investigation.Reason, message string) (investigation.Record, error)
	Announced(ctx context.Context, id investigation.ID, now time.Time) error
}

// Archive is the evidence bucket.
type Archive interface {
	// Stored returns the receipt of the object under key, read from the archive itself. It returns
	// investigation.ErrNotStored (wrapped) if there is none.
	Stored(ctx context.Context, key investigation.Key) (investigation.Receipt, error)

	// Store streams the package under key and commits it only if it is whole and a ZIP. It is
	// conditional: an object that is already there is never replaced, and its receipt is returned
	// if it has the same bytes. It reads pkg.Body to its end but does not close it.
	//
	// Errors of pkg.Body are wrapped. investigation.ErrNotAPackage: the bytes came whole but are
	// no ZIP. investigation.ErrStartAgain: nothing is stored, the same bytes must be sent again.
	Store(ctx context.Context, key investigation.Key, a investigation.Action,
		pkg investigation.Package) (investigation.Receipt, error)

	// StoreManifest writes the custody record beside the package, conditionally: a manifest that
	// is already there stays as it is, and that is success.
	StoreManifest(ctx context.Context, key string, manifest []byte) error
}

// Bus is where the outcome is announced.
type Bus interface {
	// Announce puts what came of the records (archived or notCollected) on the bus. It returns the
	// ids the bus took; the error, where there is one, tells of the others. Delivery is at least
	// once.
	Announce(ctx context.Context, records []investigation.Record) (
		taken []investigation.ID, err error)
}
