package local

import "packhorse/cmd/packhorse/local/pipeline"

// Options say what a run does, and where.
type Options struct {
	Environ  []string // the settings of a real tenant, as "NAME=value"
	Data     string   // the data folder, made if it is not there
	Bucket   string   // of the archive; empty: the embedded one
	Endpoint string   // of the S3 service with the bucket; empty: AWS

	Simulate int     // actions of a simulated tenant in this process; 0: a real tenant
	Sizes    []int64 // of its packages, in turn; none: mixed

	UntilIdle bool // end when nothing is left to do

	// Of this program, for the manifests.
	Version, Commit string
}

// Interrupted is the error of a run whose context ended: nil, or [ErrStopped] if it was to work until
// idle.
func (o Options) Interrupted() error { return pipeline.Interrupted(o.UntilIdle) }
