package pipeline

import (
	"io"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// Reporter shows a person or a machine what happens. Implementations MUST be safe for concurrent
// use and MUST NOT block for long: the work waits for them.
type Reporter interface {
	// Tenants tells which tenants are served from now on, and how they are doing.
	Tenants(all []tenant.Served)

	// Began tells, before anything else about a tenant, whose packages are fetched, and whether that tenant is simulated.
	Began(tenantID string, simulated bool)

	// Swept tells that a sweep ended: the ledger knows every action of the tenant, or err says why not.
	Swept(tenantID string, err error)

	// Observed tells of an action seen for the first time, or seen to have changed.
	Observed(rec investigation.Record)

	// Fetching tells that the action was claimed and its package is being fetched.
	Fetching(rec investigation.Record)

	// Download tells that the package's bytes begin to flow, and returns the body through which
	// they are counted. size is in bytes, or investigation.SizeUnknown.
	Download(a investigation.Action, size int64, body io.ReadCloser) io.ReadCloser

	// Decided tells what became of an action: archived or notCollected.
	Decided(rec investigation.Record)

	// Postponed tells that a fetch did not succeed this time; the record says when it is due again.
	Postponed(rec investigation.Record, cause error)

	// Budget tells when each slot of the tenant's package budget frees, in ascending order.
	Budget(tenantID string, freeAt []time.Time)

	// Queue tells how many packages of the tenant are ready and not being fetched, and when the link of the last of
	// them can be requested; zero if that is not known.
	Queue(tenantID string, queued int, lastAt time.Time)
}
