package fetch

import (
	"context"
	"errors"
	"strings"
	"time"

	"packhorse/internal/investigation"
)

const (
	// attemptsMax is how often we request a package that Defender says is available. With the back-off
	// below, the last attempt is about seven hours after the first, which is time enough for a service
	// that is still preparing the link or the copy.
	attemptsMax = 12

	// invalidAttemptsMax is how often a package is fetched if every download is complete but not a ZIP,
	// each time with a new link: over seven minutes.
	invalidAttemptsMax = 4

	// backOffMin doubles with every attempt, up to backOffMax.
	backOffMin = time.Minute
	backOffMax = time.Hour

	// messageBytesMax bounds the error text in a ledger, an event or a log line.
	messageBytesMax = 1000
)

// theirError marks a failure on Defender's side: the link, the download, or its content. Only such
// failures can close an action. As long as it is our own archive or ledger that fails, the package is
// still available, no matter how often we tried.
type theirError struct{ err error }

func (e *theirError) Error() string { return e.err.Error() }
func (e *theirError) Unwrap() error { return e.err }

func theirs(err error) error { return &theirError{err: err} }

// consequence says what a failure means for the action: it is closed for the reason or, if the reason is
// empty, released.
type consequence struct {
	reason  investigation.Reason
	release investigation.Release // its Message serves both
}

// consequenceOf decides what a failure means for a claimed action. Nothing else decides that.
func consequenceOf(rec investigation.Record, failure error, now time.Time) consequence {
	v := consequence{release: investigation.Release{At: now, Message: brief(failure), Cause: causeOf(failure)}}
	postponed, isPostponed := errors.AsType[*investigation.PostponedError](failure)
	_, isTheirs := errors.AsType[*theirError](failure)
	switch {
	case isPostponed:
		v.release.Charge = investigation.ChargeNothing
		v.release.DueAt = postponed.RetryAt
	case errors.Is(failure, context.Canceled):
		// We were asked to stop. This counts as an attempt, because only then does the next one look for
		// an object whose commit may have succeeded.
		v.release.DueAt = now
	case errors.Is(failure, investigation.ErrLinkExpired):
		v.release.Charge = investigation.ChargeLink
		v.release.DueAt = now.Add(backOff(rec.ExpiredLinks + 1))
		if rec.ExpiredLinks+1 >= attemptsMax {
			v.reason = investigation.ReasonExpired
		}
	case errors.Is(failure, investigation.ErrNotAPackage):
		v.release.DueAt = now.Add(backOff(rec.Attempts))
		if lastIfInvalid(rec) {
			v.reason = investigation.ReasonInvalid
		}
	default:
		v.release.DueAt = now.Add(backOff(rec.Attempts))
		// The request for a link can also fail on our side, before it is sent.
		if isTheirs && causeOf(failure) == investigation.CauseDownload && rec.Attempts >= attemptsMax {
			v.reason = investigation.ReasonExpired
		}
	}
	return v
}

// causeOf returns the cause that an adapter named. A failure on Defender's side without one counts as a
// failed download.
func causeOf(failure error) investigation.Cause {
	cause := investigation.CauseOf(failure)
	if _, isTheirs := errors.AsType[*theirError](failure); isTheirs && cause == investigation.CauseOther {
		return investigation.CauseDownload
	}
	return cause
}

// lastIfInvalid reports whether this attempt is the last one if its download is not a package. If so, the
// download goes to quarantine.
func lastIfInvalid(rec investigation.Record) bool { return rec.Attempts >= invalidAttemptsMax }

// backOff returns the pause after the given attempt (1 and up): 1, 2, 4 … 60 minutes.
func backOff(attempt int) time.Duration {
	pause := backOffMin
	for range attempt - 1 {
		pause *= 2
		if pause >= backOffMax {
			return backOffMax
		}
	}
	return pause
}

// brief returns the error as one line of bounded length.
func brief(err error) string {
	line := strings.Join(strings.Fields(err.Error()), " ")
	if len(line) <= messageBytesMax {
		return line
	}
	return strings.ToValidUTF8(line[:messageBytesMax], "") + "…"
}
