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

// Result is the outcome of a run for one tenant.
type Result struct {
	TenantID string
	Name     string // empty for the tenant of the environment

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

// Results collects the outcome of the run, which started at that time: for each tenant that was served, the
// environment's first. They omit malformed records, which Run has already reported.
func (r *Runtime) Results(ctx context.Context, startedAt time.Time) ([]Result, error) {
	key, err := r.signer.Current(ctx)
	if err != nil {
		return nil, err
	}
	var all []Result
	stored := simulation.Stored{Tenants: map[string]simulation.Outcome{}, Folder: r.options.Data, File: r.file}
	if r.options.Bucket != "" {
		stored.File = nil
	}
	for _, m := range r.crew.everyone() {
		id := m.Settings.TenantID
		result := Result{
			TenantID: id, Name: m.Name, Data: r.options.Data, Simulated: r.simulated, KeyID: key.ID, Locate: r.file,
		}
		if r.options.Bucket != "" {
			result.Locate = url
		}
		result.Records, result.Earlier, err = r.current(ctx, id, startedAt)
		if err != nil {
			return nil, err
		}
		result.Head, err = r.ledger.Head(ctx, id)
		if err != nil {
			return nil, err
		}
		if r.site != nil {
			stored.Tenants[id], err = r.outcome(ctx, id)
			if err != nil {
				return nil, err
			}
		}
		all = append(all, result)
	}
	return all, r.judge(all, stored)
}

// outcome returns everything that is recorded of a simulated tenant.
func (r *Runtime) outcome(ctx context.Context, id string) (simulation.Outcome, error) {
	records, err := r.ledger.Records(ctx, id)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return simulation.Outcome{}, err
	}
	h := r.crew.hands[id]
	return simulation.Outcome{Records: records, Finished: r.options.UntilIdle && h != nil && h.ended() && h.err() == nil}, nil
}

// judge lets each simulated tenant judge everything it ever served.
func (r *Runtime) judge(all []Result, stored simulation.Stored) error {
	if r.site == nil {
		return nil
	}
	judgements, err := r.site.Judge(stored)
	for i := range all {
		all[i].Judgement = judgements[all[i].TenantID]
	}
	return err
}

// current returns a tenant's records that are open or were announced since the run started, and how many others are
// done.
func (r *Runtime) current(ctx context.Context, tenantID string, startedAt time.Time) (
	records []investigation.Record, earlier int, err error,
) {
	open, openErr := r.ledger.Open(ctx, tenantID)
	done, doneErr := r.ledger.Announced(ctx, tenantID, startedAt)
	counts, countErr := r.ledger.Counts(ctx, tenantID, startedAt)
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

// file returns the path of an object in the embedded archive.
func (r *Runtime) file(receipt investigation.Receipt) string {
	return filepath.Join(r.options.Data, datafolder.S3, receipt.Bucket, filepath.FromSlash(receipt.Key))
}

func url(receipt investigation.Receipt) string { return "s3://" + receipt.Bucket + "/" + receipt.Key }
