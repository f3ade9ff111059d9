package local

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/investigation"
)

// Result is the outcome of a run.
type Result struct {
	Data      string                 // the data folder, absolute
	Records   []investigation.Record // those of the tenant that this run finished or left open; the valid ones
	Earlier   int                    // how many were done before this run
	Simulated bool                   // whether the tenant is simulated, in this process or another

	Head  investigation.Head // of the tenant's chain of manifests
	KeyID string             // of the current signing key

	Judgement *simulation.Judgement // nil unless the tenant is simulated in this process

	// Locate returns where a person finds a stored object: a file path or an S3 URL.
	Locate func(investigation.Receipt) string
}

// Result collects the outcome of the run, which started at that time. It omits malformed records, which Run has
// already reported.
func (r *Runtime) Result(ctx context.Context, startedAt time.Time) (Result, error) {
	records, earlier, err := r.current(ctx, startedAt)
	if err != nil {
		return Result{}, err
	}
	head, err := r.ledger.Head(ctx, r.settings.TenantID)
	if err != nil {
		return Result{}, err
	}
	key, err := r.signer.Current(ctx)
	if err != nil {
		return Result{}, err
	}
	result := Result{
		Data: r.options.Data, Records: records, Earlier: earlier, Simulated: r.simulated, Head: head, KeyID: key.ID,
		Locate: r.file,
	}
	if r.options.Bucket != "" {
		result.Locate = url
	}
	if r.tenant != nil {
		result.Judgement, err = r.judge(ctx)
	}
	return result, err
}

// current returns the records that are open or were announced since the run started, and how many others are done.
func (r *Runtime) current(ctx context.Context, startedAt time.Time) (
	records []investigation.Record, earlier int, err error,
) {
	open, openErr := r.ledger.Open(ctx, r.settings.TenantID)
	done, doneErr := r.ledger.Announced(ctx, r.settings.TenantID, startedAt)
	counts, countErr := r.ledger.Counts(ctx, r.settings.TenantID, startedAt)
	for _, err := range []error{openErr, doneErr, countErr} {
		if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
			return nil, 0, err
		}
	}
	isDone := map[investigation.ID]bool{}
	for _, rec := range done {
		isDone[rec.ID] = true
	}
	open = slices.DeleteFunc(open, func(rec investigation.Record) bool { // another process was at work meanwhile
		return isDone[rec.ID]
	})
	return append(open, done...), counts.ByState[investigation.StateDone] - counts.Archived - counts.NotCollected, nil
}

// judge lets the simulated tenant judge everything it ever served.
func (r *Runtime) judge(ctx context.Context) (*simulation.Judgement, error) {
	records, err := r.ledger.Records(ctx, r.settings.TenantID)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return nil, err
	}
	stored := simulation.Stored{Records: records, Folder: r.options.Data, File: r.file}
	if r.options.Bucket != "" {
		stored.File = nil
	}
	return r.tenant.Judge(stored)
}

// file returns the path of an object in the embedded archive.
func (r *Runtime) file(receipt investigation.Receipt) string {
	return filepath.Join(r.options.Data, datafolder.S3, receipt.Bucket, filepath.FromSlash(receipt.Key))
}

func url(receipt investigation.Receipt) string { return "s3://" + receipt.Bucket + "/" + receipt.Key }
