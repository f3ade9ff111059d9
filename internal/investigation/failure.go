package investigation

import (
	"errors"
	"fmt"
	"time"
)

// The errors an adapter wraps to say what a failure means, where the knowledge is. The use cases
// ask for these and for nothing more specific.
var (
	// ErrLinkExpired: the download host refused the link as too old.
	ErrLinkExpired = errors.New("the link has expired")
	// ErrNotAPackage: the bytes came whole, and they are not a ZIP.
	ErrNotAPackage = errors.New("what came is not a package")
	// ErrNotStored: the archive has no object under the key.
	ErrNotStored = errors.New("the archive has no such object")
	// ErrStartAgain: the archive could not finish the upload for a reason that lies in the moment
	// (another writer of the same key); nothing was stored, and the bytes must be sent again.
	ErrStartAgain = errors.New("the upload has to start again")
	// ErrBudgetSpent: the budget allows no call now, and nothing was sent. Nothing is wrong.
	ErrBudgetSpent = errors.New("the budget is spent")
)

// PostponedError says that something other than the package stood in the way: the budget (then
// nothing was sent), Defender's throttle, the credential. It does not count as an attempt.
type PostponedError struct {
	RetryAt time.Time // not before
	Err     error
}

func (e *PostponedError) Error() string {
	return fmt.Sprintf("postponed until %s: %v", e.RetryAt.UTC().Format(time.RFC3339), e.Err)
}

// Unwrap returns the cause.
func (e *PostponedError) Unwrap() error { return e.Err }
