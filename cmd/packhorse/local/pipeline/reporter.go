package pipeline

import (
	"io"
	"time"

	"packhorse/internal/investigation"
)

// Reporter shows a person or a machine what happens. Implementations MUST be safe for concurrent
// use and MUST NOT block for long: the work waits for them.
type Reporter interface {
	// Began tells, before anything else, whether the tenant is a simulated one.
	Began(simulated bool)

	// Observed tells of an action seen for the first time, or seen to have changed.
	Observed(rec investigation.Record)

	// Fetching tells that the action was claimed and its package is being fetched.
	Fetching(rec investigation.Record)

	// Download tells that the package's bytes begin to flow, and returns the body through which
	// they are counted. size is in bytes, or investigation.SizeUnknown.
	Download(actionID string, size int64, body io.ReadCloser) io.ReadCloser

	// Settled tells what became of an action: archived or notCollected.
	Settled(rec investigation.Record)

	// Postponed tells that a fetch did not succeed this time; the record says when it is due again.
	Postponed(rec investigation.Record, cause error)

	// Budget tells when each slot of the package budget frees, in ascending order.
	Budget(freeAt []time.Time)
}
