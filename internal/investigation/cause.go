package investigation

import (
	"context"
	"errors"
)

// Cause says in one word why a fetch was postponed. It is for logs, metrics, alarms and people; the code
// makes no decision by it. The set is closed.
type Cause string

// The causes. An adapter that knows the cause names it with [Because].
const (
	CauseBudget     Cause = "budget"     // the budget does not allow a call now
	CauseThrottled  Cause = "throttled"  // Defender answered 429
	CauseStopped    Cause = "stopped"    // the process was asked to stop
	CauseDownload   Cause = "download"   // the link or the download failed, or the bytes are not a package
	CauseNetwork    Cause = "network"    // cannot connect: name, address, proxy or certificate
	CauseCredential Cause = "credential" // Entra ID refuses a token, or the secret cannot be read
	CauseConsent    Cause = "consent"    // the tenant has not consented to the app, or grants it no permission
	CauseForbidden  Cause = "forbidden"  // Defender answered 401 or 403
	CauseLinkHost   Cause = "linkHost"   // the link points to a host that is not allowed
	CauseCounter    Cause = "counter"    // the budget table cannot be used, or the clock is wrong
	CauseArchive    Cause = "archive"    // the evidence bucket or its key refuses the write
	CauseOther      Cause = "other"
)

// Causes lists every cause.
func Causes() []Cause {
	return []Cause{
		CauseBudget, CauseThrottled, CauseStopped, CauseDownload, CauseNetwork, CauseCredential,
		CauseConsent, CauseForbidden, CauseLinkHost, CauseCounter, CauseArchive, CauseOther,
	}
}

// Blocks reports whether the cause lasts until a person fixes it. The others pass: the budget frees
// up, Defender's throttle ends, another download succeeds. An unknown cause blocks; the empty Cause
// does not.
func (c Cause) Blocks() bool {
	switch c {
	case "", CauseBudget, CauseThrottled, CauseStopped, CauseDownload:
		return false
	default:
		return true
	}
}

// caused adds a cause to an error.
type caused struct {
	error
	cause Cause
}

func (e *caused) Unwrap() error { return e.error }

// Cause returns the cause.
func (e *caused) Cause() Cause { return e.cause }

// Because returns err with a cause attached. The error text does not change.
func Because(cause Cause, err error) error { return &caused{err, cause} }

// CauseOf returns the cause of err: the one named by the outermost error in its chain that has a method
// Cause. If none does, the cause follows from the errors of this package; otherwise it is [CauseOther].
func CauseOf(err error) Cause {
	named, ok := errors.AsType[interface {
		error
		Cause() Cause
	}](err)
	switch {
	case errors.Is(err, context.Canceled): // no matter what it interrupted
		return CauseStopped
	case ok:
		return named.Cause()
	case errors.Is(err, ErrBudgetSpent):
		return CauseBudget
	case errors.Is(err, ErrLinkExpired), errors.Is(err, ErrNotAPackage):
		return CauseDownload
	default:
		return CauseOther
	}
}
