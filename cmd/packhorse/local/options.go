package local

import (
	"packhorse/cmd/packhorse/local/pipeline"
	"packhorse/internal/tenant"
)

// Options configure a run.
type Options struct {
	Environ  []string // the settings of a real tenant, as "NAME=value"
	Data     string   // the data folder, created if it does not exist
	Bucket   string   // of the archive; empty means the embedded server's
	Endpoint string   // URL of the S3 service with the bucket; empty means AWS

	Simulate int // number of actions of tenants simulated in this process; 0 means real tenants
	Tenants  int // number of simulated tenants; 0 means one
	// Credential is how the app proves who it is. Empty means what the settings say; a simulated app then has a
	// client secret.
	Credential tenant.Kind
	Sizes      []int64 // of the simulated packages, used in turn; empty means mixed
	Seed       uint64  // of the simulated tenant's ids and hosts; 0 means a random one

	UntilIdle bool // end when nothing is left to do

	// Version and Commit of this program are recorded in the manifests.
	Version, Commit string
}

// Interrupted returns the error of a run whose context ended: [ErrStopped] if it should have worked until
// idle, otherwise nil.
func (o Options) Interrupted() error { return pipeline.Interrupted(o.UntilIdle) }
