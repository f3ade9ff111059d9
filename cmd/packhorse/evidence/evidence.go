// Package evidence opens the archive of a run, together with the ledger and the public keys to verify it
// against. It never creates any of them.
package evidence

import (
	"context"
	"errors"
	"os"
	"time"

	"packhorse/cmd/packhorse/source"
	"packhorse/internal/verify"
)

// Evidence is an open archive with the ledger and keys to verify it against. It MUST be closed.
type Evidence struct {
	archive openArchive
	trust   verify.Trust
	ledger  *Ledger     // nil if there is none
	asked   *remembered // in place of ledger, if Remember was called
	started string      // the working directory from before the archive was opened; empty if unknown
}

// Open opens the evidence that the options describe. It starts the embedded S3 server last, because the
// server changes the working directory while it runs.
func Open(ctx context.Context, o Options) (_ *Evidence, err error) {
	e := &Evidence{}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	e.started, err = os.Getwd()
	if err != nil {
		e.started = "" // Key then cannot resolve relative paths
	}
	if len(o.PublicKeys) > 0 {
		e.trust, err = source.TrustFiles(o.PublicKeys)
	} else if o.From == "" || o.DataGiven {
		e.trust, _, err = trustData(o.Data)
	}
	if err != nil {
		return nil, err
	}
	if o.Table != "" || o.From == "" || o.DataGiven {
		e.ledger, err = o.OpenLedger(ctx)
		if _, none := errors.AsType[*NoLedgerError](err); err != nil && !none {
			return nil, err
		}
	}
	e.archive, err = o.openArchive(ctx)
	if err != nil {
		return nil, err
	}
	if e.trust.Empty() && len(o.PublicKeys) == 0 {
		e.trust, _, err = verify.TrustArchive(ctx, e.archive) // verify.Verifier reports the findings
	}
	return e, err
}

// Close closes the archive and the ledger. Call it once.
func (e *Evidence) Close() error {
	var ledger error
	if e.ledger != nil {
		ledger = e.ledger.Close()
	}
	return errors.Join(e.archive.shut(), ledger)
}

// LedgerName returns the display name of the ledger, or an empty string without one.
func (e *Evidence) LedgerName() string {
	if e.ledger == nil {
		return ""
	}
	return e.ledger.Name
}

// Names returns what the registered tenants are called, by id; see [Ledger.Names].
func (e *Evidence) Names(ctx context.Context) map[string]string {
	if e.ledger == nil {
		return nil
	}
	return e.ledger.Names(ctx)
}

// Verify verifies the scope.
func (e *Evidence) Verify(ctx context.Context, scope verify.Scope, reporter verify.Reporter) (
	verify.Summary, error,
) {
	return e.VerifyThrough(ctx, func(a verify.Archive) verify.Archive { return a }, scope, reporter)
}

// VerifyThrough is like Verify, but reads the archive that wrap returns.
func (e *Evidence) VerifyThrough(ctx context.Context, wrap func(verify.Archive) verify.Archive, scope verify.Scope,
	reporter verify.Reporter,
) (verify.Summary, error) {
	return verify.New(wrap(e.archive), e.trust, e.ledgerFor(scope), time.Now, reporter).Run(ctx, scope)
}

// PEM returns the public key with that id, if it is one that signatures are checked with.
func (e *Evidence) PEM(id string) ([]byte, error) { return e.trust.One(id) }
