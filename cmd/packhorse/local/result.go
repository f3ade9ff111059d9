package local

import (
	"context"
	"errors"
	"path/filepath"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/investigation"
)

// Result is what came of a run.
type Result struct {
	Data      string                 // the data folder, absolute
	Records   []investigation.Record // everything the ledger knows of the tenant that makes sense
	Simulated bool                   // the tenant is a simulator's, in this process or elsewhere

	Head  investigation.Head // of the tenant's chain of manifests
	KeyID string             // of the key that signs

	Judgement *simulation.Judgement // nil: the tenant is not simulated in this process

	// Locate says where a person finds a stored object: the file, or the S3 URL.
	Locate func(investigation.Receipt) string
}

// Result gathers what came of the run. Records that make no sense have been logged, and are left out.
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

// file is the path of an object in the embedded archive.
func (r *Runtime) file(receipt investigation.Receipt) string {
	return filepath.Join(r.options.Data, datafolder.S3, receipt.Bucket, filepath.FromSlash(receipt.Key))
}

func url(receipt investigation.Receipt) string { return "s3://" + receipt.Bucket + "/" + receipt.Key }
