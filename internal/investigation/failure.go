package investigation

import (
	"errors"
	"fmt"
	"time"
)

// An adapter wraps these errors to say what a failure means, because only it knows. The use cases
// check for these and for nothing more specific.
var (
	// ErrLinkExpired: the download host refused the link as too old.
	ErrLinkExpired = errors.New("download link expired")
	// ErrNotAPackage: the download is complete, and it is not a ZIP.
	ErrNotAPackage = errors.New("the download is not a package")
	// ErrNotStored: no object is stored under the key.
	ErrNotStored = errors.New("object not found in the archive")
	// ErrStartAgain: the archive could not finish the upload for a passing reason (another writer of
	// the same key). Nothing was stored; send the bytes again.
	ErrStartAgain = errors.New("the upload must start again")
	// ErrBudgetSpent: the budget does not allow a call now. Nothing was sent, and nothing is wrong.
	ErrBudgetSpent = errors.New("the budget is spent")
)

// PostponedError says that something other than the package was in the way: the budget (then nothing
// was sent), Defender's throttle, or the credential. It does not count as an attempt.
type PostponedError struct {
	RetryAt time.Time // do not retry before this
	Err     error
}

func (e *PostponedError) Error() string {
	return fmt.Sprintf("postponed until %s: %v", e.RetryAt.UTC().Format(time.RFC3339), e.Err)
}

// Unwrap returns the cause.
func (e *PostponedError) Unwrap() error { return e.Err }
