// Package export makes a copy of some packages to hand over: a folder or a ZIP with the packages, their signed
// records, public keys and reports, an index, and a page that says how to check all of it with openssl and
// sha256sum alone.
//
// [Run] verifies each package while it copies it, and the export gets its name when all of it is on disk. The
// same evidence gives the same bytes, except for the time of the export. Memory does not depend on the size of
// packages. What it says about the evidence is what package verify found, and never more.
package export

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"packhorse/cmd/packhorse/take"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
)

// Options say what to export to where.
type Options struct {
	Path     string // absolute; a ZIP if it ends in .zip, otherwise a folder
	At       time.Time
	Selected string // the filter in words, for the index
	// Tenants are what tenants are called, by id, for the index.
	Tenants map[string]string
	// IncludeFailed puts what does not verify into a folder of its own. Otherwise it prevents the export.
	IncludeFailed bool
	Disk          take.Disk
}

// Result says what was exported.
type Result struct {
	Summary    verify.Summary // of all packages, each verified by itself
	Index      Index
	SumsSHA256 string // of the file SHA256SUMS
	Files      int
	Bytes      int64
}

// exporter makes one export.
type exporter struct {
	Options

	from     take.Source
	reporter verify.Reporter
	tree     tree
	names    take.Names
	result   Result
	sums     []line          // of all files so far
	keys     map[string]bool // those that were written
	failures []Failure
}

// line is a line of SHA256SUMS.
type line struct{ digest, name string }

// Run exports the packages of the records that are done, and lists the others in the index. In this order:
//
//  1. A hidden folder or file is made beside the final name.
//  2. Each package is read once, and verified and written as it is read; its papers follow.
//  3. If something does not verify, the rest is verified too, nothing more is written, and a [*RefusedError]
//     lists it.
//  4. Keys, index, CHECK.txt and SHA256SUMS are written.
//  5. Everything is synced to disk, and gets its name.
//
// If Run fails, it removes what it wrote.
func Run(ctx context.Context, from take.Source, records []investigation.Record, o Options, reporter verify.Reporter) (
	_ Result, err error,
) {
	done, pending := split(records)
	x := &exporter{Options: o, from: from, reporter: begun{reporter}, keys: map[string]bool{}}
	x.result.Index.folders = foldersOf(records)
	x.tree, err = newTree(o.Disk, o.Path, o.At)
	if err != nil {
		return Result{}, x.explain(ctx, err)
	}
	defer func() { err = errors.Join(err, x.tree.abandon()) }()
	var bytes int64
	for _, rec := range done {
		bytes += rec.Receipt.Size + rec.Quarantine.Size
	}
	reporter.Begin(len(done), bytes)
	for _, rec := range done {
		err = x.one(ctx, rec)
		if err != nil {
			return Result{}, x.explain(ctx, err)
		}
	}
	if x.refused() {
		return Result{}, &RefusedError{x.failures}
	}
	x.index(pending)
	err = x.rest()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = x.tree.publish()
	}
	if err != nil {
		return Result{}, x.explain(ctx, err)
	}
	return x.result, nil
}

// split tells records that are done from those that something is still to be stored of. Both are sorted, so
// that the order in which the ledger has them changes nothing.
func split(records []investigation.Record) (done, pending []investigation.Record) {
	for _, rec := range records {
		if rec.State == investigation.StateDone {
			done = append(done, rec)
		} else {
			pending = append(pending, rec)
		}
	}
	slices.SortFunc(done, byTenant)
	slices.SortFunc(pending, byTenant)
	return done, pending
}

func byTenant(a, b investigation.Record) int {
	return cmp.Or(cmp.Compare(a.TenantID, b.TenantID), investigation.ByCreation(a, b))
}

// begun is a reporter that was told of the beginning: each package is a verification of its own.
type begun struct{ verify.Reporter }

// Begin implements verify.Reporter.
func (begun) Begin(int, int64) {}

// sourceError is an error of the archive, the ledger or the keys.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// explain says of an error that is not about evidence what was kept.
func (x *exporter) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &take.InterruptedError{Where: x.Path, Err: err}
	}
	if _, ok := errors.AsType[*sourceError](err); ok {
		return err
	}
	if errors.Is(err, fs.ErrExist) {
		return &take.ExistsError{Path: x.Path}
	}
	if exists, ok := errors.AsType[*take.ExistsError](err); ok {
		return exists
	}
	return &take.DiskError{Where: x.Path, Err: err}
}

// one verifies and copies one action's evidence.
func (x *exporter) one(ctx context.Context, rec investigation.Record) error {
	var tap *take.Tap
	var object *object
	key := cmp.Or(rec.Receipt.Key, rec.ManifestKey, rec.Quarantine.Key)
	sum, err := x.from.Verify(ctx, func(a verify.Archive) verify.Archive {
		tap = take.NewTap(a, func(m manifest.Manifest, text []byte) (take.Draft, error) {
			if object != nil || x.refused() {
				return nil, nil // an action has one object: a second one is found missing below
			}
			begun, err := x.begin(rec, m, text)
			if err != nil {
				return nil, err
			}
			object = begun
			return begun, nil
		})
		return tap
	}, verify.Scope{Key: key}, x.reporter)
	switch {
	case tap != nil && tap.Err() != nil:
		return tap.Err()
	case err != nil:
		return &sourceError{err}
	}
	sum.StartedAt, sum.EndedAt = x.At, x.At
	items := tap.Items(ctx, sum, x.from.PEM)
	failure, failed := x.judge(rec, sum, items)
	if failed {
		x.failures = append(x.failures, failure)
	}
	if x.refused() {
		return object.drop()
	}
	x.add(sum)
	return x.writeAll(rec, sum, items, object, failed)
}

// writeAll writes the items of an action: the one with the object first, because its file is open.
func (x *exporter) writeAll(rec investigation.Record, sum verify.Summary, items []take.Item, o *object, failed bool) error {
	at := max(0, slices.IndexFunc(items, func(i take.Item) bool { return i.Object != nil }))
	if len(items) == 0 || items[at].Object == nil {
		err := o.drop()
		if err != nil {
			return err
		}
	}
	for i := range items {
		err := x.write(rec, sum, items[(at+i)%len(items)], o, failed)
		if err != nil {
			return err
		}
	}
	return nil
}

// refused reports whether nothing is written any more.
func (x *exporter) refused() bool { return len(x.failures) > 0 && !x.IncludeFailed }

// judge reports whether the evidence of an action must not be handed over as verified, and why.
func (x *exporter) judge(rec investigation.Record, sum verify.Summary, items []take.Item) (Failure, bool) {
	f := Failure{Record: rec, Headline: sum.Headline()}
	if len(sum.Problems) > 0 {
		f.Headline = sum.Problems[0].Title() // the list names the host
	}
	unmade := sum.Unmade(x.from.Require)
	verdict := sum.Verdict()
	switch {
	case verdict != verify.Pass && verdict != verify.Partial:
	case len(unmade) > 0:
		f.Headline = "the required check " + string(unmade[0].Check) + " could not be made: " + unmade[0].Why
	case slices.ContainsFunc(items, func(i take.Item) bool { return i.TenantID != rec.TenantID }):
		f.Headline = "its evidence is of another tenant"
	case slices.ContainsFunc(items, func(i take.Item) bool { return i.Text != nil && !sameAction(rec, i.Manifest.Action) }):
		f.Headline = "its signed record is of another host, case or requestor than it was selected by"
	case len(items) == 0, slices.ContainsFunc(items, func(i take.Item) bool { return !i.Agrees() }):
		if verdict == verify.Pass {
			f.Headline = "it is being stored right now"
		}
	case !x.refused() && !take.AllVerified(items):
		f.Headline = "more than one signed record claims a package of this action"
	default:
		return Failure{}, false
	}
	return f, true
}

// sameAction reports whether a signed record is about what was selected. A manifest that nobody signed may have
// selected it, in an archive without a ledger.
func sameAction(rec investigation.Record, a manifest.Action) bool {
	return rec.ActionID == a.ID && rec.MachineID == a.MachineID && rec.CaseID == a.CaseID &&
		rec.ComputerDNSName == a.ComputerDNSName && rec.Requestor == a.Requestor
}
