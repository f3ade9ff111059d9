package fetch

import (
	"context"
	"errors"
	"strings"
	"time"

	"packhorse/internal/investigation"
)

const (
	// attemptsMax is how often a package that Defender says is there is asked for. With the
	// back-off below the last attempt comes about seven hours after the first; by then every link
	// and every copy a service might still be preparing has been given its time.
	attemptsMax = 12

	// invalidAttemptsMax is how often something that came whole but is no package is fetched
	// again, each time with a new link: over seven minutes.
	invalidAttemptsMax = 4

	// backOffMin doubles with every attempt up to backOffMax.
	backOffMin = time.Minute
	backOffMax = time.Hour

	// messageBytesMax bounds what a ledger, an event and a log line carry of an error.
	messageBytesMax = 1000
)

// theirError marks a failure on Defender's side: the link, the download, or what came of it. Only
// such failures can ever close an action. While it is our own archive or ledger that fails, the
// package is still there to be had, however often we tried.
type theirError struct{ err error }

func (e *theirError) Error() string { return e.err.Error() }
func (e *theirError) Unwrap() error { return e.err }

func theirs(err error) error { return &theirError{err: err} }

// verdict is what a failure means for the action: closed for a reason, or (reason empty) released.
type verdict struct {
	reason  investigation.Reason
	release investigation.Release // its Message serves both
}

// judge decides what becomes of an action whose claim failed so. It is the one place where that is
// decided.
func judge(rec investigation.Record, failure error, now time.Time) verdict {
	v := verdict{release: investigation.Release{At: now, Message: brief(failure)}}
	postponed, isPostponed := errors.AsType[*investigation.PostponedError](failure)
	_, isTheirs := errors.AsType[*theirError](failure)
	switch {
	case isPostponed:
		v.release.Charge = investigation.ChargeNothing
		v.release.DueAt = postponed.RetryAt
	case errors.Is(failure, context.Canceled):
		// We were asked to stop. It counts as an attempt, because only then does the next one look
		// for an object whose commit may have gone through.
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
		// The call for a link fails on our side too, before it is sent.
		if isTheirs && causeOf(failure) == investigation.CauseDownload && rec.Attempts >= attemptsMax {
			v.reason = investigation.ReasonExpired
		}
	}
	return v
}

// causeOf returns the cause of a failure: the one that an adapter named, or else, of Defender's, the
// download.
func causeOf(failure error) investigation.Cause {
	cause := investigation.CauseOf(failure)
	if _, isTheirs := errors.AsType[*theirError](failure); isTheirs && cause == investigation.CauseOther {
		return investigation.CauseDownload
	}
	return cause
}

// lastIfInvalid reports whether the claimed action is given up if what comes this time is no
// package: then that is kept in quarantine.
func lastIfInvalid(rec investigation.Record) bool { return rec.Attempts >= invalidAttemptsMax }

// backOff is the pause after the given attempt (1 and up): 1, 2, 4 … 60 minutes.
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

// brief is the error in one line that fits a table.
func brief(err error) string {
	line := strings.Join(strings.Fields(err.Error()), " ")
	if len(line) <= messageBytesMax {
		return line
	}
	return strings.ToValidUTF8(line[:messageBytesMax], "") + "…"
}
