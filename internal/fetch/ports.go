package fetch

import (
	"context"

	"packhorse/internal/investigation"
)

// Defender is where the package comes from.
type Defender interface {
	// PackageURI asks for a fresh link, once, on the wire: every call spends one call of the
	// budget unless the error wraps *investigation.PostponedError with nothing sent. The exchange
	// is that of the answer that had the link.
	PackageURI(ctx context.Context, actionID string) (
		investigation.Link, investigation.Exchange, error)

	// Open starts the download. It spends no budget and may be called again with the same link.
	// The caller MUST close the package's Body. Errors, and those of Body.Read, wrap
	// investigation.ErrLinkExpired where the host says so. No error shows the link.
	Open(ctx context.Context, link investigation.Link) (investigation.Package, error)
}

// Ledger is the durable record of every action, as far as a fetch needs it. Each method makes one
// conditional write, or none if nothing changes, and returns the record as it then stands. Its error
// names the change and the action, and wraps the change's own.
type Ledger interface {
	// Change applies the change to the record and writes the result.
	Change(ctx context.Context, id investigation.ID, c investigation.Change) (
		investigation.Record, error)

	// Seal applies the change, seals the result (investigation.Record.Sealed) and writes both the
	// record and the new head of the tenant's chain, or neither. Of two that seal at once both
	// succeed, one after the other. A record that is sealed stays as it is.
	Seal(ctx context.Context, id investigation.ID, c investigation.Change, by investigation.Sealer) (
		investigation.Record, error)
}

// Archive is the evidence bucket.
type Archive interface {
	// Look sorts what lies in the places of the key, which is the package's or its quarantine's: the
	// object that a claim of the record stored, if one did; what Packhorse did not store; and the
	// first place that is free. What it returns of the stored object is what Store returned. With
	// unnamed, an object without a claim's name may also be one that an earlier release stored: its
	// place counts as free, and Store decides.
	Look(ctx context.Context, rec investigation.Record, key investigation.Key, unnamed bool) (
		investigation.Found, error)

	// Store streams the package to its place and commits it only if it is whole and a ZIP. It is
	// conditional: an object that is already there is never replaced. It reads pkg.Body to its end
	// but does not close it.
	//
	// Errors of pkg.Body are wrapped. investigation.ErrNotAPackage: the bytes came whole but are
	// not a ZIP; where the placement names a place for such, they are kept there, and what is
	// returned beside the error is about that object. investigation.ErrStartAgain: nothing is
	// stored, because something else lies there by now; Look again, and send the same bytes again.
	Store(ctx context.Context, place investigation.Placement, pkg investigation.Package) (
		investigation.Stored, error)

	// StoreManifest writes a manifest to the first place of its key that is free, unless one of the
	// places has the same bytes already.
	StoreManifest(ctx context.Context, key string, manifest []byte) (investigation.Placed, error)

	// StoreSignature writes a manifest's signature to the first place of its key that is free,
	// unless one of the places has a signature that valid accepts.
	StoreSignature(ctx context.Context, key string, signature []byte,
		valid func(signature []byte) error) (investigation.Placed, error)
}

// Custody makes and signs manifests.
type Custody interface {
	// Sealer returns what makes the manifests of an action: of a package that is stored so, of what
	// is in quarantine so, or (the zero Stored) of nothing that came.
	Sealer(ctx context.Context, stored investigation.Stored) (investigation.Sealer, error)

	// Sign returns a signature of the manifest by the key that the manifest names.
	Sign(ctx context.Context, manifest []byte) (signature []byte, err error)

	// Verify reports whether the signature is one of the manifest, by the key that it names.
	Verify(ctx context.Context, manifest, signature []byte) error
}

// Bus is where the outcome is announced.
type Bus interface {
	// Announce puts what came of the records (archived or notCollected) on the bus. It returns the
	// ids the bus took; the error, where there is one, tells of the others. Delivery is at least
	// once.
	Announce(ctx context.Context, records []investigation.Record) (
		taken []investigation.ID, err error)
}
