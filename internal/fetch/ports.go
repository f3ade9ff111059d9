package fetch

import (
	"context"

	"packhorse/internal/investigation"
)

// Defender is the source of packages.
type Defender interface {
	// PackageURI requests a fresh link, with one request on the wire. It spends one call of the budget,
	// unless nothing was sent and the error wraps *investigation.PostponedError. The exchange describes
	// the answer that contained the link.
	PackageURI(ctx context.Context, actionID string) (
		investigation.Link, investigation.Exchange, error)

	// Open starts the download. It spends no budget and may be called again with the same link. The
	// caller MUST close the package's Body. Its errors, and those of Body.Read, wrap
	// investigation.ErrLinkExpired if the host says so, and never show the link.
	Open(ctx context.Context, link investigation.Link) (investigation.Package, error)
}

// Ledger is the durable record of every action, as far as a fetch needs it. Each method makes one
// conditional write, or none if nothing changes, and returns the resulting record. Its error names the
// change and the action, and wraps the error of the change.
type Ledger interface {
	// Change applies the change to the record and writes the result.
	Change(ctx context.Context, id investigation.ID, c investigation.Change) (
		investigation.Record, error)

	// Seal applies the change, seals the result (investigation.Record.Sealed) and writes both the record
	// and the new head of the tenant's chain, or neither. Two calls at the same time both succeed, one
	// after the other. A record that is already sealed keeps its seal.
	Seal(ctx context.Context, id investigation.ID, c investigation.Change, by investigation.Sealer) (
		investigation.Record, error)
}

// Archive is the evidence bucket.
type Archive interface {
	// Look examines the places of the key, which is the package's or its quarantine's. It finds the object
	// that a claim of the record stored, if one did; objects that Packhorse did not store; and the first
	// free place. It returns the same Stored as Store did. If unnamed is set, an object without a claim's
	// name may be from an earlier release: its place counts as free, and Store decides.
	Look(ctx context.Context, rec investigation.Record, key investigation.Key, unnamed bool) (
		investigation.Found, error)

	// Store streams the package to its place and commits it only if it is complete and a ZIP. The write
	// is conditional: Store never replaces an object. It reads pkg.Body to the end but does not close it.
	//
	// Errors wrap those of pkg.Body. investigation.ErrNotAPackage means that the download is complete but
	// not a ZIP; if the placement has a quarantine key, Store keeps it there and returns that object with
	// the error. investigation.ErrStartAgain means that nothing was stored, because by now another object
	// occupies the place: Look again, and send the same bytes again.
	Store(ctx context.Context, place investigation.Placement, pkg investigation.Package) (
		investigation.Stored, error)

	// StoreManifest writes a manifest to the first free place of its key, unless one of the places already
	// has the same bytes.
	StoreManifest(ctx context.Context, key string, manifest []byte) (investigation.Placed, error)

	// StoreSignature writes a manifest's signature to the first free place of its key, unless one of the
	// places already has a signature that valid accepts.
	StoreSignature(ctx context.Context, key string, signature []byte,
		valid func(signature []byte) error) (investigation.Placed, error)
}

// Custody makes and signs manifests.
type Custody interface {
	// Sealer returns a Sealer for the manifests of an action. collection and content describe the object that
	// is in the archive now; both are zero if nothing was stored.
	Sealer(ctx context.Context, collection investigation.Collection, content investigation.Content) (
		investigation.Sealer, error)

	// Sign signs the manifest with the key that the manifest names.
	Sign(ctx context.Context, manifest []byte) (signature []byte, err error)

	// Verify returns nil if signature is valid for the manifest and the key that it names.
	Verify(ctx context.Context, manifest, signature []byte) error
}

// Bus announces outcomes.
type Bus interface {
	// Announce sends an event for the outcome of each record (archived or notCollected). It returns the
	// ids that the bus took; if that is not all of them, the error says why. Delivery is at least once.
	Announce(ctx context.Context, records []investigation.Record) (
		taken []investigation.ID, err error)
}
