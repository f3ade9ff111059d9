// Package evidence opens what a run left behind: an archive, the ledger it is compared with, and the keys
// that its signatures are checked with. It makes nothing that is not there.
package evidence

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"packhorse/cmd/packhorse/source"
	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// Evidence is an open archive with what it is compared with. It MUST be closed.
type Evidence struct {
	archive openArchive
	trust   verify.Trust
	ledger  *Ledger // nil: there is none
	started string  // the working directory from before the archive was opened; empty if unknown
}

// Open opens what the options name. The embedded S3 server comes last: while it runs, the working
// directory is another.
func Open(ctx context.Context, o Options) (_ *Evidence, err error) {
	e := &Evidence{}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	e.started, err = os.Getwd()
	if err != nil {
		e.started = "" // relative paths are not found then
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
		e.ledger, err = OpenLedger(ctx, o.Table, o.Data)
		if _, none := errors.AsType[*NoLedgerError](err); err != nil && !none {
			return nil, err
		}
	}
	e.archive, err = o.openArchive(ctx)
	if err != nil {
		return nil, err
	}
	if e.trust.Empty() && len(o.PublicKeys) == 0 {
		e.trust, _, err = verify.TrustArchive(ctx, e.archive) // verify.Verifier names what is wrong there
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

// LedgerName is what people call the ledger; empty if there is none.
func (e *Evidence) LedgerName() string {
	if e.ledger == nil {
		return ""
	}
	return e.ledger.Name
}

// Verify verifies the scope.
func (e *Evidence) Verify(ctx context.Context, scope verify.Scope, reporter verify.Reporter) (
	verify.Summary, error,
) {
	var ledger verify.Ledger
	if e.ledger != nil {
		ledger = e.ledger
	}
	return verify.New(e.archive, e.trust, ledger, time.Now, reporter).Run(ctx, scope)
}

// Key returns the key that a person means: a key, an s3:// URL, or the path of a file in the archive's
// folder.
func (e *Evidence) Key(argument string) (string, error) {
	path := argument
	if !filepath.IsAbs(path) {
		path = filepath.Join(e.started, path)
	}
	if rest, ok := strings.CutPrefix(argument, Scheme); ok {
		_, argument, _ = strings.Cut(rest, "/")
	}
	if e.archive.folder != "" { // also a path looks like a key, whose prefix is the folder
		relative, err := filepath.Rel(e.archive.folder, path)
		key := filepath.ToSlash(relative)
		if _, isKey := investigation.ParseKey(key); err == nil && isKey {
			return key, nil
		}
	}
	if _, isKey := investigation.ParseKey(argument); isKey {
		return argument, nil
	}
	return "", fmt.Errorf("%.200q is no key of an archive: those look like packages/TENANT/MACHINE/"+
		"TIME_ACTION.zip (packhorse list shows them)", argument)
}
