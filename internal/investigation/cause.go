package investigation

import (
	"context"
	"errors"
)

// Cause says in one word why a fetch was postponed. Logs, metrics and alarms use it; nothing is
// decided by it. The set is closed.
type Cause string

// The causes. Where the knowledge is, the adapter names one with [Because].
const (
	CauseBudget     Cause = "budget"     // the budget allows no call now
	CauseThrottled  Cause = "throttled"  // Defender answered 429
	CauseStopped    Cause = "stopped"    // the process was asked to stop
	CauseDownload   Cause = "download"   // the link, the download, or what came of it
	CauseNetwork    Cause = "network"    // no connection: name, address, proxy or certificate
	CauseCredential Cause = "credential" // Entra ID issues no token, or the secret cannot be read
	CauseForbidden  Cause = "forbidden"  // Defender answered 401 or 403
	CauseLinkHost   Cause = "linkHost"   // the link leads to a host that is not allowed
	CauseCounter    Cause = "counter"    // the budget could not be asked, or the clock is wrong
	CauseArchive    Cause = "archive"    // the evidence bucket, or its key, does not let us store
	CauseOther      Cause = "other"
)

// Causes lists them all.
func Causes() []Cause {
	return []Cause{
		CauseBudget, CauseThrottled, CauseStopped, CauseDownload, CauseNetwork, CauseCredential,
		CauseForbidden, CauseLinkHost, CauseCounter, CauseArchive, CauseOther,
	}
}

// Blocks reports whether the cause lasts until a person mends it. The others pass: the budget
// frees, Defender's throttle ends, another download succeeds. An unknown cause blocks; the empty
// one is none.
func (c Cause) Blocks() bool {
	switch c {
	case "", CauseBudget, CauseThrottled, CauseStopped, CauseDownload:
		return false
	default:
		return true
	}
}

// caused is an error with its cause.
type caused struct {
	error
	cause Cause
}

func (e *caused) Unwrap() error { return e.error }

// Cause returns the cause.
func (e *caused) Cause() Cause { return e.cause }

// Because returns err with its cause. Its text stays as it is.
func Because(cause Cause, err error) error { return &caused{err, cause} }

// CauseOf returns the cause that err, or an error it wraps, names by a method Cause; the outermost
// wins. Where none is named it goes by the errors of this package, and else it is [CauseOther].
func CauseOf(err error) Cause {
	named, ok := errors.AsType[interface {
		error
		Cause() Cause
	}](err)
	switch {
	case errors.Is(err, context.Canceled): // whatever it broke off
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
