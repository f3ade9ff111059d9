package pipeline

import (
	"io"
	"time"

	"packhorse/internal/investigation"
)

// Reporter shows the progress of a run. Implementations MUST be safe for concurrent use and MUST NOT block for
// long: the pipeline waits for them.
type Reporter interface {
	// Began is called first. It tells whether the tenant is simulated.
	Began(simulated bool)

	// Observed is called for an action that is new or has changed.
	Observed(rec investigation.Record)

	// Fetching is called when an action was claimed and the fetch of its package begins.
	Fetching(rec investigation.Record)

	// Download is called when the download of a package begins. It returns body or a wrapper that counts the
	// bytes read. size is in bytes, or investigation.SizeUnknown.
	Download(actionID string, size int64, body io.ReadCloser) io.ReadCloser

	// Settled is called with the outcome of an action: archived or notCollected.
	Settled(rec investigation.Record)

	// Postponed is called when a fetch failed for now; the record says when it is due again.
	Postponed(rec investigation.Record, cause error)

	// Budget is called with the times when the slots of the package budget free up, in ascending order.
	Budget(freeAt []time.Time)
}
