package local

import (
	"context"
	"errors"
	"path/filepath"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/investigation"
)

// Result is the outcome of a run.
type Result struct {
	Data      string                 // the data folder, absolute
	Records   []investigation.Record // all valid records of the tenant in the ledger
	Simulated bool                   // whether the tenant is simulated, in this process or another

	Head  investigation.Head // of the tenant's chain of manifests
	KeyID string             // of the current signing key

	Judgement *simulation.Judgement // nil unless the tenant is simulated in this process

	// Locate returns where a person finds a stored object: a file path or an S3 URL.
	Locate func(investigation.Receipt) string
}

// Result collects the outcome of the run. It omits malformed records, which Run has already reported.
func (r *Runtime) Result(ctx context.Context) (Result, error) {
	records, err := r.ledger.Records(ctx, r.settings.TenantID)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
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
		Data: r.options.Data, Records: records, Simulated: r.simulated, Head: head, KeyID: key.ID,
		Locate: r.file,
	}
	stored := simulation.Stored{Records: records, Folder: r.options.Data, File: r.file}
	if r.options.Bucket != "" {
		result.Locate, stored.File = url, nil
	}
	if r.tenant != nil {
		result.Judgement, err = r.tenant.Judge(stored)
	}
	return result, err
}

// file returns the path of an object in the embedded archive.
func (r *Runtime) file(receipt investigation.Receipt) string {
	return filepath.Join(r.options.Data, datafolder.S3, receipt.Bucket, filepath.FromSlash(receipt.Key))
}

func url(receipt investigation.Receipt) string { return "s3://" + receipt.Bucket + "/" + receipt.Key }
